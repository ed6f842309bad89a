"""A format and a precision from outside: exported, judged, blamed, shown and verified, and nothing here knows them."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zoo import ExportFormat
from zoo.contract.errors import DifferenceError, ExportError
from zoo.contract.evidence import Export
from zoo.contract.exporting.options import ExportOptions
from zoo.registry.discovery import discover
from zoo.registry.registry import Registry
from zoo.testing import check_format, check_plugin
from zoo_export.pipeline import export_model
from zoo_export.verify import verify_folder

PLUGIN = Path(__file__).parent / "third_party_format"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """The registry once `zoo-npz` is installed."""
    site = tmp_path / "site"
    shutil.copytree(PLUGIN, site)
    (site / "zoo_npz-1.0.dist-info").mkdir()
    (site / "zoo_npz-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: zoo-npz\nVersion: 1.0\n")
    (site / "zoo_npz-1.0.dist-info" / "entry_points.txt").write_text("[zoo]\nnpz = zoo_npz\n")
    monkeypatch.syspath_prepend(site)
    for name in [name for name in sys.modules if name.partition(".")[0] == "zoo_npz"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setenv("PYTHONPATH", f"{site}:{':'.join(path for path in sys.path if path)}")
    return Registry(discover())


@pytest.fixture
def export(installed: Registry, make_model, tmp_path: Path) -> Callable[..., Export]:
    """Export the small network to the format, in the given precision."""

    def call(precision: str, **more: Any) -> Export:
        options = ExportOptions(precision=precision, **more)
        entries = [installed.find(ExportFormat, "npz")]
        return export_model(installed, make_model(), entries, tmp_path / "out", tmp_path, options=options)

    return call


def test_no_line_of_ours_knows_it() -> None:
    sources = [*(ROOT / "zoo").rglob("*.py"), *(ROOT / "export").rglob("*.py")]
    assert [path for path in sources if any(word in path.read_text("utf-8") for word in ("zoo_npz", "zoo-npz"))] == []


def test_it_keeps_the_contract(installed: Registry) -> None:
    check_plugin("zoo_npz")
    check_format("npz", installed)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_it_is_exported_judged_shown_and_verified(installed, export, tmp_path: Path, precision: str) -> None:
    made = export(precision)
    names = {path.name for path in made.path.iterdir()}
    about = {"manifest.json", "golden.npz", "labels.txt", "zoo_runtime.py", "README.md"}
    assert names == {"model.json", "model.npz"} | about
    manifest = json.loads((made.path / "manifest.json").read_text("utf-8"))
    certificate = manifest["certificate"]
    assert manifest["precision"] == precision and manifest["verdict"] == "pass"
    assert certificate["artifacts"]["npz"]["sha256"].keys() == {"model.json", "model.npz"}
    compared = certificate["artifacts"]["npz"]["comparisons"]
    factors = [one["tolerance"] / one["rounding_error"] for one in compared]
    assert factors and factors == pytest.approx([10 if precision == "int8" else 20] * len(factors))
    text = (made.path / "README.md").read_text("utf-8")
    assert "## Python, with numpy" in text and "model.json" in text
    assert ("images keep their class" in text.lower()) == (precision == "int8")
    assert verify_folder(installed, made.path).comparisons["npz"]
    with np.load(made.path / "model.npz") as stored:
        assert stored["conv.weight"].dtype == (np.int8 if precision == "int8" else np.float32)


def test_an_export_names_the_plugin_that_is_missing(registry: Registry, export, tmp_path: Path) -> None:
    with pytest.raises(ExportError) as raised:
        verify_folder(registry, export("fp32").path)
    assert "zoo-npz" in raised.value.next_step


def damage_weights(paths: Any) -> None:
    """The head answers for the next class."""
    with np.load(paths["weights"]) as stored:
        arrays = dict(stored)
    arrays |= {name: np.roll(arrays[name], 1, axis=0) for name in ("head.weight", "head.bias")}
    np.savez(paths["weights"], **arrays)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_damage_to_the_files_is_blamed_on_them(installed, export, monkeypatch, tmp_path, precision: str) -> None:
    from zoo_npz import writing

    write = writing.export

    def damaged(capture: Any, paths: Any) -> None:
        write(capture, paths)
        if capture.precision == precision:
            damage_weights(paths)

    monkeypatch.setattr(writing, "export", damaged)
    place = tmp_path / "failed"
    with pytest.raises(DifferenceError) as caught:
        export(precision, save_failure=place)
    assert caught.value.details["blame"] == "The fault is in the exported files, first at head."
    assert {path.name for path in place.iterdir()} >= {"model.json", "model.npz", "repro.py"}
    ran = subprocess.run([sys.executable, str(place / "repro.py")], capture_output=True, text=True, check=False)
    assert ran.returncode == 3 and not ran.stderr, ran.stderr
    assert not (tmp_path / "out").exists()


def test_damage_to_a_step_is_blamed_on_that_step(installed, export, monkeypatch, tmp_path) -> None:
    from zoo_npz import stages, writing

    packed = writing.packed

    def coarse(name: str, value: np.ndarray, precision: str) -> Any:
        for key, part in packed(name, value, precision):  # in fp32, nothing is quantised
            if precision == "fp32":
                yield key, part
                continue
            yield key, np.roll(part, 1, axis=0) if name.startswith("head") and part.ndim else part

    monkeypatch.setattr(writing, "packed", coarse)
    monkeypatch.setattr(stages, "packed", coarse)
    with pytest.raises(DifferenceError) as caught:
        export("int8")
    assert "the quantised weights" in caught.value.details["blame"]
    assert "images in another class" in caught.value.cause
    assert not (tmp_path / "out").exists()


def test_one_of_its_files_is_verified_with_the_other(installed, run_zoo, tmp_path) -> None:
    out = tmp_path / "digits"
    assert run_zoo("export", "lenet5.digits", "-f", "npz", "-o", str(out)).code == 0
    assert run_zoo("verify", str(out / "model.json"), "--against", "lenet5.digits").code == 0
    (out / "model.npz").unlink()
    ran = run_zoo("verify", str(out / "model.json"), "--against", "lenet5.digits")
    assert ran.code == 1 and "model.npz" in ran.err
    assert run_zoo("verify", str(out)).code == 3


def test_a_format_that_does_not_write_it_is_refused(installed, make_model, tmp_path) -> None:
    entries = [installed.find(ExportFormat, "torchscript")]
    with pytest.raises(ExportError, match="int8"):
        export_model(
            installed, make_model(), entries, tmp_path / "out", tmp_path, options=ExportOptions(precision="int8")
        )


def test_the_command_line_has_it(installed, run_zoo, tmp_path) -> None:
    out = tmp_path / "digits"
    listed = json.loads(run_zoo("list", "--json").out)
    assert "npz" in {entry["name"] for entry in listed["formats"]}
    assert "int8" in {entry["name"] for entry in listed["precisions"]}
    ran = run_zoo("export", "lenet5.digits", "-f", "npz", "--precision", "int8", "-o", str(out))
    assert ran.code == 0 and "Images keep their class" in ran.out, ran.err
    assert "10 % of the images in another class allowed" in ran.out  # in the precision's own words
    assert run_zoo("verify", str(out)).code == run_zoo("verify", str(out), "--strict").code == 0
    seven = str(ROOT / "examples" / "seven.png")
    by_folder, by_file = run_zoo("predict", str(out), seven), run_zoo("predict", str(out / "model.json"), seven)
    assert by_folder.code == by_file.code == 0 and by_folder.out == by_file.out
    (tmp_path / "model.json").touch()
    assert "export folder" in run_zoo("predict", str(tmp_path / "model.json"), seven).err
    assert "zoo-npz:npz on cpu" in run_zoo("doctor").out
