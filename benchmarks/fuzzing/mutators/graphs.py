"""Changes to ONNX files: attributes, operators, names, dimensions, tensors, external data, subgraphs."""

import random
from typing import Any

import onnx
from onnx import TensorProto, helper

from fuzzing.mutators import raw
from fuzzing.mutators.values import TEXTS

OPERATORS = (
    *(
        "Relu",
        "Identity",
        "Conv",
        "Loop",
        "If",
        "Scan",
        "RandomNormalLike",
        "ConstantOfShape",
        "Range",
        "Expand",
        "Tile",
    ),
    *("Resize", "Dropout", "Where", "NonZero", "Reshape", "Nothing", "SequenceConstruct", "StringNormalizer", "Cast"),
    *("DequantizeLinear", "GRU", "Gather", "Pad", "Slice", "Softmax", "TopK", "EyeLike", "Einsum", "LSTM", "ReduceSum"),
)
INTEGERS = (0, 1, -1, 2, 7, 255, 2**31 - 1, 2**31, -(2**31), 2**40, 2**62, 2**63 - 1, -(2**63))
FLOATS = (0.0, -0.0, 1e-45, 3e38, float("nan"), float("inf"), -1.0)
PATHS = (
    "x.bin",
    "../outside/canary",
    "/etc/passwd",
    "/dev/zero",
    "",
    ".",
    "model.onnx",
    "a\x00b",
    "*/_ORT_MEM_ADDR_/*",
)


def mutate(content: bytes, draw: random.Random, outside: str = "") -> tuple[bytes, list[str]]:
    """A changed ONNX file, and what was changed."""
    if draw.random() < 0.14:
        changed, note = raw.damage(content, draw)
        return changed, [note]
    model = onnx.ModelProto.FromString(content)
    notes = []
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        way = draw.choice(WAYS)
        try:
            notes.append(way(model, draw, outside))
        except (ValueError, TypeError, IndexError) as error:  # a value that protobuf refuses, or nothing left to change
            notes.append(f"{way.__name__}: {error}"[:80])
    return model.SerializeToString(), notes


def _node(model: onnx.ModelProto, draw: random.Random) -> onnx.NodeProto:
    return draw.choice(list(model.graph.node))


def _attribute(model: onnx.ModelProto, draw: random.Random, outside: str) -> str:
    nodes = [node for node in model.graph.node if node.attribute]
    node = draw.choice(nodes)
    attribute = draw.choice(list(node.attribute))
    way = draw.random()
    if way < 0.2:
        node.attribute.remove(attribute)
        return f"without {attribute.name} of {node.op_type}"
    if way < 0.35:
        attribute.type = draw.randrange(15)
    elif attribute.type == onnx.AttributeProto.INT:
        attribute.i = draw.choice(INTEGERS)
    elif attribute.type == onnx.AttributeProto.INTS:
        values = [*attribute.ints]
        if way < 0.6 and values:
            values[draw.randrange(len(values))] = draw.choice(INTEGERS)
        else:
            values = draw.choice(([], values[1:], values * 3, [0] * 5000))
        del attribute.ints[:]
        attribute.ints.extend(values)
    elif attribute.type == onnx.AttributeProto.FLOAT:
        attribute.f = draw.choice(FLOATS)
    elif attribute.type == onnx.AttributeProto.STRING:
        attribute.s = draw.choice(TEXTS).encode("utf-8", "surrogatepass")[:3000]
    else:
        attribute.name = draw.choice(("x", "", attribute.name.upper()))
    return f"{attribute.name} of {node.op_type}"


def _operator(model: onnx.ModelProto, draw: random.Random, outside: str) -> str:
    node = _node(model, draw)
    old, node.op_type = node.op_type, draw.choice(OPERATORS)
    if draw.random() < 0.2:
        node.domain = draw.choice(("com.microsoft", "ai.onnx.ml", "x", "ai.onnx.training", ""))
    return f"{node.op_type} for {old}"


def _names(model: onnx.ModelProto, draw: random.Random, outside: str) -> str:
    node = _node(model, draw)
    values = list(node.input) + list(node.output)
    every = [name for each in model.graph.node for name in (*each.input, *each.output)]
    every += [each.name for each in model.graph.initializer]
    side = node.input if draw.random() < 0.7 and node.input else node.output
    new = draw.choice([*every, "", "nothing", *TEXTS])
    at = draw.randrange(len(side))
    side[at] = new[:2000].encode("utf-8", "replace").decode()
    return f"{side[at]!r:.40} for one of {values!r:.60}"


def _nodes(model: onnx.ModelProto, draw: random.Random, outside: str) -> str:
    nodes, node = model.graph.node, _node(model, draw)
    way = draw.randrange(4)
    if way == 0:
        nodes.remove(node)
        return f"without a {node.op_type}"
    if way == 1:
        nodes.append(node)
        return f"{node.op_type} twice"
    if way == 2:
        order = list(nodes)
        draw.shuffle(order)
        del nodes[:]
        nodes.extend(order)
        return "another order"
    del nodes[:]
    return "no nodes"


