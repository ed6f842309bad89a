"""How many bits a trained weights file keeps."""

from collections.abc import Mapping

import torch
from torch import Tensor

LIMIT = 30_000_000  # bytes of tensors, above which a file keeps its larger tensors in bfloat16
BFLOAT16 = "bfloat16"  # what the card then says


def as_stored(tensors: Mapping[str, Tensor], limit: int | None = None) -> tuple[dict[str, Tensor], str]:
    """The tensors as a weights file keeps them, and what its card says of that.

    Up to the limit they are as they are. Above it, those of float32 with two dimensions or more become bfloat16, which
    has the range of float32 and 8 significant bits; biases, norms and statistics, which are a thousandth of a model and
    matter more, stay as they are.

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
