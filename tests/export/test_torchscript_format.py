"""`model.torchscript` loads in PyTorch alone; the same command gives the same folder anywhere, and no local path."""

import copy
import hashlib
import os
import site
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import zoo
from zoo.contract.errors import ExportError
from zoo.contract.exporting.artifact import Paths
from zoo_export.capture import Capture
from zoo_export.formats.pytorch_archive import pack
from zoo_export.formats.torchscript.archive import OWN, VERSIONS, checked_archive
from zoo_export.formats.torchscript.format import export, runner, traced
from zoo_export.formats.torchscript.names import Renumbering
from zoo_export.formats.torchscript.structure import structure
from zoo_export.reasons import reason


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


class Scaled(nn.Module):
    """Divides sizes, as padding to the same size does, with one buffer that is stored, and one that is not."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 4)
        self.register_buffer("stored", torch.ones(4))
        self.register_buffer("unstored", torch.arange(4.0), persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        share = torch.div(torch.tensor(images.shape[2] - 1), torch.tensor(2))
        pooled = nn.functional.gelu(images, approximate="tanh").mean((2, 3))
        return self.head(pooled) * share * self.stored + self.unstored


@pytest.fixture
def scaled(make_model) -> Capture:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = make_model(Scaled())
    return Capture(model.name, model.module, model.card)


def written(capture: Capture, path: Path) -> Path:
    export(capture, Paths({"model": path}))
    return path


def test_operators_keep_the_meaning_of_their_version(scaled: Capture, tmp_path: Path) -> None:
    path = written(scaled, tmp_path / "model.torchscript")
    images = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(torch.jit.load(path)(images), scaled.module(images))
        torch.testing.assert_close(
            torch.from_numpy(runner(Paths({"model": path}))(images.numpy())), scaled.module(images)
        )


def test_structure_tells_versions_apart(scaled: Capture, tmp_path: Path) -> None:
    path = written(scaled, tmp_path / "model.torchscript")
    reader = torch._C.PyTorchFileReader(str(path))
    records = {name: reader.get_record(name) for name in reader.get_all_records() if name not in OWN}
    (version,) = records.keys() & {*VERSIONS}
    assert int(records[version]) >= 4
    older = tmp_path / "older.torchscript"
    older.write_bytes(pack((name, b"3\n" if name == version else record) for name, record in records.items()).read())
    assert structure(Paths({"model": older})).graph != structure(Paths({"model": path})).graph


def test_checking_a_file_keeps_its_records(scaled: Capture, tmp_path: Path) -> None:
    """Of a file of another writer, with the records that are left out; the others stay, to the byte."""
    path = tmp_path / "model.pt"
    torch.jit.save(torch.jit.freeze(torch.jit.trace(scaled.module, scaled.example)), path, {"note": "text"})
    checked = torch._C.PyTorchFileReader(checked_archive(path))
    original = torch._C.PyTorchFileReader(str(path))
    kept = set(checked.get_all_records())
    assert {name for name in original.get_all_records() if name not in kept} == {
        name for name in original.get_all_records() if name.endswith(".debug_pkl") or name.startswith("extra/")
    }
    for name in kept - {".data/serialization_id"}:
        assert checked.get_record(name) == original.get_record(name), name


def test_rewriting_changes_only_names_of_classes() -> None:
    """A text that looks like such a name keeps its length, which a pickle stores before it."""
    numbered = b"c__torch__.___torch_mangle_77\nNet\n"
    pickled = b"\x80\x02X\x15\x00\x00\x00___torch_mangle_12345" + b"0" + numbered + b"."
    code = b'class A(__torch__.___torch_mangle_77.B):\n  text = "___torch_mangle_12345"\n'
    records = {"data.pkl": pickled, "code/__torch__/___torch_mangle_77.py": code, "data/0": b"___torch_mangle_77"}
    renumbering = Renumbering(records)
    assert renumbering.name("code/__torch__/___torch_mangle_77.py") == "code/__torch__/___torch_mangle_0.py"
    assert renumbering.record("data.pkl", pickled) == pickled.replace(b"_77", b"_0")
    assert renumbering.record("code/__torch__/___torch_mangle_77.py", code) == code.replace(b"_77", b"_0")
    assert renumbering.record("data/0", records["data/0"]) == records["data/0"]


def test_trace_takes_other_weights_and_buffers(scaled: Capture, tmp_path: Path) -> None:
    traced(scaled)
    other = copy.deepcopy(scaled.module)
    with torch.no_grad():
        for tensor in (*other.parameters(), *other.buffers()):
            tensor.add_(0.5)
    images = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        again = traced(scaled.with_weights(other))
        assert again is scaled.memo["torchscript"]
        torch.testing.assert_close(again(images), other(images))
        torch.testing.assert_close(traced(scaled)(images), scaled.module(images))


def test_tied_weights_take_other_values(make_model) -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(192, 192), nn.Linear(192, 192), nn.Linear(192, 4)).eval()
    module[2].weight = module[1].weight
    model = make_model(module)
    capture = Capture(model.name, model.module, model.card)
    traced(capture)
    other = copy.deepcopy(module)
    with torch.no_grad():
        other[1].weight.mul_(2)
        images = torch.randn(2, 3, 8, 8)
        torch.testing.assert_close(traced(capture.with_weights(other))(images), other(images))


def test_weights_of_other_names_get_their_own_trace(make_model) -> None:
    """A forward may add a buffer, which a copy of the module from before does not have."""

    class Growing(Scaled):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return super().forward(images) + (self.late if hasattr(self, "late") else 0)

    model = make_model(Growing())
    other = copy.deepcopy(model.module)
    model.module.register_buffer("late", torch.ones(4))
    capture = Capture(model.name, model.module, model.card)
    shared = traced(capture)
    own = traced(replace(capture, module=other))
    images = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        assert own is not shared and traced(capture) is shared
        torch.testing.assert_close(own(images), other(images))
        torch.testing.assert_close(shared(images), model.module(images))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('Error(s) in loading state_dict for Net:\n\tMissing key(s): "a".\n\tmore', 'Net: Missing key(s): "a".'),
        ("The following operation failed in the TorchScript interpreter.\nTraceback:\n at x\nRuntimeError: why", "why"),
        ("one\ntwo", "RuntimeError: one"),
        ("only a heading:", "RuntimeError: only a heading:"),
    ],
)
def test_reason_is_what_stands_below_a_heading(text: str, expected: str) -> None:
    assert reason(RuntimeError(text)).endswith(expected)
