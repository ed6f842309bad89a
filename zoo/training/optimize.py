"""Optimizers and learning-rate schedules: torch.optim, with the choices that a recipe names."""

import math
from typing import Literal

from torch import nn
from torch.optim import SGD, AdamW
from torch.optim import Optimizer as TorchOptimizer
from torch.optim.lr_scheduler import LambdaLR

Optimizer = Literal["adamw", "sgd"]
Schedule = Literal["cosine", "constant"]


def make_optimizer(module: nn.Module, name: Optimizer, lr: float, weight_decay: float) -> TorchOptimizer:
    """The optimizer over all parameters that require a gradient; biases and norms (1-d) are not decayed."""
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    groups = [
        {"params": [parameter for parameter in trained if parameter.ndim > 1], "weight_decay": weight_decay},
        {"params": [parameter for parameter in trained if parameter.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if name == "sgd":
        return SGD(groups, lr=lr, momentum=0.9, nesterov=True)
    return AdamW(groups, lr=lr)


def make_schedule(optimizer: TorchOptimizer, name: Schedule, steps: int, warmup: int) -> LambdaLR:
    """Linear rise over `warmup` steps, then cosine to zero at `steps`, or constant. Step it after every batch.

    Cosine annealing is of Loshchilov and Hutter 2017 (SGDR), without restarts.
    """
    warmup = min(warmup, steps)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        if name == "constant":
            return 1.0
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))

    return LambdaLR(optimizer, factor)
