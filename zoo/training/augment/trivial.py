"""TrivialAugment Wide (Müller and Hutter, arXiv:2103.10158): one random operation of random strength for each image."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.training.augment import colour, warp
from zoo.training.step_rng import to_device

BINS = 31  # strengths of each operation


@dataclass(frozen=True)
class Warp:
    """An affine operation: `matrices(strength [N], height, width)`, with strengths from `-largest` to `largest`."""

    matrices: Callable[[Tensor, int, int], Tensor]
    largest: float

    def strengths(self, bins: Tensor, signs: Tensor) -> Tensor:
        """Strengths float64 `[N]` of these bins and signs."""
        return signs * torch.linspace(0, self.largest, BINS)[bins].double()


@dataclass(frozen=True)
class Factor:
    """A colour operation with a factor from 0.01 to 1.99: `apply(images, factor)`."""

    apply: Callable[[Tensor, Tensor], Tensor]

    def strengths(self, bins: Tensor, signs: Tensor) -> Tensor:
        """Strengths float64 `[N]` of these bins and signs."""
        return 1 + signs * torch.linspace(0, 0.99, BINS)[bins].double()


@dataclass(frozen=True)
class Level:
    """A colour operation `apply(images, level)` with levels from `weakest` to `strongest`, rounded if `whole`."""

    apply: Callable[[Tensor, Tensor], Tensor]
    weakest: float
    strongest: float
    whole: bool = False

    def strengths(self, bins: Tensor, signs: Tensor) -> Tensor:
        """Strengths float64 `[N]` of these bins."""
        levels = self.weakest + (self.strongest - self.weakest) * bins.double() / (BINS - 1)
        return levels.round() if self.whole else levels


@dataclass(frozen=True)
class Plain:
    """An operation without a strength: `apply(images)`."""

    apply: Callable[[Tensor], Tensor]


OPERATIONS: dict[str, Warp | Factor | Level | Plain] = {
    "identity": Plain(lambda images: images),
    "shear_x": Warp(warp.shear_x, 0.99),
    "shear_y": Warp(warp.shear_y, 0.99),
    "translate_x": Warp(warp.translate_x, 32),
    "translate_y": Warp(warp.translate_y, 32),
    "rotate": Warp(warp.rotate, 135),
    "brightness": Factor(colour.brightness),
    "saturation": Factor(colour.saturation),
    "contrast": Factor(colour.contrast),
    "sharpness": Factor(colour.sharpness),
    "posterize": Level(colour.posterize, 8, 2, whole=True),
    "solarize": Level(colour.solarize, 255, 0),
    "autocontrast": Plain(colour.autocontrast),
    "equalize": Plain(colour.equalize),
}


def trivial_augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Apply one operation to each image, of one of 31 strengths, all with equal probability.

    The operations and strengths are those of torchvision's `TrivialAugmentWide`. The border is black. Greyscale images
    have no saturation, so that operation is left out for them.

    Args:
        images: uint8 `[B, C, H, W]`, of 1 or 3 channels, on any device.
        generator: on the CPU.

    Returns:
        uint8 `[B, C, H, W]`.
    """
    n, channels, height, width = images.shape
    names = [name for name in OPERATIONS if channels == 3 or name != "saturation"]
    operations_B = torch.randint(len(names), (n,), generator=generator)
    bins = torch.randint(BINS, (n,), generator=generator)
    signs = torch.randint(2, (n,), generator=generator) * 2 - 1
    result, device = images.clone(), images.device
    warped, matrices = [], []
    for number, name in enumerate(names):
        operation = OPERATIONS[name]
        rows = (operations_B == number).nonzero().squeeze(1)  # on the CPU, so that nothing waits for the device
        if not len(rows):
            continue
        if isinstance(operation, Warp):
            warped.append(rows)
            matrices.append(operation.matrices(operation.strengths(bins[rows], signs[rows]), height, width))
            continue
        index = to_device(rows, device)
        if isinstance(operation, Plain):
            result[index] = operation.apply(images[index])
        else:
            strengths = operation.strengths(bins[rows], signs[rows]).float()
            result[index] = operation.apply(images[index], to_device(strengths, device))
    if warped:
        index = to_device(torch.cat(warped), device)
        result[index] = warp.warp(images[index], torch.cat(matrices))
    return result
