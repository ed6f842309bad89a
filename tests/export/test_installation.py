"""Distributions that overwrite each other's files are noticed, quickly, and by every command that runs the format."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from zoo_export.formats.onnx import installation as onnx_installation
from zoo_export.formats.onnx.installation import distributions_in, installation


def plant(folder: Path, name: str, module: str = "onnxruntime") -> None:
    """A distribution of that name which provides a module, as pip would have installed it."""
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "RECORD").write_text(f"{module}/__init__.py,sha256=x,1\n{info.name}/RECORD,,\n")
    (folder / module).mkdir(exist_ok=True)
    (folder / module / "__init__.py").touch()


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages that Python looks into first."""
    monkeypatch.syspath_prepend(str(tmp_path / "packages"))
    onnx_installation._warnings_about.cache_clear()
    return tmp_path / "packages"


def test_one_distribution_gives_no_warning(packages: Path) -> None:
    plant(packages, "onnxruntime-gpu")
    plant(packages, "onnxruntime-extensions", "onnxruntime_extensions")
    plant(packages, "ortools", "ortools")
    assert (distributions_in(packages), installation()) == (["onnxruntime-gpu"], ())


def test_the_installed_onnxruntime_is_one() -> None:
    onnx_installation._warnings_about.cache_clear()
    assert installation() == ()


@pytest.mark.parametrize("other", ["onnxruntime-gpu", "onnxruntime-directml", "ort-nightly"])
def test_two_distributions_are_named_with_the_remedy(packages: Path, other: str) -> None:
    plant(packages, "onnxruntime")
    plant(packages, other)
    (text,) = installation()
    assert f"pip uninstall onnxruntime {other}" in text and f"pip install {other}`" in text


def test_no_package_is_imported_to_find_out() -> None:
    code = (
        "import sys; from zoo_export.formats.onnx.installation import installation; installation();"
        "sys.exit(bool({'onnxruntime', 'onnx', 'numpy', 'torch'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_commands_that_run_the_file_show_the_warning(run_zoo, lenet, tmp_path: Path) -> None:
    from PIL import Image

    Image.new("L", (28, 28)).save(tmp_path / "grey.png")
    texts = ("a and b are installed over each other.",)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnx_installation, "installation", lambda: texts)
        for arguments in (
            ["verify", str(lenet["both"])],
            ["predict", str(lenet["both"]), str(tmp_path / "grey.png")],
            ["export", "lenet5", "-f", "onnx", "--no-verify", "-o", str(tmp_path / "out")],
        ):
            ran = run_zoo(*arguments)
            assert ran.code == 0 and ran.err.count(texts[0]) == 1, arguments
        quiet = run_zoo("predict", str(lenet["torchscript"]), str(tmp_path / "grey.png"))
        assert texts[0] not in quiet.err
        assert json.loads(run_zoo("doctor", "--json").out)["conflicts"] == list(texts)
