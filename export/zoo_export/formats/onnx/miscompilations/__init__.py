"""Known miscompilations: graphs that onnxruntime or the exporter computes wrongly, and how an export avoids each.

One file each, with the fault as data and a function that changes a graph so that the fault does not occur. The check
that follows proves that the changed graph is right.
"""

from collections.abc import Callable

import onnx_ir

from zoo.contract.evidence.workaround import KnownFault, Workaround
from zoo_export.formats.onnx.miscompilations import pad_before_pool

KNOWN: tuple[tuple[KnownFault, Callable[[onnx_ir.Model], int]], ...] = ((pad_before_pool.FAULT, pad_before_pool.avoid),)


def avoid_all(model: onnx_ir.Model) -> tuple[Workaround, ...]:
    """Change `model` where a known fault would make it wrong, and return what was changed."""
    return tuple(done for fault, avoid in KNOWN for done in fault.avoided(avoid(model)))
