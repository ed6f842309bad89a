"""Names in an ONNX file that two readers could understand differently: one that is defined twice, or with overloads."""

from collections.abc import Iterable, Iterator, Sequence

import onnx

from zoo.contract.printable import quoted

# Domains of ONNX and of onnxruntime, whose operators are defined already.
# The last two are of the kernels that onnxruntime itself puts into a file that it has optimised.
OWN = frozenset(
    ("", "ai.onnx", "ai.onnx.ml", "ai.onnx.preview", "com.microsoft", "com.microsoft.nchwc", "com.ms.internal.nhwc")
)
DEEPEST = 20


def why_ambiguous(model: onnx.ModelProto) -> str:
    """Why readers may see different graphs in a file, as a clause; empty where they cannot."""
    return next(_ambiguous(model), "")


def _ambiguous(model: onnx.ModelProto) -> Iterator[str]:
    yield from _twice("the domain", ("" if each.domain == "ai.onnx" else each.domain for each in model.opset_import))
    yield from _twice("the function", (f"{each.domain}.{each.name}" for each in model.functions))
    for function in model.functions:
        if function.overload:
            yield f"its function {quoted(function.name)} has an overload"
        if function.domain in OWN:
            yield f"its function {quoted(function.name)} has the name of an operator's domain"
        yield from _twice("the input", function.input)
        yield from _twice("the output", function.output)
        yield from _in_nodes(function.node, set(function.input), 0)
    yield from _twice("the output", (each.name for each in model.graph.output))
    yield from _in_graph(model.graph, set(), 0)


def _in_graph(graph: onnx.GraphProto, outer: set[str], depth: int) -> Iterator[str]:
    inputs = [each.name for each in graph.input]
    tensors = [*(each.name for each in graph.initializer), *(each.values.name for each in graph.sparse_initializer)]
    yield from _twice("the input", inputs)
    yield from _twice("the tensor", tensors)  # older files list tensors as inputs too
    here = {*inputs, *tensors}
    for name in sorted(here & outer):
        yield f"it defines the value {quoted(name)} twice"
    yield from _in_nodes(graph.node, outer | here, depth)


def _in_nodes(nodes: Sequence[onnx.NodeProto], known: set[str], depth: int) -> Iterator[str]:
    if depth > DEEPEST:
        yield f"its graphs are nested more than {DEEPEST} deep"
        return
    known = set(known)
    for node in nodes:
        if node.overload:
            yield f"it calls an overload of {quoted(node.op_type)}"
        yield from _twice("the attribute", (each.name for each in node.attribute))
        for name in node.output:
            if name and name in known:
                yield f"it defines the value {quoted(name)} twice"
            known.add(name)
    for node in nodes:
        for attribute in node.attribute:
            for graph in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from _in_graph(graph, known, depth + 1)


def _twice(what: str, names: Iterable[str]) -> Iterator[str]:
    seen = set[str]()
    for name in names:
        if name in seen:
            yield f"it defines {what} {quoted(name)} twice"
        seen.add(name)
