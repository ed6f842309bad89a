"""Attention over tensors of other than four dimensions, which PyTorch's exporter refuses.

Attention within windows has five: `[N, windows, heads, L, E]`.
"""

from typing import Any, TypeAlias

import onnx_ir
import torch
from onnxscript import opset18
from onnxscript.function_libs.torch_lib.ops.nn import aten_scaled_dot_product_attention
from torch.fx import Node

from zoo.contract.evidence.workaround import KnownFault

FAULT = KnownFault(
    name="attention_rank",
    library="onnxscript",
    versions="0.7.2 has it",
    symptom="`scaled_dot_product_attention` over tensors of five dimensions is refused.",
    found_in="timm: hiera_tiny_224, nest_tiny, twins_svt_small",
    change="Such attention is written as Transpose, MatMul, Softmax and MatMul.",
    test="tests/export/test_lowering.py",
)
OPERATOR = torch.ops.aten.scaled_dot_product_attention.default
RANK = 4  # which PyTorch's exporter translates itself
Value: TypeAlias = Any  # of the graph under construction; onnxscript's types of its operators are too narrow for it
op: Any = opset18


def attention(
    query: Value,
    key: Value,
    value: Value,
    attn_mask: Value | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Value:
    """`softmax(query · keyᵀ · scale + attn_mask) · value` over the last two dimensions, as PyTorch defines it.

    Args:
        query: `[..., L, E]`.
        key: `[..., S, E]`.
        value: `[..., S, V]`.
        attn_mask: broadcast to `[..., L, S]`; bool, `True` for what takes part, or added to the scores.

    Returns:
        `[..., L, V]`.
    """
    rank = len(query.shape)
    if rank == RANK or enable_gqa or dropout_p:
        return aten_scaled_dot_product_attention(
            query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa
        )
    if scale is None:
        width = op.CastLike(op.Shape(query, start=rank - 1, end=rank), query)
        factor = op.Sqrt(op.Reciprocal(op.Sqrt(width)))
    else:
        factor = op.Sqrt(op.CastLike(op.Constant(value_float=float(scale)), query))
    transposed = op.Transpose(key, perm=[*range(rank - 2), rank - 1, rank - 2])
    # As PyTorch does, scale both factors rather than the product, which could overflow.
    scores = op.MatMul(op.Mul(query, factor), op.Mul(transposed, factor))
    if is_causal:
        ones = op.ConstantOfShape(op.Shape(scores), value=onnx_ir.tensor([True]))
        attn_mask = op.Cast(op.Trilu(op.Cast(ones, to=1), upper=0), to=9)
    masked = attn_mask is not None and (is_causal or attn_mask.dtype == onnx_ir.DataType.BOOL)
    if masked:
        scores = op.Where(attn_mask, scores, op.CastLike(op.Constant(value_float=float("-inf")), scores))
    elif attn_mask is not None:
        scores = op.Add(scores, attn_mask)
    weights = op.Softmax(scores, axis=-1)
    if masked:  # where nothing takes part, PyTorch gives zero
        weights = op.Where(op.IsNaN(weights), op.CastLike(op.Constant(value_float=0.0), weights), weights)
    return op.MatMul(weights, value)


def is_affected(node: Node) -> bool:
    """Whether `node` is attention that PyTorch's exporter refuses."""
    if node.target is not OPERATOR or not isinstance(query := node.args[0], Node):
        return False
    return len(query.meta["val"].shape) != RANK
