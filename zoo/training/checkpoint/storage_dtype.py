"""The dtype in which a trained weights file stores its tensors."""

from collections.abc import Mapping

import torch
from torch import Tensor

LIMIT = 30_000_000  # bytes of tensors; above it, a file stores its larger tensors in bfloat16
BFLOAT16 = "bfloat16"  # the card's `storage_dtype` then


def as_stored(tensors: Mapping[str, Tensor], limit: int | None = None) -> tuple[dict[str, Tensor], str]:
    """The tensors as a weights file stores them, and the `storage_dtype` of its card.

    Up to the limit, tensors are stored unchanged. Above it, float32 tensors of two or more dimensions are stored in
    bfloat16, which has the range of float32 and 8 significant bits. Biases, norms and statistics, about a thousandth of
    a model, stay unchanged.

    Args:
        limit: in bytes; `None` takes `LIMIT`.
    """
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    if size <= (LIMIT if limit is None else limit):
        return dict(tensors), ""
    return {
        name: tensor.to(torch.bfloat16) if tensor.dtype == torch.float32 and tensor.ndim > 1 else tensor
        for name, tensor in tensors.items()
    }, BFLOAT16
