"""Sensitivity: could the check have noticed a small change of a parameter?

One backward pass gives, for every parameter tensor, the change of the logits that a 1 % change of it would make, to
first order. A tensor is watched where that change exceeds the budget.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from zoo_export.parity.judge import BUDGET
from zoo_export.parity.reference import Reference

CHANGE = 0.01
DRAWS = 3
ENOUGH = 0.9  # of the tensors; below it a check proves too little


@dataclass(frozen=True)
class Sensitivity:
    """What a check of these probes would notice.

    Args:
        tensors: how many parameter tensors the model has.
        unwatched: the names of those whose 1 % change would stay within the budget.
    """

    tensors: int
    unwatched: tuple[str, ...]

    @property
    def share(self) -> float:
        """The share of parameter tensors of which a 1 % change would be noticed, 0 to 1."""
        return 1 - len(self.unwatched) / self.tensors if self.tensors else 0.0

    @property
    def enough(self) -> bool:
        """Whether a check proves enough."""
        return self.share >= ENOUGH


def sensitivity(module: nn.Module, references: Sequence[Reference]) -> Sensitivity:
    """Measure on the probe with the most images of noise or of a data set.

    The logits `y [N, K]` are summed with random signs v. For a change d of a parameter, `v · dy` has the variance
    `|dy|²`, so `|v · dy| / sqrt(N K)` estimates the root mean square of the change, which the largest change is
    never below.
    """
    told = [reference for reference in references if reference.probe.name.startswith(("noise", "real"))]
    reference = max(told, key=lambda reference: len(reference.truth))
    images = torch.from_numpy(reference.probe.images)
    generator = torch.Generator().manual_seed(0)
    names, parameters = zip(*module.named_parameters(), strict=True)
    squares = [0.0] * len(parameters)
    with torch.enable_grad():
        logits = module(images)
        for draw in range(DRAWS):
            signs = torch.randint(0, 2, logits.shape, generator=generator) * 2.0 - 1
            projected = (logits * signs).sum()
            gradients = torch.autograd.grad(projected, parameters, retain_graph=draw < DRAWS - 1, allow_unused=True)
            for index, (parameter, gradient) in enumerate(zip(parameters, gradients, strict=True)):
                if gradient is not None:
                    squares[index] += float((gradient * parameter.detach()).double().sum()) ** 2
    changes = [CHANGE * math.sqrt(square / DRAWS / logits.numel()) for square in squares]
    allowed = BUDGET * reference.floor
    unwatched = [name for name, change in zip(names, changes, strict=True) if not change > allowed]
    return Sensitivity(len(parameters), tuple(unwatched))
