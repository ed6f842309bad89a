"""Known miscompilations: each is reproduced in the library alone, and each is avoided by what an export does.

A test named `test_upstream_...` fails where the library no longer has the fault: remove the workaround then.
"""

import json
from typing import Any

import numpy as np
import onnx
import onnx_ir
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from zoo.contract.errors import DifferenceError, ExportError
from zoo.contract.evidence import ArtifactRecord, Workaround
from zoo.contract.exporting.artifact import Array, Capture, Paths
from zoo.contract.reading import Malformed
from zoo_export.formats.onnx import format as onnx_format
from zoo_export.formats.onnx.miscompilations import KNOWN, avoid_all

OFF, BASIC, EXTENDED, ALL = (
    onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
    onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
)
NEGATIVE = -1 - np.random.default_rng(0).random((2, 3, 6, 6), dtype=np.float32)
WINDOW: dict[str, Any] = {"kernel_shape": [3, 3], "strides": [2, 2]}
ONE, WIDE = (0, 0, 1, 1, 0, 0, 1, 1), (0, 0, 4, 4, 0, 0, 4, 4)


def padded(pool: str, width: tuple[int, ...] = ONE, value: float = 0.0, between: str = "", **attributes: Any) -> bytes:
    """A Pad, an operator of one input if named, and a pooling or a convolution."""
    nodes = [helper.make_node("Pad", ["x", "pads", "value"], ["p"])]
    if between:
        nodes.append(helper.make_node(between, ["p"], ["q"], **({"to": 1} if between == "Cast" else {})))
    inputs = ["q" if between else "p", *(["weight"] if pool == "Conv" else [])]
    nodes.append(helper.make_node(pool, inputs, ["y"], **WINDOW, **attributes))
    graph = helper.make_graph(
        nodes,
        "padded",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 6, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(np.array(width), "pads"),
            numpy_helper.from_array(np.array(value, np.float32), "value"),
            numpy_helper.from_array(np.ones((4, 3, 3, 3), np.float32), "weight"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8).SerializeToString()


def run(model: bytes, level: onnxruntime.GraphOptimizationLevel) -> Array:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level, options.log_severity_level = level, 4
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": NEGATIVE})[0])


def avoided(model: bytes) -> tuple[bytes, tuple[Workaround, ...]]:
    graph = onnx_ir.from_proto(onnx.load_from_string(model))
    done = avoid_all(graph)
    return onnx_ir.to_proto(graph).SerializeToString(), done


AVERAGE: dict[str, Any] = {"pads": [1, 1, 1, 1], "ceil_mode": 1, "count_include_pad": 1}
FAULTY = {
    "maximum": padded("MaxPool"),
    "maximum after Identity": padded("MaxPool", between="Identity"),
    "maximum after Cast": padded("MaxPool", between="Cast"),
    "average of another shape": padded("AveragePool", **AVERAGE),
    "wide": padded("MaxPool", width=WIDE),
}


@pytest.mark.parametrize("case", FAULTY)
def test_upstream_folds_pads_into_pools(case: str) -> None:
    right = run(FAULTY[case], OFF)
    try:
        folded = run(FAULTY[case], BASIC)
    except Exception as error:  # the wide one is refused on loading
        assert case == "wide" and "pad" in str(error).lower()
        return
    assert folded.shape != right.shape or np.abs(folded - right).max() > 1


@pytest.mark.parametrize("case", FAULTY)
def test_it_is_avoided_at_every_level(case: str) -> None:
    model, done = avoided(FAULTY[case])
    assert [(each.fault, each.library, each.places) for each in done] == [("pad_before_pool", "onnxruntime", 1)]
    for level in (OFF, BASIC, EXTENDED, ALL):
        np.testing.assert_array_equal(run(model, level), run(FAULTY[case], OFF))


@pytest.mark.parametrize(
    "model",
    [padded("Conv"), padded("MaxPool", value=-5.0), padded("MaxPool", between="Relu")],
    ids=["convolution", "other value", "operator between"],
)
def test_graphs_without_the_fault_stay(model: bytes) -> None:
    assert avoided(model)[1] == ()
    np.testing.assert_allclose(run(model, ALL), run(model, OFF), rtol=1e-5)


def test_it_is_done_once() -> None:
    assert avoided(avoided(FAULTY["maximum"])[0])[1] == ()


class Padded(nn.Module):
    """A convolution, a Pad of zeros, a pooling: float32 `[N, 3, 8, 8]` to logits `[N, 4]`, as in HGNetV2."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 6, 3), nn.Linear(6, 4)
        nn.init.constant_(self.conv.bias, -9.0)  # what the pooling sees is negative

    def forward(self, images: Tensor) -> Tensor:
        features = nn.functional.pad(self.conv(images), (0, 1, 0, 1))
        return self.head(nn.functional.max_pool2d(features, 2, 1, ceil_mode=True).mean((2, 3)))


def test_an_export_avoids_it_and_says_so(make_model, try_export) -> None:
    torch.manual_seed(0)
    export = try_export(make_model(Padded()), "onnx")
    (workaround,) = export.certificate.artifacts["onnx"].workarounds
    assert (workaround.fault, workaround.places) == ("pad_before_pool", 1)
    stored = json.loads((export.path / "manifest.json").read_text(encoding="utf-8"))
    assert stored["certificate"]["artifacts"]["onnx"]["workarounds"] == [workaround.to_dict()]
    assert "pad_before_pool" in (export.path / "README.md").read_text(encoding="utf-8")


def test_the_check_fails_without_it(make_model, try_export, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_format, "avoid_all", lambda model: ())
    with pytest.raises(DifferenceError) as caught:
        try_export(make_model(Padded()), "onnx")
    assert "basic optimizations" in caught.value.cause


def test_most_exports_need_no_workaround(exported) -> None:
    assert [record.workarounds for record in exported.certificate.artifacts.values()] == [(), (), ()]
    assert "Known faults" not in (exported.path / "README.md").read_text(encoding="utf-8")


def test_workarounds_are_read_and_checked(exported) -> None:
    record = exported.certificate.artifacts["onnx"].to_dict()
    done = Workaround("pad_before_pool", "onnxruntime", "Changed.", 2)
    assert ArtifactRecord.from_dict({**record, "workarounds": [done.to_dict()]}).workarounds == (done,)
    del record["workarounds"]  # as older folders have it
    assert ArtifactRecord.from_dict(record).workarounds == ()
    with pytest.raises(Malformed):
        ArtifactRecord.from_dict({**record, "workarounds": [{**done.to_dict(), "places": 0}]})


def test_each_fault_is_listed_once() -> None:
    names = [fault.name for fault, _ in KNOWN]
    assert len(set(names)) == len(names) and "pad_before_pool" in names


def test_a_format_returns_workarounds_or_nothing(make_model, make_registry, try_export) -> None:
    def export(capture: Capture, paths: Paths) -> str:
        paths.main.write_bytes(b"")
        return "done"

    registry = make_registry(export, lambda paths, backend: lambda images: images)
    with pytest.raises(ExportError) as caught:
        try_export(make_model(), "planted", registry=registry)
    assert "zoo-planted" in caught.value.cause and "str" in caught.value.cause
