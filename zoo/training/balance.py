"""Classes of unequal numbers of images: weights for the loss, and draws that meet each class as often."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from zoo.contract.errors import UsageError
from zoo.contract.specs import Loss

TAKE_WEIGHTS = ("class_weights", "weight", "pos_weight")  # parameters of a loss that mean a number for each class


def class_weights(labels: Tensor, num_classes: int) -> tuple[float, ...]:
    """A weight for each class in inverse proportion to its number of images: `N / (classes with images · n)`.

    The mean over the images is 1. A class without images has the weight 0: it is not met, but smoothed labels would
    count it.

    Args:
        labels: int64 `[N]`, N from 1.
    """
    counts = torch.bincount(labels.cpu(), minlength=num_classes)
    met = int((counts > 0).sum())
    return tuple(len(labels) / (met * count) if count else 0.0 for count in counts.tolist())


def weights_param(spec: Loss, given: Mapping[str, Any]) -> str:
    """The parameter of a loss that takes a weight for each class.

    Args:
        given: the parameters that are set already.

    Raises:
        UsageError: it has none, or it is set already.
    """
    found = [name for name in TAKE_WEIGHTS if name in spec.params and isinstance(spec.params[name].default, tuple)]
    if not found:
        raise UsageError(
            f"The loss {spec.name} takes no weight for each class, so --balance weights cannot be done with it.",
            "Say --balance sampler, or --loss cross_entropy.",
        )
    if given.get(found[0]):
        raise UsageError(
            f"Both --balance weights and --loss-param {found[0]} say what each class counts.", "Leave one of them out."
        )
    return found[0]


def balanced_sampler(labels: Tensor, generator: torch.Generator) -> Tensor:
    """As many indices as there are images, with replacement: each class as likely, and each image of a class.

    Args:
        labels: int64 `[N]`, on the CPU.
        generator: on the CPU.

    Returns:
        int64 `[N]`.
    """
    by_class = labels.argsort(stable=True)
    counts = torch.bincount(labels)
    counts = counts[counts > 0]
    starts = counts.cumsum(0) - counts
    drawn = torch.randint(len(counts), (len(labels),), generator=generator)
    share = torch.rand(len(labels), generator=generator, dtype=torch.float64)
    return by_class[starts[drawn] + (share * counts[drawn]).long()]
