"""`model.onnx` is useful alone: one file, any batch, labels and preprocessing in it, and nothing of this machine."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from zoo.contract.errors import DifferenceError, ExportError
from zoo.contract.exporting.artifact import Paths
from zoo_export.formats.onnx.lowering import OPSET
from zoo_export.formats.onnx.runner import runner
from zoo_export.probes.probes import make_probes
from zoo_export.truth.reference import make_references


@pytest.fixture(scope="module")
def graph(exported) -> onnx.ModelProto:
    return onnx.load(exported.path / "model.onnx")


@pytest.mark.parametrize("batch", [1, 2, 5, 17])
def test_it_runs_at_any_batch_size(exported, make_model, batch: int) -> None:
    images = np.random.default_rng(batch).normal(size=(batch, 3, 8, 8)).astype(np.float32)
    session = onnxruntime.InferenceSession(exported.path / "model.onnx", providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], {"input": images})
    with torch.no_grad():
        expected = make_model().module(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)


def test_inputs_and_outputs_match_the_manifest(exported, graph: onnx.ModelProto) -> None:
    for value, told in (
        (graph.graph.input, exported.manifest.to_dict()["input"]),
        (graph.graph.output, exported.manifest.to_dict()["output"]),
    ):
        (tensor,) = value
        shape = [dim.dim_param or dim.dim_value for dim in tensor.type.tensor_type.shape.dim]
        assert (tensor.name, shape) == (told["name"], told["shape"])
        assert tensor.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    assert exported.manifest.to_dict()["input"]["shape"] == ["batch", 3, 8, 8]
    assert exported.manifest.to_dict()["output"]["shape"] == ["batch", 4]


def test_it_carries_labels_and_preprocessing(graph: onnx.ModelProto, make_model) -> None:
    card = make_model().card
    metadata = {entry.key: entry.value for entry in graph.metadata_props}
    assert metadata["zoo.name"] == "net.tiny"
    assert json.loads(metadata["zoo.labels"]) == list(card.classes)
    assert json.loads(metadata["zoo.preprocess"]) == json.loads(json.dumps(card.preprocess.to_dict()))


def test_it_is_sound_and_of_opset_18(exported, graph: onnx.ModelProto) -> None:
    onnx.checker.check_model(graph, full_check=True)
    assert {entry.domain: entry.version for entry in graph.opset_import}[""] == OPSET == 18


def test_it_is_one_file(exported, graph: onnx.ModelProto) -> None:
    assert sorted(path.name for path in exported.path.iterdir() if path.name.startswith("model.onnx")) == ["model.onnx"]
    assert not [tensor.name for tensor in graph.graph.initializer if tensor.external_data]


def test_no_node_tells_the_source_line_it_came_from(graph: onnx.ModelProto) -> None:
    nodes = [*graph.graph.node, *(node for function in graph.functions for node in function.node)]
    assert nodes
    assert not [entry.key for node in nodes for entry in node.metadata_props if "stack_trace" in entry.key]


def test_a_node_still_tells_the_module_it_came_from(graph: onnx.ModelProto) -> None:
    scopes = " ".join(entry.value for node in graph.graph.node for entry in node.metadata_props)
    assert "conv" in scopes and "head" in scopes


def test_what_the_runner_cannot_load_is_explained(tmp_path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"no graph")
    with pytest.raises(ExportError, match=r"model\.onnx is not an ONNX file") as caught:
        runner(Paths({"model": path}))
    assert caught.value.next_step


class Odd(nn.Module):
    """A linear model with something odd at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(192, 4)

    def forward(self, images: Tensor) -> Tensor:
        return self.odd(self.head(images.flatten(1)), images)


class BakesItsBatch(Odd):
    def odd(self, logits: Tensor, images: Tensor) -> Tensor:
        return images.reshape(2, -1)[:, :4]


class TreatsTwoApart(Odd):
    """Right for every batch in eager mode; a trace with two images holds for two alone."""

    def odd(self, logits: Tensor, images: Tensor) -> Tensor:
        return logits + (1.0 if len(images) == 2 else 0.0)


class LooksAtValues(Odd):
    def odd(self, logits: Tensor, images: Tensor) -> Tensor:
        return logits * 2 if images.mean() > 0 else logits


class KeepsDropping(Odd):
    def odd(self, logits: Tensor, images: Tensor) -> Tensor:
        return nn.functional.dropout(logits, 0.1, training=True)


class WritesIntoItsInput(Odd):
    def forward(self, images: Tensor) -> Tensor:
        return self.head(images.mul_(0.5).flatten(1))


@pytest.mark.parametrize("format_name", ["onnx", "torchscript"])
@pytest.mark.parametrize("odd", [BakesItsBatch, TreatsTwoApart, LooksAtValues, KeepsDropping])
def test_what_one_trace_cannot_hold_is_not_published(
    make_model, try_export, tmp_path, format_name: str, odd: type[nn.Module]
) -> None:
    model = make_model(odd())
    with pytest.raises((ExportError, DifferenceError)) as caught:
        try_export(model, format_name)
    assert caught.value.exit_code in (1, 3)
    assert caught.value.cause and caught.value.next_step
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("odd", [TreatsTwoApart, LooksAtValues])
def test_a_branch_is_refused_and_not_baked_in_by_a_trace(make_model, try_export, odd: type[nn.Module]) -> None:
    """Tracing would warn and go on with the branch it happened to take; torch.export refuses to."""
    with pytest.raises(ExportError, match=r"net\.tiny could not be captured with a dynamic batch"):
        try_export(make_model(odd()), "torchscript")


def test_model_that_modifies_its_input_gets_the_original(make_model, try_export) -> None:
    model = make_model(WritesIntoItsInput())
    made = try_export(model, "torchscript", "onnx")
    expected = {probe.name: probe.images for probe in make_probes(model.card.preprocess)}
    with np.load(made.path / "golden.npz") as golden:
        assert all(np.array_equal(golden[f"{name}.input"], images) for name, images in expected.items())
        for reference in make_references(model.module, make_probes(model.card.preprocess)):
            assert np.array_equal(golden[f"{reference.name}.truth"], reference.truth)
