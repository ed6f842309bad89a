"""The largest and the smallest value of a whole tensor, which onnxscript's translation takes no missing `dim` for."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from onnxscript import opset18
from onnxscript.function_libs.torch_lib.ops.core import aten_amax, aten_amin
from torch.fx import Node

from zoo.contract.evidence.workaround import KnownFault

FAULT = KnownFault(
    name="extremum_without_dim",
    library="onnxscript",
    versions="0.7.2 has it",
    symptom="`amax` and `amin` without `dim`, which reduce all dimensions, are refused; so is `aminmax`, which becomes "
    "both.",
    found_in="the tests of zoo",
    change="They are written as ReduceMax and ReduceMin without axes.",
    test="tests/export/test_lowering.py",
)
AMAX, AMIN = torch.ops.aten.amax.default, torch.ops.aten.amin.default
Value: TypeAlias = Any  # of the graph under construction; onnxscript's types of its operators are too narrow for it
op: Any = opset18


def amax(self: Value, dim: Sequence[int] = (), keepdim: bool = False) -> Value:
    """The largest values along `dim`; of the whole tensor without it."""
    return aten_amax(self, dim, keepdim=keepdim) if dim else op.ReduceMax(self, keepdims=int(keepdim))


def amin(self: Value, dim: Sequence[int] = (), keepdim: bool = False) -> Value:
    """The smallest values along `dim`; of the whole tensor without it."""
    return aten_amin(self, dim, keepdim=keepdim) if dim else op.ReduceMin(self, keepdims=int(keepdim))


def is_affected(node: Node) -> bool:
    """Whether `node` is `amax` or `amin` without `dim`."""
    return node.target in (AMAX, AMIN) and len(node.args) < 2 and "dim" not in node.kwargs
