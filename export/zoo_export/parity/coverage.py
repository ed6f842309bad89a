"""Coverage: could the check have noticed a small error in a parameter?

One backward pass gives, for every parameter tensor, the change of the logits that a 1 % error in it would make, to
first order. A tensor is covered if that change exceeds the tolerance.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from zoo.contract.evidence import Coverage, Images, Probe
from zoo.contract.evidence.coverage import CHANGE
from zoo.evaluation.attributes import keep_attributes
from zoo_export.probes.fresh import FRESH

DRAWS = 2
HOPELESS = 0.5  # of the tensors; with fewer covered by the first draw, the exact fraction decides nothing


def coverage(module: nn.Module, probes: Sequence[Probe]) -> Coverage:
    """Measure on the first images of the largest probe of noise or of a data set, one image for each draw.

    The logits `y [K]` of an image are summed with random signs v. For a change d of a parameter, `v · dy` has the
    variance `|dy|²`. So `|v · dy| / sqrt(K)`, as a root mean square over draws of v, estimates that of the change of
    the logits, which the largest change is never below.
    """
    measured = [probe for probe in probes if probe.name.removeprefix(FRESH).startswith(("noise", "real"))]
    probe = max(measured, key=lambda probe: probe.n)
    named = {name: value for name, value in module.named_parameters() if value.is_floating_point()}
    fine = {name for name, value in named.items() if _rounding(value).any()}
    squares, rounded = dict.fromkeys(named, 0.0), dict.fromkeys(named, 0.0)
    with _requiring_grad(list(named.values())), torch.enable_grad():
        once = probe.tolerance**2 * probe.truth.shape[1]  # what a draw has to exceed on average
        allowed = 0.0
        for gradients in _projected_gradients(module, probe.images, list(named.values())):
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
    module: nn.Module, images: Images, parameters: list[nn.Parameter]
) -> Iterator[Sequence[Tensor | None]]:
    """The gradients of `DRAWS` sums of logits with random signs."""
    generator = torch.Generator().manual_seed(0)
    for index in range(DRAWS):
        with keep_attributes(module):  # a table that forward keeps would hold the graph of this draw
            logits = module(torch.from_numpy(images[[index % len(images)]]))
            signs = torch.randint(0, 2, logits.shape, generator=generator) * 2.0 - 1
            gradients: Sequence[Tensor | None] = [None] * len(parameters)
            if parameters and logits.requires_grad:  # else a forward that detaches its logits from them
                gradients = torch.autograd.grad((logits * signs).sum(), parameters, allow_unused=True)
        yield gradients
        del gradients


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
