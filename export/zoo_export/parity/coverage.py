"""Coverage: could the check have noticed a small error in a parameter?

One backward pass gives, for every parameter tensor, the change of the logits that a 1 % error in it would make, to
first order. A tensor is covered if that change exceeds the tolerance. The error is a scaling by 1.01. Scaling some
tensors is no error: a kernel that is standardised before use, or a convolution that a normalisation follows. There
the error is 1 % of each value, with random signs.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from zoo.contract.evidence import Coverage, Images, Probe
from zoo.contract.evidence.coverage import CHANGE, UncoveredTensor
from zoo.evaluation.attributes import keep_attributes
from zoo_export.probes.fresh import FRESH

DRAWS = 2
SCALE_FREE = 1e-2  # what scaling a tensor does, relative to errors of random signs, if its scale has no effect
NEGLIGIBLE = 1e-3  # of the tolerance: a gradient of 0 looks so in float32
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
    squares, rounded, scattered = dict.fromkeys(named, 0.0), dict.fromkeys(named, 0.0), dict.fromkeys(named, 0.0)

    unused = set(named)

    def square_of(name: str) -> float:
        """What a 1 % error does: a scaling, or errors of random signs where scaling does next to nothing."""
        return scattered[name] if squares[name] <= SCALE_FREE**2 * scattered[name] else squares[name]

    with _requiring_grad(list(named.values())), torch.enable_grad():
        once = probe.tolerance**2 * probe.truth.shape[1]  # what a draw has to exceed on average
        allowed = 0.0
        for gradients in _projected_gradients(module, probe.images, list(named.values())):
            for (name, parameter), gradient in zip(named.items(), gradients, strict=True):
                if gradient is not None:
                    unused.discard(name)
                    square = (CHANGE * _dot(gradient, parameter.detach())) ** 2
                    squares[name] += square
                    if square <= once:  # else it is not scale-free, and this need not be known
                        scattered[name] += CHANGE**2 * _sum_of_squares(gradient, parameter.detach())
                    rounded[name] += _dot(gradient, _rounding(parameter)) ** 2
            del gradients  # as large as the weights; enumerate() too would keep them while the next ones are made
            allowed += once
            if sum(square_of(name) > allowed for name in named) < HOPELESS * len(named):
                break  # no further draw would make it enough
    uncovered = tuple(name for name in named if not square_of(name) > allowed)
    return Coverage(
        len(named),
        uncovered,
        tuple(name for name, square in rounded.items() if name in fine and not square > allowed),
        details={
            name: _detail(named[name], math.sqrt(square_of(name) / allowed) if allowed else 0.0, unused=name in unused)
            for name in uncovered
        },
    )


def _detail(parameter: Tensor, effect: float, *, unused: bool) -> UncoveredTensor:
    """Why a tensor is not covered: `effect` is what a 1 % error in it does, in tolerances."""
    shape = tuple(parameter.shape)
    if unused or not effect > 0:
        return UncoveredTensor(shape, "unused" if unused else "no_effect")
    return UncoveredTensor(shape, "weak" if effect > NEGLIGIBLE else "no_effect", min(1.0, effect))


def _dot(gradient: Tensor, change: Tensor) -> float:
    return float(torch.dot(gradient.flatten(), change.flatten()))


def _sum_of_squares(gradient: Tensor, parameter: Tensor) -> float:
    """What changes of random signs do: the mean, over signs s, of `(gradient · (s * parameter))²`."""
    return float(torch.linalg.vector_norm(gradient * parameter)) ** 2


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