def _initializer(model: onnx.ModelProto, draw: random.Random, outside: str) -> str:
    tensor = draw.choice(list(model.graph.initializer))
    way = draw.randrange(9)
    if way == 0:
        tensor.data_type = draw.choice((0, 1, 2, 6, 7, 8, 10, 11, 16, 23, 99))
    elif way == 1:
        dims = [*tensor.dims]
        dims = draw.choice(([], [*dims, 1], dims[::-1], [0], [-1], [2**62], [2**31, 2**31], [2**40, 0], [1] * 40))
        del tensor.dims[:]
        tensor.dims.extend(dims)
    elif way == 2:
        tensor.raw_data = draw.choice((b"", tensor.raw_data[:-1], tensor.raw_data * 2, b"\xff" * len(tensor.raw_data)))
    elif way == 3:
        tensor.name = draw.choice(("", "x", *TEXTS))[:2000].encode("utf-8", "replace").decode()
    elif way == 4:
        model.graph.initializer.remove(tensor)
    elif way == 5:
        model.graph.initializer.append(tensor)
    elif way == 6:
        tensor.float_data.extend([1.0] * draw.choice((1, 100)))
    else:
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        fields = {"location": draw.choice((*PATHS, outside))}
        fields |= draw.choice(({}, {"offset": "0", "length": "8"}, {"offset": "-1"}, {"length": str(2**62)}))
        for key, value in fields.items():
            tensor.external_data.add(key=key, value=value)
        return f"external data at {fields}"
    return f"the initializer {tensor.name!r:.40} ({way})"


def _inputs(model: onnx.ModelProto, draw: random.Random, outside: str) -> str:
    values = draw.choice((model.graph.input, model.graph.output))
    value = draw.choice(list(values))
    way = draw.randrange(6)
    dims = value.type.tensor_type.shape.dim
    if way == 0:
        value.name = draw.choice(("", "x", *TEXTS))[:2000].encode("utf-8", "replace").decode()
    elif way == 1 and dims:
        draw.choice(list(dims)).dim_value = draw.choice(INTEGERS)
    elif way == 2 and dims:
        draw.choice(list(dims)).dim_param = draw.choice(("", "N", "x" * 5000, "\x1b[31m"))
    elif way == 3:
        value.type.tensor_type.elem_type = draw.choice((0, 1, 2, 7, 8, 9, 10, 11, 99))
    elif way == 4:
        values.append(value)
    else:
        values.remove(value)
    return f"input or output {value.name!r:.40} ({way})"


def _header(model: onnx.ModelProto, draw: random.Random, outside: str) -> str:
    way = draw.randrange(7)
    if way == 0:
        model.ir_version = draw.choice(INTEGERS)
    elif way == 1:
        model.opset_import[0].version = draw.choice((*INTEGERS, 1, 6, 9, 13, 25, 26, 27, 28))
    elif way == 2:
        model.opset_import.append(helper.make_opsetid(draw.choice(("", "x", "com.microsoft")), draw.choice(INTEGERS)))
    elif way == 3:
        del model.opset_import[:]
    elif way == 4:
        model.metadata_props.add(
            key=draw.choice(("labels", "zoo", "", "x")), value=draw.choice(("\x1b[31m", "", "[" * 9000))
        )
    elif way == 5:
        model.producer_name = model.doc_string = "\x1b[31m\u202e"
    elif model.metadata_props:
        draw.choice(list(model.metadata_props)).value = draw.choice(("", "null", "{}", "[" * 9000, "\x9b", "1e999"))
    return f"the header ({way})"


def _structure(model: onnx.ModelProto, draw: random.Random, outside: str) -> str:
    """A loop without end, a graph in a graph in a graph, a huge constant, a function that calls itself."""
    graph, way = model.graph, draw.randrange(5)
    source, target = graph.input[0].name, graph.output[0].name
    if way == 0:
        body = helper.make_graph(
            [helper.make_node("Identity", ["c"], ["d"])],
            "body",
            [helper.make_tensor_value_info("i", 7, []), helper.make_tensor_value_info("c", 9, [])],
            [helper.make_tensor_value_info("d", 9, [])],
        )
        graph.initializer.append(helper.make_tensor("forever", 9, [], [True]))
        graph.node.insert(0, helper.make_node("Loop", ["", "forever"], [], body=body))
        return "a loop without end"
    if way == 1:
        inner: Any = helper.make_graph([], "x", [], [])
        for _ in range(draw.choice((10, 300))):
            node = helper.make_node("If", ["c"], ["d"], then_branch=inner, else_branch=inner if _ < 3 else None)
            inner = helper.make_graph([node], "x", [], [])
        graph.node.append(helper.make_node("If", ["c"], ["zz"], then_branch=inner))
        return "graphs in graphs"
    if way == 2:
        graph.initializer.append(helper.make_tensor("size", 7, [3], [2**15, 2**15, draw.choice((1, 16, 2**30))]))
        graph.node.insert(0, helper.make_node("ConstantOfShape", ["size"], [draw.choice(("big", target))]))
        return "a huge constant"
    if way == 3:
        node = helper.make_node("f", ["x"], ["y"], domain="zoofuzz")
        model.functions.append(
            helper.make_function("zoofuzz", "f", ["x"], ["y"], [node], [helper.make_opsetid("zoofuzz", 1)])
        )
        model.opset_import.append(helper.make_opsetid("zoofuzz", 1))
        graph.node.insert(0, helper.make_node("f", [source], ["never"], domain="zoofuzz"))
        return "a function that calls itself"
    graph.node.append(helper.make_node(draw.choice(OPERATORS), [source], [target]))
    return "one more node that makes the output"


WAYS = (_attribute, _attribute, _operator, _names, _nodes, _initializer, _initializer, _inputs, _header, _structure)
