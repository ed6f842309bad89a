"""Check the graph of a TorchScript module that has been loaded, before any of it runs.

Two steps. First every operator that `forward` and what it calls could run must be admitted, in branches that are never
taken, too: scripted modules hold the code of training, with its random numbers and counters. Then the module is frozen,
which takes out what evaluation mode does not need. What is left may not draw random numbers, return uninitialised
memory, change an attribute, or loop without a bound: such a module could answer rightly until it is trusted, or never.

`prim::Loop` with a bound stays: PyTorch's own functions in scripted form count over the sides of an image. A bound that
is a constant may be at most `MOST_ROUNDS`; one that is computed is left to the limits of the process that runs it.
"""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import torch

from zoo.contract.printable import quoted
from zoo_export.capture import quiet
from zoo_export.formats.operators import (
    MAY_ALIAS,
    SENSED,
    is_random,
    is_uninitialised,
    listed,
    statistics,
    switch,
    why_refused,
    writes,
)
from zoo_export.formats.pytorch_archive import Refused
from zoo_export.reasons import AGAIN

_JIT: Any = torch.jit  # untyped, in part
TRACE = "If the model itself asks for gradients or autocast, trace it with torch.jit.trace, or export it with zoo."
MOST_ROUNDS = 100_000
DEEPEST = 100
# Everything that the interpreter does itself, apart from printing, Python functions, other processes, and objects.
PRIMITIVES = listed(
    "Constant ConstantChunk DictConstruct GetAttr If ListConstruct ListUnpack Loop NumToTensor Param RaiseException "
    "Return TupleConstruct TupleIndex TupleSlice TupleUnpack Uninitialized abs annotate data device dtype grad is_cpu "
    "is_cuda is_meta is_mkldnn is_nested is_quantized is_sparse isinstance itemsize layout max min ndim requires_grad "
    "shape type unchecked_cast unchecked_unwrap_optional"
)
OF_GRADIENTS = listed("grad requires_grad")  # in inference mode no tensor has them, elsewhere the results of weights do
# What only TorchScript has: lists, dictionaries and texts. They touch nothing else.
CONTAINERS = ("t", "t1", "t2", "tVal", "Dict[", "Tuple[")
TEXTS = ("str", "Any", "AnyEnumType")  # where no tensor is around
CHANGES_CONTAINER = listed("insert clear reverse sort extend remove update Delete _set_item")
WARNING = "warn"  # writes to the terminal; PyTorch's functions hold it in branches that are not taken


def check_graph(module: Any) -> None:
    """Raise `Refused` where `module`, in evaluation mode, may not be run."""
    graph = module.inlined_graph
    if len(list(graph.inputs())) < 2:  # itself, and the images; others have defaults
        raise Refused("its forward takes no tensor")
    _need_all(graph, _why_not_admitted)
    if any(node.kind() in ("prim::GetAttr", "prim::Loop", "prim::If") for node in _nodes(graph)):
        graph = frozen(module)
        _need_all(graph, _why_not_admitted)
    _need_all(graph, _why_not_run)
    _need_no_state(graph)


def _need_all(graph: Any, why_refused: Callable[[Any], str]) -> None:
    for node in _nodes(graph):
        why = why_refused(node)
        if why:
            next_step = TRACE if why == SENSED else AGAIN
            raise Refused(f"its graph calls {quoted(node.kind())}: {why}", next_step)


def _nodes(block: Any, depth: int = 0) -> Iterator[Any]:
    if depth > DEEPEST:
        raise Refused(f"its graph is nested more than {DEEPEST} deep")
    for node in block.nodes():
        yield node
        for inner in node.blocks():
            yield from _nodes(inner, depth + 1)


def frozen(module: Any) -> Any:
    """The graph in evaluation mode: attributes are constants, and branches of training are gone."""
    try:
        with quiet():
            return _JIT.freeze(module, optimize_numerics=False).inlined_graph
    except RuntimeError:  # it is frozen, or cannot be
        return module.inlined_graph


