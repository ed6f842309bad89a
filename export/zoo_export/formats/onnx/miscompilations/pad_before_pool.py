"""onnxruntime folds a Pad of zeros into the pooling that follows, which does not pad with zeros.

MaxPool pads with minus infinity: where all that a window sees is negative, zero is the maximum before and a negative
number after. AveragePool with `ceil_mode` loses a row. Padding that is as wide as the window is refused on loading.
"""

import numpy as np
import onnx_ir

from zoo.contract.evidence.workaround import KnownFault

FAULT = KnownFault(
    name="pad_before_pool",
    library="onnxruntime",
    versions="1.17.3, 1.18.1, 1.20.1, 1.22.1, 1.24.1 and 1.31.1 have it; 1.16.3 does not",
    symptom="A Pad of zeros is folded into the MaxPool or AveragePool that follows, from the basic optimizations on; "
    "a MaxPool pads with minus infinity instead, so windows of negative values come out wrong. An AveragePool with "
    "`ceil_mode` loses a row (1.22.1 to 1.31.1) or averages wrongly (1.20.1). Padding as wide as the window is refused "
    "on loading.",
    found_in="timm: hgnetv2_b0",
    change="Each such Pad names its axes explicitly, which is the same operation, and onnxruntime does not fold it.",
    test="tests/export/test_miscompilations.py",
)
POOLS = ("MaxPool", "AveragePool")
AXES = 3  # the input of Pad, since opset 18


def avoid(model: onnx_ir.Model) -> int:
    """Give every Pad of zeros in front of a pooling its `axes`; return how many there are."""
    pads = [node for node in model.graph.all_nodes() if _is_folded(node)]
    for node in pads:
        padded = _constant(node.inputs[1])
        assert padded is not None and node.graph is not None  # else it is not folded
        axes = onnx_ir.tensor(np.arange(padded.size // 2, dtype=np.int64), name=f"{node.outputs[0].name}_axes")
        named = onnx_ir.node("Constant", [], {"value": axes})
        named.outputs[0].name = axes.name
        node.graph.insert_before(node, named)
        node.resize_inputs(AXES + 1)
        node.replace_input_with(AXES, named.outputs[0])
    return len(pads)


def _is_folded(node: onnx_ir.Node) -> bool:
    if node.op_type != "Pad" or node.domain not in ("", "ai.onnx"):
        return False
    mode = node.attributes.get("mode")
    if mode is not None and mode.as_string() != "constant":
        return False
    if len(node.inputs) > AXES and node.inputs[AXES] is not None:
        return False
    value = _constant(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] is not None else np.zeros(())
    return _constant(node.inputs[1]) is not None and value is not None and not value.any() and _is_pooled(node)


def _is_pooled(node: onnx_ir.Node) -> bool:
    """Whether a pooling reads what `node` makes, at once or after what onnxruntime removes or looks through."""
    return any(
        reader.op_type in POOLS or (reader.op_type in ("Cast", "Identity", "Pad", "Dropout") and _is_pooled(reader))
        for reader in node.outputs[0].consumers()
    )


def _constant(value: onnx_ir.Value | None) -> np.ndarray | None:
    tensor = onnx_ir.convenience.get_const_tensor(value) if value is not None else None
    return None if tensor is None else tensor.numpy()
