"""Classes with unequal numbers of images: class weights for the loss, and a sampler that balances classes."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from zoo.contract.errors import UsageError
from zoo.contract.specs import Loss

WEIGHT_PARAMS = ("class_weights", "weight", "pos_weight")  # parameters of losses that take a number for each class


def class_weights(labels: Tensor, num_classes: int) -> tuple[float, ...]:
    """Class weights that are inversely proportional to the number of images: `N / (classes with images · n)`.

    Their mean over the images is 1. A class without images has weight 0, or label smoothing would count it.

    Args:
        labels: int64 `[N]`, N from 1.
    """
    counts = torch.bincount(labels.cpu(), minlength=num_classes)
    present = int((counts > 0).sum())
    return tuple(len(labels) / (present * count) if count else 0.0 for count in counts.tolist())


def weights_param(spec: Loss, params: Mapping[str, Any]) -> str:
    """The name of the parameter of a loss that takes class weights.

    Args:
        params: the parameters that the recipe sets.

    Raises:
        UsageError: the loss has no such parameter, or the recipe sets it.
    """
    names = [name for name in WEIGHT_PARAMS if name in spec.params and isinstance(spec.params[name].default, tuple)]
    if not names:
        raise UsageError(
            f"`--balance weights` requires a loss with class weights, and {spec.name} has none.",
            "Use --balance sampler, or --loss cross_entropy.",
        )
    if params.get(names[0]):
        raise UsageError(
            f"`--balance weights` and `--loss-param {names[0]}` both set the class weights.", "Leave one of them out."
        )
    return names[0]


def balanced_sampler(labels: Tensor, generator: torch.Generator) -> Tensor:
    """Draw as many indices as there are images, with replacement: classes are equally likely, and so are the images
    of a class.

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
    fraction = torch.rand(len(labels), generator=generator, dtype=torch.float64)
    return by_class[starts[drawn] + (fraction * counts[drawn]).long()]
