"""TorchScript files that would touch files, write to the terminal, keep a state, or read foreign memory are refused."""

import io
import itertools
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from zoo.contract.errors import ExportError
from zoo.contract.exporting.artifact import Paths
from zoo_export.formats.torchscript.format import runner

NUMBERS = itertools.count()
IMAGES = torch.ones(2, 3, 8, 8)


class Sound(nn.Module):
    """A branch of training, a loop over sides, a dropout that is off, a condition that raises."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.drop = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5)

    def forward(self, images: Tensor) -> Tensor:
        if images.dim() != 4:
            raise ValueError("no images")
        features = torch.relu_(self.norm(self.conv(images)))
        for _ in range(features.size(3) // 4):
            features = nn.functional.avg_pool2d(features, 2)
        return self.drop(features).mean((2, 3))


def scripted(forward: str, **buffers: Tensor) -> bytes:
    """A module whose `forward` is that TorchScript."""
    return stored(defined(forward, **buffers))


def defined(forward: str, **buffers: Tensor) -> Any:
    base = nn.Module()
    for name, value in buffers.items():
        base.register_buffer(name, value)
    setattr(base, f"own_{next(NUMBERS)}", 0)  # PyTorch takes modules with the same attributes for one class
    module = torch.jit.script(base.eval())
    module.define(f"def forward(self, images: Tensor) -> Tensor:\n{forward}\n")
    return module


def stored(module: Any) -> bytes:
    buffer = io.BytesIO()
    torch.jit.save(module, buffer)
    return buffer.getvalue()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def archive() -> bytes:
    return stored(torch.jit.script(Sound().eval()))


def run(content: bytes) -> Any:
    Path("model.pt").write_bytes(content)
    return runner(Paths({"model": Path("model.pt")}))(IMAGES.numpy())


def refused(content: bytes, *words: str) -> None:
    """Assert that a file of that content is refused with a sentence that holds `words`, and nothing was written."""
    with pytest.raises(ExportError) as caught:
        run(content)
    assert caught.value.next_step
    assert not [word for word in words if word not in caught.value.cause], caught.value.cause
    assert [path.name for path in Path().iterdir()] == ["model.pt"]


def rewritten(archive: bytes, change: Callable[[str, bytes], bytes], *, compress: bool = False) -> bytes:
    made = io.BytesIO()
    how = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(made, "w", how) as new:
        for name in old.namelist():
            new.writestr(name, change(name.partition("/")[2], old.read(name)))
    return made.getvalue()


@pytest.mark.parametrize("how", ["script", "trace"])
@pytest.mark.parametrize("freeze", [False, True])
def test_sound_files_are_run(how: str, freeze: bool) -> None:
    net = Sound().eval()
    module = torch.jit.script(net) if how == "script" else torch.jit.trace(net, IMAGES)
    content = stored(torch.jit.freeze(module) if freeze else module)
    torch.testing.assert_close(torch.from_numpy(run(content)), net(IMAGES))
    torch.testing.assert_close(torch.from_numpy(run(rewritten(content, lambda name, old: old))), net(IMAGES))


@pytest.mark.parametrize(
    ("forward", "word"),
    [
        ("  return torch.from_file('model.pt', True, 4)", "from_file"),
        ("  torch.save(images, 'marker')\n  return images", "save"),
        ("  print(images)\n  return images", "Print"),
        ("  print('text')\n  return images", "Print"),
        ("  return images.set_(images)", "set_"),
        ("  return images.resize_([2, 5000000])", "resize_"),
        ("  return torch.rand_like(images)", "rand_like"),
        ("  return torch.dropout(images, 0.5, True)", "dropout"),
        ("  return torch.empty_like(images)", "empty_like"),
        ("  torch.manual_seed(1)\n  return images", "manual_seed"),
        ("  while bool(images.sum() > 0):\n    images = images + 1\n  return images", "Loop"),
        ("  for i in range(1000000000000):\n    images = images + i\n  return images", "Loop"),
        ("  return torch.relu(torch.quantize_per_tensor(images, 1.0, 0, torch.quint8))", "quantize"),
        ("  f = torch.jit.fork(torch.relu, images)\n  return torch.jit.wait(f)", "fork"),
    ],
)
def test_only_operators_of_tensors_are_called(forward: str, word: str) -> None:
    refused(scripted(forward), word)


def test_untaken_branches_may_not_hold_other_operators() -> None:
    refused(
        scripted("  if images.dim() == 9:\n    images = torch.from_file('x', True, 4)\n  return images"), "from_file"
    )


def test_files_are_neither_mapped_nor_written(folder: Path) -> None:
    victim = folder.parent / f"{folder.name}.victim"
    victim.write_bytes(b"\0" * 64)
    code = f"  x = torch.from_file('{victim}', True, 16)\n  x.fill_(1.0)\n  return images + x.sum()"
    refused(scripted(code), "from_file")
    assert victim.read_bytes() == b"\0" * 64


def test_freezing_runs_nothing_that_is_refused(folder: Path) -> None:
    """Freezing computes what depends on constants alone."""
    victim = folder.parent / f"{folder.name}.victim"
    victim.write_bytes(b"\0" * 64)
    mapped = f"torch.from_file('{victim}', True, 16)"
    code = f"  if self.training:\n    images = images + {mapped}.fill_(1.0).sum()\n  return images"
    refused(scripted(code), "from_file")
    assert victim.read_bytes() == b"\0" * 64


class Loading(nn.Module):
    """Its `__setstate__` is run by `torch.jit.load`."""

    def __init__(self) -> None:
        super().__init__()
        self.training = False

    @torch.jit.export
    def __getstate__(self) -> tuple[int, bool]:
        return (1, self.training)

    @torch.jit.export
    def __setstate__(self, state: tuple[int, bool]) -> None:
        self.training = state[1]
        print("written while loading")  # noqa: T201

    def forward(self, images: Tensor) -> Tensor:
        return images


def test_loading_runs_no_code(capfd) -> None:
    content = stored(torch.jit.script(Loading()))
    capfd.readouterr()
    refused(content, "__setstate__")
    assert "written while loading" not in capfd.readouterr().out


def test_classes_of_libraries_are_not_made(archive: bytes) -> None:
    change = b"c__torch__.torch.classes.quantized\nConv2dPackedParamsBase\n"
    refused(rewritten(archive, lambda name, old: old[:2] + change + old[2:] if name == "data.pkl" else old), "classes")


@pytest.mark.parametrize("name", ["os\nsystem", "builtins\neval", "torch.jit._pickle\nbuild_tensor_from_id"])
def test_pickles_name_no_functions(archive: bytes, name: str) -> None:
    change = f"c{name}\n".encode()
    content = rewritten(archive, lambda record, old: old[:2] + change + old[2:] if record == "data.pkl" else old)
    refused(content, name.split("\n")[0])


def longer(old: bytes, new: bytes) -> Callable[[str, bytes], bytes]:
    def change(name: str, content: bytes) -> bytes:
        if name != "data.pkl":
            return content
        assert old in content
        return content.replace(old, new, 1)

    return change


def test_storages_are_not_larger_than_their_records(archive: bytes) -> None:
    """PyTorch would read the memory behind the record."""
    items = (4 * 3 * 3 * 3).to_bytes(1, "little")
    refused(rewritten(archive, longer(b"K" + items, b"J\x00\x00\x10\x00")), "storage")


def test_tensors_do_not_leave_their_storages(archive: bytes) -> None:
    strides = b"(K\x1bK\tK\x03K\x01t"
    refused(rewritten(archive, longer(strides, b"(J\x00\x00\x10\x00K\tK\x03K\x01t")), "storage")


def test_no_state_is_kept() -> None:
    code = "  self.calls.add_(1)\n  return images * (self.calls < 5).float()"
    refused(scripted(code, calls=torch.zeros(1)), "state")


def test_no_state_is_kept_through_a_loop() -> None:
    code = (
        "  calls = self.calls\n  for i in range(images.size(0)):\n    calls = calls.add_(1.0)\n  return images + calls"
    )
    refused(scripted(code, calls=torch.zeros(1)), "state")


def test_no_state_is_kept_in_frozen_constants() -> None:
    module = defined("  return images * torch.relu(self.calls)", calls=torch.zeros(1))
    content = rewritten(
        stored(torch.jit.freeze(module)),
        lambda name, old: old.replace(b"torch.relu(", b"torch.add_(").replace(b"CONSTANTS.c0)", b"CONSTANTS.c0, 1)"),
    )
    refused(content)


def test_a_compressed_bomb_is_not_unpacked(archive: bytes) -> None:
    bomb = b" " * 2**28
    for record in ("data.pkl", ".data/serialization_id"):
        refused(rewritten(archive, lambda name, old, at=record: bomb if name == at else old, compress=True), "bytes")


def test_a_sparse_file_is_not_read(archive: bytes) -> None:
    with Path("model.pt").open("wb") as file:
        file.truncate(2**40)
        file.seek(0, io.SEEK_END)
        file.write(archive)
    with pytest.raises(ExportError):
        runner(Paths({"model": Path("model.pt")}))


@pytest.mark.parametrize("name", ["bytecode.pkl", "model.json", "attributes.pkl", "code/../x.py", "data/../x"])
def test_records_of_other_formats_are_refused(archive: bytes, name: str) -> None:
    made = io.BytesIO(archive)
    with zipfile.ZipFile(made, "a") as writer:
        writer.writestr(f"archive/{name}", pickle.dumps(None))
    refused(made.getvalue())


@pytest.mark.parametrize(
    ("expression", "word"),
    [
        ("int(images.is_inference())", "is_inference"),
        ("int(torch.is_grad_enabled())", "is_grad_enabled"),
        ("images.stride(0)", "stride"),
        ("int(images.is_contiguous())", "is_contiguous"),
        ("int(images.requires_grad)", "requires_grad"),
    ],
)
def test_no_operator_senses_where_it_runs(expression: str, word: str) -> None:
    refused(scripted(f"  return images * {expression}"), word)


def test_no_state_is_kept_in_running_statistics() -> None:
    code = "  return torch.instance_norm(images, None, None, self.mean, self.var, True, 0.1, 1e-5, False)"
    refused(scripted(code, mean=torch.zeros(3), var=torch.ones(3)), "state")


def test_a_model_that_senses_is_to_be_traced() -> None:
    Path("model.pt").write_bytes(scripted("  return images * int(torch.is_autocast_enabled())"))
    with pytest.raises(ExportError) as caught:
        runner(Paths({"model": Path("model.pt")}))
    assert "trace" in caught.value.next_step
