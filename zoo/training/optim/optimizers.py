"""The optimizers that a recipe can name, one row each. Importing this file imports no torch."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch.optim import Optimizer as TorchOptimizer

Build = Callable[..., "TorchOptimizer"]


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """An optimizer, its defaults, and how it is built.

    Args:
        name: what `--opt` takes.
        summary: a few words for the documentation.
        lr, weight_decay, momentum: defaults of the recipe's fields of these names.
        build: `build(groups, *, lr, weight_decay, momentum, fused) -> torch.optim.Optimizer`. `groups` are parameter
            groups as torch.optim takes them, each with its own `weight_decay`; `fused` says whether every parameter
            is on a device that has fused kernels.
        adamw_lr_scale: set for an optimizer of hidden weights only: AdamW takes all other parameters, and its
            learning rate is `lr` times this.
    """

    name: str
    summary: str
    lr: float
    weight_decay: float
    momentum: float
    build: Build
    adamw_lr_scale: float | None = None

    @property
    def hidden_only(self) -> bool:
        """Whether it takes only the weights between the first and the last layer."""
        return self.adamw_lr_scale is not None


def _adamw(
    groups: list[dict[str, Any]], *, lr: float, weight_decay: float, momentum: float, fused: bool
) -> "TorchOptimizer":
    from torch.optim import AdamW

    return AdamW(groups, lr=lr, weight_decay=weight_decay, betas=(momentum, 0.999), fused=fused)


def _sgd(
    groups: list[dict[str, Any]], *, lr: float, weight_decay: float, momentum: float, fused: bool
) -> "TorchOptimizer":
    from torch.optim import SGD

    return SGD(groups, lr=lr, weight_decay=weight_decay, momentum=momentum, nesterov=momentum > 0, fused=fused)


def _muon(
    groups: list[dict[str, Any]], *, lr: float, weight_decay: float, momentum: float, fused: bool
) -> "TorchOptimizer":
    from zoo.training.optim.muon import WholeMuon

    return WholeMuon(groups, lr=lr, weight_decay=weight_decay, momentum=momentum)  # Muon has no fused kernel


OPTIMIZERS = {
    row.name: row
    for row in (
        Optimizer(
            name="adamw",
            summary="AdamW, `momentum` is beta1",
            lr=1e-3,
            weight_decay=0.05,
            momentum=0.9,
            build=_adamw,
        ),
        Optimizer(
            name="sgd",
            summary="SGD with Nesterov momentum",
            lr=0.05,
            weight_decay=5e-4,
            momentum=0.9,
            build=_sgd,
        ),
        Optimizer(
            name="muon",
            summary="Muon for hidden weights, AdamW for the rest",
            lr=0.02,
            weight_decay=0.05,
            momentum=0.95,
            build=_muon,
            adamw_lr_scale=0.05,
        ),
    )
}
