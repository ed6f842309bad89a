"""`model.pt2` loads in PyTorch alone, at any batch size, and carries neither local paths nor the traced images."""

import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from zoo.contract.errors import DifferenceError, ExportError
from zoo.contract.exporting.artifact import Paths
from zoo_export.formats.pt2.format import runner
from zoo_export.formats.pt2.structure import structure as inspected


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_it_runs_at_any_batch_size(exported, make_model, batch: int) -> None:
    images = torch.randn(batch, 3, 8, 8, generator=torch.Generator().manual_seed(batch))
    loaded = torch.export.load(exported.path / "model.pt2").module()
    with torch.no_grad():
        torch.testing.assert_close(loaded(images), make_model().module(images), rtol=1e-5, atol=1e-6)


def test_the_traced_images_are_not_in_it(exported) -> None:
    with zipfile.ZipFile(exported.path / "model.pt2") as archive:
        assert [archive.getinfo(name).file_size for name in archive.namelist() if "sample_inputs" in name] in ([], [0])


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 no archive"])
def test_what_the_runner_cannot_load_is_explained(tmp_path, content: bytes) -> None:
    path = tmp_path / "model.pt2"
    path.write_bytes(content)
    with pytest.raises(ExportError, match=r"PyTorch does not load model\.pt2") as caught:
        runner(Paths({"model": path}))
    assert caught.value.next_step


def test_wrong_capture_is_detected(make_model, try_export, monkeypatch) -> None:
    from zoo_export.capture import Capture

    capture = Capture._capture

    def planted(self: Capture) -> torch.export.ExportedProgram:
        program = capture(self)
        with torch.no_grad():
            next(iter(program.state_dict.values())).mul_(1.01)
        return program

    monkeypatch.setattr(Capture, "_capture", planted)
    with pytest.raises(DifferenceError, match=r"model\.pt2 does not compute what net\.tiny computes"):
        try_export(make_model(), "pt2")


def rewritten(source: Path, path: Path, change: Callable[[str, bytes], bytes]) -> Path:
    """A copy of an archive with records changed."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return path


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("exploded"),))


def pickled(part: str) -> Callable[[str, bytes], bytes]:
    def change(name: str, content: bytes) -> bytes:
        if name.endswith(f"model_{part}_config.json"):
            config = json.loads(content)
            entry = {"path_name": "weight_0", "is_param": True, "use_pickle": True, "tensor_meta": None}
            config["config"]["bomb"] = entry
            return json.dumps(config).encode()
        return pickle.dumps(Bomb()) if name.endswith("weight_0") else content

    return change


def replaced(old: bytes, new: bytes) -> Callable[[str, bytes], bytes]:
    def change(name: str, content: bytes) -> bytes:
        if not name.endswith("model.json"):
            return content
        assert old in content
        return content.replace(old, new)

    return change


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (pickled("weights"), "is pickled"),
        (pickled("constants"), "is pickled"),
        (replaced(b"torch.ops.aten.relu.default", b"torch.hub.load"), "torch.hub.load"),
        (replaced(b"torch.ops.aten.relu.default", b"builtins.eval"), "builtins.eval"),
        (replaced(b"Symbol('s", b"__import__('os') or Symbol('s"), "expression"),
        (replaced(b'"guards_code": []', b'"guards_code": ["print(1)"]'), "guards"),
        (replaced(b'"guards_code": []', b'"guards_code": ['), "not an archive"),
    ],
)
def test_what_could_run_code_is_never_loaded(exported, tmp_path, monkeypatch, change: Any, why: str) -> None:
    monkeypatch.chdir(tmp_path)
    path = rewritten(exported.path / "model.pt2", tmp_path / "model.pt2", change)
    with pytest.raises(ExportError, match=why):
        runner(Paths({"model": path}))
    assert not Path("exploded").exists()


def test_a_record_of_another_kind_is_never_loaded(exported, tmp_path) -> None:
    path = rewritten(exported.path / "model.pt2", tmp_path / "model.pt2", lambda name, content: content)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("archive/data/weights/model.pt", pickle.dumps(Bomb()))
    with pytest.raises(ExportError, match="could run code"):
        runner(Paths({"model": path}))


class CastToFloat32(nn.Module):
    """Attention of which a part is kept from autocast, as in timm's efficientvit."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Linear(192, 8), nn.Linear(8, 4)

    def forward(self, images: Tensor) -> Tensor:
        features = self.embed(images.flatten(1))
        with torch.autocast("cpu", enabled=False):
            features = features.float().relu() / (features.square().sum(1, keepdim=True) + 1)
        return self.head(features)


def test_a_part_without_autocast_is_exported(make_model, try_export) -> None:
    torch.manual_seed(0)
    made = try_export(make_model(CastToFloat32()), "pt2")
    assert made.manifest.verdict == "pass"
    with zipfile.ZipFile(made.path / "model.pt2") as archive:
        (name,) = [each for each in archive.namelist() if each.endswith("models/model.json")]
        content = archive.read(name)
    assert b"wrap_with_autocast" in content
    structure = inspected(Paths({"model": made.path / "model.pt2"}))
    assert {"wrap_with_autocast", "relu"} <= structure.operators.keys()


def test_autocast_of_an_unknown_device_is_refused(make_model, try_export) -> None:
    torch.manual_seed(0)
    made = try_export(make_model(CastToFloat32()), "pt2")

    def change(name: str, content: bytes) -> bytes:
        return content.replace(b'"as_string": "cpu"', b'"as_string": "x"') if name.endswith("model.json") else content

    path = rewritten(made.path / "model.pt2", made.path.parent / "model.pt2", change)
    with pytest.raises(ExportError, match="wrap_with_autocast"):
        runner(Paths({"model": path}))
