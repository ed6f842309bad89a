"""Coverage: could the check have noticed a small change of a parameter?

One backward pass gives, for every parameter tensor, the change of the logits that a 1 % change of it would make, to
first order. A tensor is covered where that change exceeds the tolerance.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from zoo_export.parity.reference import Reference
from zoo_export.precisions.fp32 import TOLERANCE_FACTOR
from zoo_export.probes.probes import Array

CHANGE = 0.01
DRAWS = 2
HOPELESS = 0.5  # of the tensors; with fewer covered by the first draw, the exact share decides nothing
ENOUGH = 0.9  # of the tensors; below it a check proves too little


@dataclass(frozen=True)
class Coverage:
    """What a check of these probes would notice.

    Args:
        tensors: how many parameter tensors the model has.
        uncovered: the names of those whose 1 % change would stay within the tolerance.
        too_coarse: the names of those that could be rounded to float16 within the tolerance.
    """

    tensors: int
    uncovered: tuple[str, ...]
    too_coarse: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        """The share of parameter tensors of which a 1 % change would be noticed, 0 to 1."""
        return 1 - len(self.uncovered) / self.tensors if self.tensors else 1.0

    @property
    def enough(self) -> bool:
        """Whether a check proves enough."""
        return self.share >= ENOUGH


def coverage(module: nn.Module, references: Sequence[Reference]) -> Coverage:
    """Measure on the first images of the largest probe of noise or of a data set, one image for each draw.

    The logits `y [K]` of an image are summed with random signs v. For a change d of a parameter, `v · dy` has the
    variance `|dy|²`. So `|v · dy| / sqrt(K)`, as a root mean square over draws of v, estimates that of the change of
    the logits, which the largest change is never below.
    """
    told = [reference for reference in references if reference.probe.name.startswith(("noise", "real"))]
    reference = max(told, key=lambda reference: len(reference.truth))
    named = {name: value for name, value in module.named_parameters() if value.is_floating_point()}
    fine = {name for name, value in named.items() if _rounding(value).any()}
    squares, rounded = dict.fromkeys(named, 0.0), dict.fromkeys(named, 0.0)
    with _requiring_grad(list(named.values())), torch.enable_grad():
        once = (TOLERANCE_FACTOR * reference.rounding_error) ** 2 * reference.truth.shape[
            1
        ]  # what a draw has to exceed on average
        allowed = 0.0
        for gradients in _projected_gradients(module, reference.probe.images, list(named.values())):
            for (name, parameter), gradient in zip(named.items(), gradients, strict=True):
                if gradient is not None:
                    squares[name] += (CHANGE * _dot(gradient, parameter.detach())) ** 2
                    rounded[name] += _dot(gradient, _rounding(parameter)) ** 2
            del gradients  # as large as the weights; enumerate() too would keep them while the next ones are made
            allowed += once
            if sum(square > allowed for square in squares.values()) < HOPELESS * len(named):
                break  # no further draw would make it enough
    return Coverage(
        len(named),
        tuple(name for name, square in squares.items() if not square > allowed),
        tuple(name for name, square in rounded.items() if name in fine and not square > allowed),
    )


def _dot(gradient: Tensor, change: Tensor) -> float:
    return float(torch.dot(gradient.flatten(), change.flatten()))


def _rounding(parameter: Tensor) -> Tensor:
    """What rounding to float16 and back would change."""
    return parameter.detach().half().float() - parameter.detach()


def _projected_gradients(
    module: nn.Module, images: Array, parameters: list[nn.Parameter]
) -> Iterator[Sequence[Tensor | None]]:
    """The gradients of `DRAWS` sums of logits with random signs."""
    generator = torch.Generator().manual_seed(0)
    for index in range(DRAWS):
        logits = module(torch.from_numpy(images[[index % len(images)]]))
        signs = torch.randint(0, 2, logits.shape, generator=generator) * 2.0 - 1
        yield torch.autograd.grad((logits * signs).sum(), parameters, allow_unused=True)


@contextmanager
def _requiring_grad(parameters: list[nn.Parameter]) -> Iterator[None]:
    frozen = [parameter for parameter in parameters if not parameter.requires_grad]
    for parameter in frozen:
        parameter.requires_grad_(True)
    try:
        yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(False)
