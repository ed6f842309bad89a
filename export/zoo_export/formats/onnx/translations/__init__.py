"""Operators of PyTorch that its exporter cannot translate, or only in part, translated here or made translatable.

One file each, with the gap as a `KnownFault` and a function that builds the operator from those of ONNX. A function is
called while a graph is built, with the values of the graph as its arguments.
"""

from collections.abc import Callable
from typing import Any

from torch.export import ExportedProgram
from torch.fx import Node

from zoo.contract.evidence.workaround import KnownFault, Workaround
from zoo_export.formats.onnx.translations import attention, extremum, learnt_bias

TABLE: dict[Callable[..., Any], Callable[..., Any]] = {
    attention.OPERATOR: attention.attention,
    extremum.AMAX: extremum.amax,
    extremum.AMIN: extremum.amin,
}
GAPS: tuple[tuple[KnownFault, Callable[[Node], bool]], ...] = (
    (attention.FAULT, attention.is_affected),
    (learnt_bias.FAULT, learnt_bias.is_affected),
    (extremum.FAULT, extremum.is_affected),
)


def translated(program: ExportedProgram) -> tuple[Workaround, ...]:
    """The operators of a lowered program that were translated here because PyTorch's exporter refuses them."""
    nodes = [node for node in program.graph.nodes if node.op == "call_function"]
    return tuple(done for fault, affected in GAPS for done in fault.avoided(sum(map(affected, nodes))))