def _why_not_admitted(node: Any) -> str:
    namespace, _, name = node.kind().partition("::")
    if namespace == "prim":
        return "" if name in PRIMITIVES else "it does more than compute"
    return _why_operator_refused(node.schema())


@cache
def schema_of(text: str) -> Any:
    """The schema of an operator, as a node's `schema()` writes it."""
    return torch._C.parse_schema(text)


@cache
def _why_operator_refused(text: str) -> str:
    schema = schema_of(text)
    values = [*schema.arguments, *schema.returns]
    kinds = CONTAINERS if any("Tensor" in str(value.real_type) for value in values) else CONTAINERS + TEXTS
    return why_refused(schema, kinds, CHANGES_CONTAINER | {WARNING})


def _why_not_run(node: Any) -> str:
    """Why an admitted node may not be left in a graph that runs."""
    namespace, _, name = node.kind().partition("::")
    if namespace == "prim":
        return SENSED if name in OF_GRADIENTS else _why_endless(node) if name == "Loop" else ""
    if name == WARNING:
        return "it writes to the terminal"
    schema = schema_of(node.schema())
    if is_uninitialised(schema):
        return "it returns uninitialised memory"
    kept = statistics(schema)
    if kept is not None:
        values = dict(zip([argument.name for argument in schema.arguments], node.inputs(), strict=False))
        if _constant(values[kept[0]]) is not None and _constant(values[kept[1]]) is not False:
            return "it keeps a state: it changes its running statistics"
    if is_random(schema):
        decides = switch(schema)
        at = [argument.name for argument in schema.arguments].index(decides.name) if decides is not None else None
        if at is None or _constant(list(node.inputs())[at]) not in (False, 0, None):
            return "it draws random numbers"
    return ""


def _why_endless(loop: Any) -> str:
    rounds = _constant(next(loop.inputs()))
    if type(rounds) is int and rounds > MOST_ROUNDS:
        return f"it has no bound, or one of more than {MOST_ROUNDS:,} rounds"
    return ""


def _constant(value: Any) -> Any:
    """The value of a constant; the value itself where it is computed."""
    return value.toIValue() if value.node().kind() == "prim::Constant" else value


def _need_no_state(graph: Any) -> None:
    """Raise `Refused` where a graph writes into its weights: it could answer differently each time."""
    images = _names(graph.inputs())
    for node in _nodes(graph):
        if not node.kind().startswith("aten::") or not writes(schema_of(node.schema())):
            continue
        changed = next(node.inputs())
        if changed.type().kind() == "TensorType":  # lists are not kept from call to call
            for origin in _origins(changed):
                carried = origin.kind() == "prim::Param" and _names(origin.outputs()) != images  # into a loop
                if carried or origin.kind() in ("prim::Constant", "prim::GetAttr"):
                    raise Refused(f"its graph keeps a state: it writes into a weight with {quoted(node.kind())}")


def _origins(value: Any) -> Iterator[Any]:
    """The nodes that made the memory that a value may be a view of. Lists, loops and branches are followed."""
    left, seen = [value], set[str]()
    while left:
        value = left.pop()
        if value.debugName() in seen:
            continue
        seen.add(value.debugName())
        node = value.node()
        blocks = list(node.blocks())
        if blocks:
            at = [each.debugName() for each in node.outputs()].index(value.debugName())
            skip = node.kind() == "prim::Loop"  # its body returns first whether to go on
            left += [list(block.outputs())[at + skip] for block in blocks]
            left += list(node.inputs())[at + 2 : at + 3] if skip else []
        elif node.kind() in ("prim::ListUnpack", "prim::ListConstruct", "prim::TupleUnpack", "prim::TupleConstruct"):
            left += list(node.inputs())
        elif node.kind().startswith("aten::"):
            schema = schema_of(node.schema())
            views = any(result.alias_info is not None for result in schema.returns)
            if views or schema.name.partition("::")[2] in MAY_ALIAS:
                left += list(node.inputs())[:1]
            else:
                yield node
        else:
            yield node


def _names(values: Any) -> set[str]:
    return {value.debugName() for value in values}
