"""Damage to operators: replaced, dropped, or with other attributes."""

from random import Random

import numpy as np
import onnx_ir as ir

from mutation.graphs import (
    Kind,
    always_zero,
    become,
    constant,
    forget_shapes,
    ints,
    never_negative,
    node_of,
    of_type,
    pass_through,
    sizes,
)
from zoo_export.capture import TRACED_BATCH

REPLACED = {
    "Relu": "LeakyRelu",
    "LeakyRelu": "Relu",
    "HardSwish": "Relu",
    "HardSigmoid": "Sigmoid",
    "Sigmoid": "HardSigmoid",
    "Tanh": "Softsign",
    "Erf": "Tanh",
    "Clip": "Relu",
    "Elu": "Relu",
}


def _activations(model: ir.Model) -> list[str]:
    return [node.name or "" for node in of_type(model, *REPLACED)]


def _replace(model: ir.Model, name: str, rng: Random) -> str:
    node = node_of(model, name)
    harmless = node.op_type == "Relu" and never_negative(node.inputs[0])
    become(node, REPLACED[node.op_type])
    return "its input is never negative" if harmless else ""


def _drop(model: ir.Model, name: str, rng: Random) -> str:
    node = node_of(model, name)
    harmless = node.op_type == "Relu" and never_negative(node.inputs[0])
    pass_through(node)
    return "its input is never negative" if harmless else ""


def _average_pools(model: ir.Model) -> list[str]:
    return [node.name or "" for node in of_type(model, "AveragePool")]


def _count_pad(model: ir.Model, name: str, rng: Random) -> str:
    node = node_of(model, name)
    flag = node.attributes["count_include_pad"].as_int() if "count_include_pad" in node.attributes else 0
    node.attributes["count_include_pad"] = ir.AttrInt64("count_include_pad", 1 - flag)
    ceil = node.attributes["ceil_mode"].as_int() if "ceil_mode" in node.attributes else 0
    return "" if any(ints(node, "pads", ())) or ceil else "there is no padding to count"


def _softmax_axis(model: ir.Model, name: str, rng: Random) -> str:
    node = node_of(model, name)
    axis = node.attributes["axis"].as_int() if "axis" in node.attributes else -1
    rank = len(sizes(node.inputs[0])) or 4
    other = axis % rank - 1
    node.attributes["axis"] = ir.AttrInt64("axis", other)
    return ""


def _spatial_means(model: ir.Model) -> list[str]:
    """Means over more than one axis."""
    means = of_type(model, "ReduceMean")
    return [
        node.name or ""
        for node in means
        if len(node.inputs) > 1 and (axes := constant(node.inputs[1])) is not None and axes.size > 1
    ]


def _reduce_less(model: ir.Model, name: str, rng: Random) -> str:
    """The first of the axes is left as it is."""
    node = node_of(model, name)
    axes, before = np.atleast_1d(np.array(constant(node.inputs[1]))), sizes(node.inputs[0])
    value = ir.Value(name=f"{name}_axes", const_value=ir.tensor(axes[:-1].astype(np.int64), name=f"{name}_axes"))
    model.graph.register_initializer(value)
    node.replace_input_with(1, value)
    if before and before[int(axes[-1])] == 1:
        return "the axis left out has one entry"
    forget_shapes(model)
    return ""


def _means(model: ir.Model) -> list[str]:
    return [node.name or "" for node in of_type(model, "ReduceMean", "AveragePool", "MaxPool")]


def _other_pooling(model: ir.Model, name: str, rng: Random) -> str:
    node = node_of(model, name)
    before = sizes(node.inputs[0])
    if node.op_type == "ReduceMean":
        axes = constant(node.inputs[1]) if len(node.inputs) > 1 else None
        node.op_type = "ReduceMax"
        one = axes is not None and bool(before) and all(before[int(axis)] == 1 for axis in np.atleast_1d(axes))
        return "the axes have one entry each" if one else ""
    node.op_type = "MaxPool" if node.op_type == "AveragePool" else "AveragePool"
    node.attributes.pop("count_include_pad", None)
    for key in ("storage_order", "dilations"):
        node.attributes.pop(key, None)
    return "its window has one entry" if set(ints(node, "kernel_shape", (0,))) == {1} else ""


def _resize_mode(model: ir.Model, name: str, rng: Random) -> str:
    node = node_of(model, name)
    mode = node.attributes["mode"].as_string() if "mode" in node.attributes else "nearest"
    node.attributes["mode"] = ir.AttrString("mode", "linear" if mode == "nearest" else "nearest")
    return ""


def _joins(model: ir.Model) -> list[str]:
    """Additions of two computed values of one shape."""
    return [
        node.name or ""
        for node in of_type(model, "Add")
        if all(each is not None and not each.is_initializer() and constant(each) is None for each in node.inputs)
        and sizes(node.inputs[0])[1:] == sizes(node.inputs[1])[1:] != []
    ]


def _drop_join(model: ir.Model, name: str, rng: Random) -> str:
    node, kept = node_of(model, name), rng.randrange(2)
    harmless = always_zero(node.inputs[1 - kept])
    pass_through(node, kept)
    return "the other operand is always zero" if harmless else ""


def _concats(model: ir.Model) -> list[str]:
    return [node.name or "" for node in of_type(model, "Concat") if len(sizes(node.outputs[0])) == 4]


def _reorder(model: ir.Model, name: str, rng: Random) -> str:
    node = node_of(model, name)
    before = list(node.inputs)
    for index, value in enumerate(reversed(before)):
        node.replace_input_with(index, value)
    return "its operands are one and the same" if before == before[::-1] else ""


def _norms(model: ir.Model) -> list[str]:
    return [node.name or "" for node in of_type(model, "BatchNormalization", "LayerNormalization")]


def _drop_norm(model: ir.Model, name: str, rng: Random) -> str:
    pass_through(node_of(model, name))
    return ""


def _batches(model: ir.Model) -> list[str]:
    """Where the graph asks for its batch size; and the size that its input declares."""
    readers = [node.name or "" for node in of_type(model, "Shape") if node.inputs[0] is model.graph.inputs[0]]
    return [*readers, "the input"]


def _bake_batch(model: ir.Model, name: str, rng: Random) -> str:
    before = model.graph.inputs[0]
    if name == "the input":
        before.shape = ir.Shape([TRACED_BATCH, *sizes(before)[1:]])
        return ""
    node = node_of(model, name)
    value = ir.Value(name="baked", const_value=ir.tensor(np.array([TRACED_BATCH], np.int64), name="baked"))
    if not list(node.outputs[0].uses()):
        return "nothing reads the batch size"
    model.graph.register_initializer(value)
    ir.convenience.replace_all_uses_with(node.outputs[0], value)
    return ""


def _resizes(model: ir.Model) -> list[str]:
    return [node.name or "" for node in of_type(model, "Resize")]


STRUCTURE = (
    Kind("activation replaced", _activations, _replace),
    Kind("activation dropped", _activations, _drop),
    Kind("padding counted in a mean", _average_pools, _count_pad),
    Kind("mean and maximum exchanged", _means, _other_pooling),
    Kind("softmax axis changed", lambda model: [node.name or "" for node in of_type(model, "Softmax")], _softmax_axis),
    Kind("reduction axis left out", _spatial_means, _reduce_less),
    Kind("resize mode changed", _resizes, _resize_mode),
    Kind("residual addition dropped", _joins, _drop_join),
    Kind("concatenation reordered", _concats, _reorder),
    Kind("norm dropped", _norms, _drop_norm),
    Kind("batch baked in", _batches, _bake_batch),
)
