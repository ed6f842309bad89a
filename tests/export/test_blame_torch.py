"""Whoever reads that a TorchScript, PT2 or foreign file differs is told the step, and the module where it is known."""

import io
import warnings
from pathlib import Path

import onnx_ir
import pytest
import torch

from zoo.contract.evidence import Probe
from zoo.contract.exporting.artifact import Paths
from zoo.contract.formats import ExportFormat
from zoo.registry.discovery import Plugin
from zoo.registry.registry import Entry
from zoo_export.blame.blame import blame_sentence, find_blame
from zoo_export.blame.captured import CAPTURED, FILE
from zoo_export.capture import Capture, put_weights
from zoo_export.formats.onnx import ONNX
from zoo_export.formats.pt2 import PT2
from zoo_export.formats.pt2 import format as pt2_format
from zoo_export.formats.torchscript import TORCHSCRIPT
from zoo_export.formats.torchscript import format as torchscript_format
from zoo_export.formats.torchscript.stages import TRACED
from zoo_export.probes.probes import make_probes
from zoo_export.truth.reference import make_references

PLUGIN = Plugin("export", "zoo-kit", "0")


def blame(capture: Capture, path: Path, reference: Probe, spec: ExportFormat = ONNX, *, own: bool = True):
    """What is to blame for the artifact whose main file is `path`."""
    return find_blame(Entry(spec, PLUGIN), capture, Paths({"model": path}), reference, own=own)


@pytest.fixture
def subject(make_model):
    """A capture, and what is known of it on three images of noise."""
    model = make_model()
    references = make_references(model.module, make_probes(model.card.preprocess)[:2])
    return Capture(model.name, model.module, model.card), references[1]


def _spoilt(capture: Capture) -> Capture:
    """The same with another weight in its norm, which no one was told of."""
    weights = {name: value.clone() for name, value in capture.module.state_dict().items()}
    weights["norm.weight"][0] += 0.5
    other = Capture(capture.name, capture.module, capture.card)
    other.__dict__["program"] = put_weights(capture.program, weights)
    return other


def test_right_files_have_nothing_to_blame(subject, tmp_path) -> None:
    capture, reference = subject
    pt2_format.export(capture, Paths({"model": tmp_path / "m.pt2"}))
    torchscript_format.export(capture, Paths({"model": tmp_path / "m.torchscript"}))
    assert blame(capture, tmp_path / "m.pt2", reference, PT2) is None
    assert blame(capture, tmp_path / "m.torchscript", reference, TORCHSCRIPT) is None


@pytest.mark.parametrize("own", [True, False])
def test_a_fault_in_a_pt2_file_is_located(subject, tmp_path, own: bool) -> None:
    capture, reference = subject
    pt2_format.export(_spoilt(capture), Paths({"model": tmp_path / "m.pt2"}))
    told = blame(capture, tmp_path / "m.pt2", reference, PT2, own=own)
    assert (told.stage, told.module) == (FILE, "norm")
    assert told.source.startswith("conftest.py:") and told.ratio > 20


def test_a_fault_in_the_capture_of_a_pt2_file_is_located(subject, tmp_path) -> None:
    capture, reference = subject
    told = blame(_spoilt(capture), tmp_path / "not looked at", reference, PT2)
    assert (told.stage, told.module) == (CAPTURED, "norm")


def test_a_fault_in_a_torchscript_file(subject, tmp_path) -> None:
    capture, reference = subject
    other = Capture(capture.name, capture.module, capture.card)
    other.module = type(capture.module)().eval()  # of other weights
    torchscript_format.export(other, Paths({"model": tmp_path / "m.torchscript"}))
    told = blame(capture, tmp_path / "m.torchscript", reference, TORCHSCRIPT)
    assert (told.stage, told.module) == (FILE, None)
    assert str(told) == "The fault is in the exported file."


def test_a_fault_in_the_trace(subject, tmp_path, monkeypatch) -> None:
    capture, reference = subject
    buffer = io.BytesIO()

    class Wrong(type(capture.module)):  # the same weights, another forward
        def forward(self, images):
            return super().forward(images) * 2

    spoilt = Wrong().eval()
    torch.jit.save(torch.jit.trace(spoilt, capture.example), buffer)
    monkeypatch.setattr(torchscript_format, "_trace", lambda capture: buffer.getvalue())
    told = blame(capture, tmp_path / "not looked at", reference, TORCHSCRIPT)
    assert (told.stage, told.module) == (TRACED, None)


def test_a_format_whose_way_is_not_known_is_blamed_for_nothing(subject, tmp_path) -> None:
    capture, reference = subject
    spec = ExportFormat(name="planted", summary="Made up", suffix=".x", export="a:b", runner="a:c")
    assert blame_sentence(Entry(spec, PLUGIN), capture, spec.paths(tmp_path), reference) == ""


@pytest.mark.parametrize(("dynamo", "where"), [(True, ", first at features.3 ("), (False, ".")])
def test_a_foreign_onnx_file(run_zoo, registry, tmp_path: Path, dynamo: bool, where: str) -> None:
    """What PyTorch's newer exporter writes names its modules; what the older one writes does not."""
    from zoo.models.load import open_model

    path, batch = tmp_path / "foreign.onnx", {0: torch.export.Dim("n")}
    more = {"dynamic_shapes": (batch,)} if dynamo else {"dynamic_axes": {"pixels": {0: "n"}}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            open_model(registry, "lenet5.digits").module,
            (torch.randn(2, 1, 32, 32),),
            str(path),
            dynamo=dynamo,
            input_names=["pixels"],
            output_names=["scores"],
            verbose=False,
            **more,
        )
    model = onnx_ir.load(path)
    value = model.graph.initializers["features.3.weight"]
    changed = value.const_value.numpy().copy()
    changed.flat[0] += 0.5
    value.const_value = onnx_ir.tensor(changed)
    onnx_ir.save(model, path)
    ran = run_zoo("verify", str(path), "--against", "lenet5.digits")
    assert ran.code == 3
    assert f"The fault is in the exported file{where}" in ran.err
