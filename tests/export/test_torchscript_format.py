"""`model.torchscript` loads in PyTorch alone; the same command gives the same folder anywhere, and no local path."""

import hashlib
import os
import site
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import zoo
from zoo.contract.errors import ExportError
from zoo.contract.exporting.artifact import Paths
from zoo_export.formats.torchscript.format import runner


@pytest.mark.parametrize("batch", [1, 2, 5, 17])
def test_it_runs_at_any_batch_size(exported, make_model, batch: int) -> None:
    images = torch.randn(batch, 3, 8, 8, generator=torch.Generator().manual_seed(batch))
    loaded = torch.jit.load(exported.path / "model.torchscript")
    with torch.no_grad():
        torch.testing.assert_close(loaded(images), make_model().module(images), rtol=1e-4, atol=1e-5)


def test_it_is_frozen(exported) -> None:
    """Weights are constants: no one can leave it in training mode, and libtorch can fold them."""
    loaded = torch.jit.load(exported.path / "model.torchscript")
    assert not list(loaded.parameters())
    assert not list(loaded.buffers())


def test_it_needs_neither_zoo_nor_the_models_class(exported) -> None:
    code = (
        "import sys, torch; m = torch.jit.load(sys.argv[1]); print(list(m(torch.zeros(3, 3, 8, 8)).shape));"
        "assert not [n for n in sys.modules if n.startswith('zoo')]"
    )
    arguments = [sys.executable, "-W", "ignore", "-c", code, str(exported.path / "model.torchscript")]
    ran = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=True)
    assert ran.stdout.strip() == "[3, 4]"


def test_archive_does_not_contain_its_file_name(exported) -> None:
    with zipfile.ZipFile(exported.path / "model.torchscript") as archive:
        assert {name.split("/")[0] for name in archive.namelist()} == {"archive"}
        assert archive.testzip() is None
        assert not [name for name in archive.namelist() if "debug" in name]


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 no archive"])
def test_what_the_runner_cannot_load_is_explained(tmp_path, content: bytes) -> None:
    path = tmp_path / "model.torchscript"
    path.write_bytes(content)
    with pytest.raises(ExportError, match=r"PyTorch does not load model\.torchscript") as caught:
        runner(Paths({"model": path}))
    assert caught.value.next_step


def records(path: Path) -> Iterator[bytes]:
    """A file's bytes, and what is compressed inside it."""
    yield path.read_bytes()
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            yield from (archive.read(name) for name in archive.namelist())


def traces_of_this_machine(folder: Path) -> list[str]:
    house = Path(zoo.__file__).parents[1]
    places = [house, Path(__file__).parent, Path.cwd(), Path.home(), folder, folder.parent, sys.prefix]
    places += [sysconfig.get_path("purelib"), *site.getsitepackages()]
    needles = {str(place) for place in places if len(str(place)) > 4} | {'File "', "site-packages", ".py:", ".py line"}
    return [
        f"{path.name}: {needle}"
        for path in folder.iterdir()
        for content in records(path)
        for needle in needles
        if needle.encode() in content and path.name != "zoo_runtime.py"  # source code, the same everywhere
    ]


def test_no_file_tells_where_it_was_made(exported, lenet) -> None:
    for folder in (exported.path, lenet["both"]):
        assert traces_of_this_machine(folder) == []


def test_the_search_for_traces_finds_one(tmp_path) -> None:
    with zipfile.ZipFile(tmp_path / "model.x", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("code", f"{'x' * 500} {Path.cwd()}")
    (tmp_path / "model.y").write_bytes(b'\x00File "<stdin>"')
    assert {found.split(":")[0] for found in traces_of_this_machine(tmp_path)} == {"model.x", "model.y"}


def test_missing_data_set_leaves_no_path_in_the_manifest(make_model, try_export, tmp_path) -> None:
    made = try_export(make_model(dataset="cifar10"), "torchscript")
    assert made.manifest.to_dict()["certificate"]["real_images"].startswith("none")
    assert "cifar10" in made.manifest.to_dict()["certificate"]["real_images"]
    assert str(tmp_path) not in (made.path / "manifest.json").read_text()


@pytest.mark.slow
def test_two_processes_write_the_same_bytes(tmp_path) -> None:
    """Everything: the artifacts, the golden vectors, the manifest with its figures, the README, the runner."""
    code = "from zoo.cli.main import main; main()"
    processes = []
    for name, hash_seed in (("first", "1"), ("second/deeper", "2")):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONWARNINGS": "default"}
        processes.append(
            subprocess.Popen(
                [sys.executable, "-c", code, "export", "lenet5", "-f", "onnx,torchscript,pt2"],
                cwd=folder,
                env={**environment, "XDG_DATA_HOME": str(folder)},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    told = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], told
    first, second = (
        {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (tmp_path / name).iterdir()}
        for name in ("first/exports/lenet5", "second/deeper/exports/lenet5")
    )
    assert first == second
    assert set(first) >= {
        "model.onnx",
        "model.torchscript",
        "model.pt2",
        "manifest.json",
        "golden.npz",
        "zoo_runtime.py",
        "README.md",
    }
    assert told[0] == told[1]
    shown = told[0][1].splitlines()  # the fresh weights, then truth, then each format
    named = ("lenet5", "float64", "onnx", "model.onnx", "torchscript", "model.torchscript", "pt2", "model.pt2")
    assert len(shown) == len(named) and all(name in line for name, line in zip(named, shown, strict=True)), shown


def test_the_runner_gives_float32_of_its_own(exported) -> None:
    run = runner(Paths({"model": exported.path / "model.torchscript"}))
    logits = run(np.zeros((3, 3, 8, 8), np.float32))
    assert (logits.dtype, logits.shape) == (np.float32, (3, 4))
