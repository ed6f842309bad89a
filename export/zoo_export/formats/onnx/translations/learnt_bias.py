"""Attention with a learnt bias, whose result PyTorch's exporter expects in another layout than it was captured with.

Attention with a mask that requires a gradient takes another way than without, and returns another layout. The
exporter's passes do not agree on whether it requires one, even for a graph that was captured without gradients: what
the first pass takes for a view of the result is none in the second, and is refused.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.fx import Node

from zoo.contract.evidence.workaround import KnownFault
from zoo_export.formats.onnx.translations.attention import OPERATOR

FAULT = KnownFault(
    name="learnt_attention_bias",
    library="torch",
    versions="2.15.0 has it",
    symptom="`scaled_dot_product_attention` with a mask that is computed from parameters is refused, where its result "
    'is viewed in another shape: "Cannot view a tensor".',
    found_in="timm: test_vit_relpos, maxvit_rmlp_pico_rw_256",
    change="The graph is lowered without gradients.",
    test="tests/export/test_lowering.py",
)
MASK = 3  # its place among the arguments


@contextmanager
def without_gradients(program: ExportedProgram) -> Iterator[None]:
    """Compute without gradients, and let no parameter of `program` require one."""
    values = [*program.state_dict.values(), *(node.meta.get("val") for node in program.graph.nodes)]
    requiring = [value for value in values if isinstance(value, Tensor) and value.is_leaf and value.requires_grad]
    for value in requiring:
        value.requires_grad_(False)
    try:
        with torch.no_grad():
            yield
    finally:
        for value in requiring:
            value.requires_grad_(True)


def is_affected(node: Node) -> bool:
    """Whether `node` is attention with a mask that is computed from a parameter."""
    if node.target is not OPERATOR:
        return False
    mask = node.args[MASK] if len(node.args) > MASK else node.kwargs.get("attn_mask")
    waiting, seen = [mask], set[Node]()
    while waiting:
        each = waiting.pop()
        if isinstance(each, Node) and each not in seen:
            seen.add(each)
            if each.op == "placeholder" and each.name.startswith("p_"):  # as torch.export names parameters
                return True
            waiting += each.all_input_nodes
    return False
