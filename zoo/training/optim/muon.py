"""Muon for weights of any number of dimensions; `torch.optim.Muon` takes only matrices."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Muon


class WholeMuon(Muon):
    """`torch.optim.Muon` (Jordan et al. 2024) for weights `[O, ...]`, each viewed as a matrix with O rows.

    It updates views, so the weights themselves change. The learning rate is scaled to match the update size of AdamW
    (Liu et al. 2025, Muon is Scalable for LLM Training).

    Args:
        weights: parameters, or parameter groups.
    """

    def __init__(
        self, weights: Sequence[nn.Parameter | dict[str, Any]], *, lr: float, weight_decay: float, momentum: float
    ) -> None:
        groups = [group for group in weights if isinstance(group, dict)] or [{"params": weights}]
        self._weights = [weight for group in groups for weight in group["params"]]
        self._views = [nn.Parameter(_matrix(weight.detach(), weight)) for weight in self._weights]
        views = iter(self._views)
        super().__init__(
            [{**group, "params": [next(views) for _ in group["params"]]} for group in groups],
            lr=lr,
            weight_decay=weight_decay,
            momentum=momentum,
            adjust_lr_fn="match_rms_adamw",
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step with the gradients of the weights."""
        for weight, view in zip(self._weights, self._views, strict=True):
            view.grad = None if weight.grad is None else _matrix(weight.grad, weight)
        return super().step(closure)  # type: ignore[no-untyped-call]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Reset the gradients of the views and of the weights."""
        super().zero_grad(set_to_none)
        for weight in self._weights:
            weight.grad = None


def _matrix(values: Tensor, weight: Tensor) -> Tensor:
    """`[O, ...]` as `[O, M]`, without copying the weight. Muon's result does not depend on the order of columns."""
    if weight.ndim == 4 and not weight.is_contiguous():  # channels last
        values = values.permute(0, 2, 3, 1)
    return values.reshape(len(weight), -1)
