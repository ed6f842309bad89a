"""Read and edit an ONNX graph by the names in it, so that the same edit fits the graph with any weights."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Kind:
    """One way to break a graph.

    Args:
        places: the names of nodes or initializers where it applies.
        damage: break the graph at one place. It gives "", or why the result is the same function all the same: an
            argument from tensors, attributes and shapes, never from outputs. The random numbers are the same
            whatever the weights are.
    """

    name: str
    places: Callable[[ir.Model], list[str]]
    damage: Callable[[ir.Model, str, Random], str]


def node_of(model: ir.Model, name: str) -> ir.Node:
    """The node of that name."""
    return next(node for node in model.graph if node.name == name)


def of_type(model: ir.Model, *types: str) -> Iterator[ir.Node]:
    """The nodes of these operators."""
    return (node for node in model.graph if node.op_type in types)


def tensor_of(model: ir.Model, name: str) -> Array:
    """A copy of an initializer."""
    value = model.graph.initializers[name].const_value
    assert value is not None  # a lowered graph carries its weights
    return np.array(value.numpy())


def put(model: ir.Model, name: str, array: Array) -> str:
    """Replace an initializer, and say so where that changes nothing."""
    before = tensor_of(model, name)
    model.graph.initializers[name].const_value = ir.tensor(np.ascontiguousarray(array, before.dtype), name=name)
    return "the tensor is unchanged, bit by bit" if np.array_equal(before, array) else ""


def floats(model: ir.Model, dims: int = 0) -> list[str]:
    """The float32 initializers that some node reads, of at least so many dimensions."""
    return [
        name
        for name, value in model.graph.initializers.items()
        if value.dtype == ir.DataType.FLOAT and list(value.uses()) and len(value.shape or ()) >= dims
    ]


def constant(value: ir.Value | None) -> npt.NDArray[np.generic] | None:
    """What a value always is, where that is known without running the graph."""
    if value is None:
        return None
    tensor = ir.convenience.get_const_tensor(value)
    if tensor is not None:
        return tensor.numpy()
    producer = value.producer()
    if producer is not None and producer.op_type == "Reshape":  # of a constant, as lowering leaves axes
        inner = constant(producer.inputs[0])
        return None if inner is None else inner.reshape(-1)
    return None


def sizes(value: ir.Value | None) -> list[int | None]:
    """The dimensions of a value; `None` for those that are not fixed."""
    if value is None or value.shape is None:
        return []
    return [dim if isinstance(dim, int) else None for dim in value.shape]


def never_negative(value: ir.Value | None) -> bool:
    """Whether the operators before a value rule out negative numbers."""
    producer = value.producer() if value is not None else None
    if producer is None:
        return False
    if producer.op_type in ("Relu", "Sigmoid", "HardSigmoid", "Softmax", "Abs"):
        return True
    through = ("MaxPool", "AveragePool", "GlobalAveragePool", "Reshape", "Transpose", "Identity", "Flatten")
    if producer.op_type in (*through, "ReduceMean"):
        return never_negative(producer.inputs[0])
    return producer.op_type in ("Concat", "Add", "Mul") and all(never_negative(each) for each in producer.inputs)


def always_zero(value: ir.Value | None) -> bool:
    """Whether a value is the output of a BatchNorm whose scale and bias are all zero."""
    producer = value.producer() if value is not None else None
    if producer is None or producer.op_type != "BatchNormalization":
        return False
    affine = [constant(each) for each in producer.inputs[1:3]]
    return all(each is not None and not each.any() for each in affine)


def pass_through(node: ir.Node, index: int = 0) -> None:
    """Take a node out: who read its output now reads one of its inputs."""
    source_value = node.inputs[index]
    assert source_value is not None
    ir.convenience.replace_all_uses_with(node.outputs[0], source_value)
    assert node.graph is not None
    node.graph.remove(node, safe=True)


def become(node: ir.Node, op_type: str, **attributes: float | int | str) -> None:
    """Put another operator in the place of a node; it reads the first input."""
    new = ir.node(op_type, [node.inputs[0]], attributes=attributes, name=f"{node.name}_{op_type}")
    new.outputs[0].name = f"{node.outputs[0].name}_{op_type}"
    new.outputs[0].dtype, new.outputs[0].shape = node.outputs[0].dtype, node.outputs[0].shape
    assert node.graph is not None
    node.graph.insert_before(node, new)
    ir.convenience.replace_all_uses_with(node.outputs[0], new.outputs[0])
    node.graph.remove(node, safe=True)


def forget_shapes(model: ir.Model) -> None:
    """Drop the shapes noted inside the graph, which an edit has made untrue."""
    for node in model.graph.all_nodes():
        for value in node.outputs:
            if not value.is_graph_output():
                value.shape = None


def ints(node: ir.Node, name: str, default: tuple[int, ...]) -> list[int]:
    """A list attribute."""
    return list(node.attributes[name].as_ints()) if name in node.attributes else list(default)


def used_taps(node: ir.Node) -> npt.NDArray[np.bool_]:
    """Which entries `[kH, kW]` of a convolution's kernel ever meet a pixel rather than padding."""
    kernel = sizes(node.inputs[1])[2:]
    image = sizes(node.inputs[0])[2:]
    if len(kernel) != 2 or len(image) != 2 or None in (*kernel, *image):
        return np.ones([each or 1 for each in kernel], bool)
    pads, strides, dilations = (
        ints(node, name, (fill,) * count)
        for name, fill, count in (("pads", 0, 4), ("strides", 1, 2), ("dilations", 1, 2))
    )
    axes = []
    for axis in (0, 1):
        length, taps, step = image[axis] or 0, kernel[axis] or 0, dilations[axis]
        starts = range(-pads[axis], length + pads[axis + 2] - step * (taps - 1), strides[axis])
        axes.append([any(0 <= start + tap * step < length for start in starts) for tap in range(taps)])
    return np.outer(*map(np.array, axes))


def head(model: ir.Model) -> ir.Node | None:
    """The last layer with weights of its own, found from the output backwards."""
    value: ir.Value | None = model.graph.outputs[0]
    while value is not None and (node := value.producer()) is not None:
        if node.op_type in ("Gemm", "Conv", "MatMul") and any(each and each.is_initializer() for each in node.inputs):
            return node
        value = node.inputs[0]
    return None
