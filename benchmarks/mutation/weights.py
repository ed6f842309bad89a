"""Damage to weights and constants: the graph keeps its operators."""

from random import Random

import numpy as np
import onnx_ir as ir

from mutation.graphs import Kind, constant, floats, head, node_of, of_type, put, sizes, tensor_of, used_taps


def _scale(model: ir.Model, name: str, rng: Random) -> str:
    return put(model, name, tensor_of(model, name) * np.float32(1.01))


def _zero_channel(model: ir.Model, name: str, rng: Random) -> str:
    array = tensor_of(model, name)
    array[rng.randrange(len(array))] = 0
    return put(model, name, array)


def _flip_sign(model: ir.Model, name: str, rng: Random) -> str:
    return put(model, name, -tensor_of(model, name))


def _swap_channels(model: ir.Model, name: str, rng: Random) -> str:
    array = tensor_of(model, name)
    if len(array) < 2:
        return "there is one channel"
    first, second = rng.sample(range(len(array)), 2)
    array[[first, second]] = array[[second, first]]
    return put(model, name, array)


def _transpose(model: ir.Model, name: str, rng: Random) -> str:
    before = tensor_of(model, name)
    array = before.swapaxes(2, 3)
    why = put(model, name, array)
    reads = [use.node for use in model.graph.initializers[name].uses()]
    changed = (before != array).any((0, 1))
    if not why and all(node.op_type == "Conv" and not (used_taps(node) & changed).any() for node in reads):
        return "the entries that change only ever meet padding"
    return why


def _square_kernels(model: ir.Model) -> list[str]:
    shapes = {name: sizes(model.graph.initializers[name]) for name in floats(model, 4)}
    return [name for name, shape in shapes.items() if len(shape) == 4 and shape[2] == shape[3] and shape[2] != 1]


def _through_fp16(model: ir.Model, name: str, rng: Random) -> str:
    return put(model, name, tensor_of(model, name).astype(np.float16).astype(np.float32))


def _epsilon(model: ir.Model, name: str, rng: Random) -> str:
    node = node_of(model, name)
    before = node.attributes["epsilon"].as_float()
    after = 1e-5 if before > 1e-4 else 1e-3
    node.attributes["epsilon"] = ir.AttrFloat32("epsilon", after)
    scale, variance = constant(node.inputs[1]), constant(node.inputs[4])
    if scale is None or variance is None:
        return ""
    factors = [np.float32(scale / np.sqrt(variance.astype(np.float64) + each)) for each in (before, after)]
    return "its float32 factors are the same with both" if np.array_equal(*factors) else ""


def _permute_classes(model: ir.Model, name: str, rng: Random) -> str:
    node = node_of(model, name)
    weight = node.inputs[1]
    assert weight is not None
    across = node.op_type == "MatMul" or (node.op_type == "Gemm" and not node.attributes["transB"].as_int())
    classes = sizes(weight)[-1 if across else 0] or 0
    order = list(range(classes))
    first, second = rng.sample(order, 2)
    order[first], order[second] = second, first
    whys = []
    for value in node.inputs[1:]:
        if value is not None and value.is_initializer() and value.name:
            array = tensor_of(model, value.name)
            whys.append(put(model, value.name, array[..., order] if across else array[order]))
    return whys[0] if all(whys) else ""


def _heads(model: ir.Model) -> list[str]:
    node = head(model)
    weight = node.inputs[1] if node is not None else None
    return [node.name or ""] if node is not None and weight is not None and weight.is_initializer() else []


def _constants(model: ir.Model) -> list[str]:
    """Constant nodes that hold a float, and nodes with a factor among their attributes."""
    held = [
        node.name or ""
        for node in of_type(model, "Constant")
        if any(key in node.attributes for key in ("value", "value_float"))
        and (array := constant(node.outputs[0])) is not None
        and array.dtype == np.float32
    ]
    factors = [node.name or "" for node in of_type(model, "HardSigmoid", "Gemm", "LeakyRelu", "Elu")]
    return held + factors


def _alter(model: ir.Model, name: str, rng: Random) -> str:
    node = node_of(model, name)
    if node.op_type != "Constant":
        node.attributes["alpha"] = ir.AttrFloat32("alpha", node.attributes["alpha"].as_float() * 1.01)
        return ""
    array = np.array(constant(node.outputs[0]))
    altered = np.where(array == 0, np.float32(0.01), array * np.float32(1.01)).astype(np.float32)
    node.attributes.clear()
    node.attributes["value"] = ir.AttrTensor("value", ir.tensor(altered))
    return "" if list(node.outputs[0].uses()) else "nothing reads the constant"


def _norms(model: ir.Model) -> list[str]:
    return [node.name or "" for node in of_type(model, "BatchNormalization", "LayerNormalization")]


WEIGHTS = (
    Kind("tensor scaled by 1.01", floats, _scale),
    Kind("output channel zeroed", lambda model: floats(model, 2), _zero_channel),
    Kind("sign flipped", floats, _flip_sign),
    Kind("two channels swapped", lambda model: floats(model, 1), _swap_channels),
    Kind("kernel transposed", _square_kernels, _transpose),
    Kind("tensor through float16", floats, _through_fp16),
    Kind("norm's epsilon changed", _norms, _epsilon),
    Kind("constant altered", _constants, _alter),
    Kind("two classes permuted", _heads, _permute_classes),
)
