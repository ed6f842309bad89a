"""Convert the target of a batch to the form that a loss asks for."""

from typing import Literal

import torch
from torch import Tensor

from zoo.contract.errors import DataError


def convert_target(target: Tensor, wanted: Literal["index", "scores", "either"], num_classes: int) -> Tensor:
    """Class indices, one-hot or soft targets, in the form wanted.

    Args:
        target: class indices int64 `[N]`, or per-class scores float `[N, K]`, one-hot or soft.
        wanted: as `zoo.Loss.target` says. `either` leaves it as it is.
        num_classes: K.

    Returns:
        int64 `[N]` for `index`, float32 `[N, K]` for `scores`.

    Raises:
        DataError: a soft target is to become an index, which would lose what it says.
    """
    if target.ndim == 1:
        if wanted != "scores":
            return target
        return torch.nn.functional.one_hot(target, num_classes).to(torch.float32)
    if wanted != "index":
        return target.to(torch.float32)
    top, index = target.max(dim=1)
    if not bool(((top == 1) & (target.sum(dim=1) == 1)).all()):
        raise DataError(
            "This loss takes class indices, and the targets are soft: an index cannot say what they say.",
            "Choose a loss that takes scores, such as cross_entropy, or one-hot targets.",
        )
    return index
