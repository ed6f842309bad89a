"""Mixup (arXiv:1710.09412) and CutMix (arXiv:1905.04899), and the loss of mixed batches."""

import math
import random
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.models.losses import LossFunction


@dataclass(frozen=True)
class MixedBatch:
    """A batch of images with their weighted targets.

    Args:
        images: float32 `[B, C, H, W]`.
        targets: pairs of a weight and class indices int64 `[B]`; the weights sum to 1.
    """

    images: Tensor
    targets: tuple[tuple[float, Tensor], ...]

    def loss(self, loss: LossFunction, logits: Tensor) -> Tensor:
        """The weighted sum of the losses of the targets, a scalar.

        The weights are the same for the whole batch, so this suits any loss, also of class indices. For losses that
        are linear in the target, such as cross_entropy and bce_with_logits, it equals the loss of the soft labels.
        """
        if len(self.targets) == 1:
            return loss(logits, self.targets[0][1])
        return torch.stack([weight * loss(logits, labels) for weight, labels in self.targets]).sum()


def mix(images: Tensor, labels: Tensor, mixup: float, cutmix: float, generator: torch.Generator) -> MixedBatch:
    """Mix each image of a shuffled batch with the one before it.

    One weight for the whole batch is drawn from Beta(alpha, alpha). Mixup blends the two images with it. CutMix pastes
    a rectangle of that area from one image into the other, at the same place in the whole batch. With both, each batch
    uses one of them, with equal probability.

    Args:
        images: float32 `[B, C, H, W]`, on any device.
        labels: class indices, int64 `[B]`.
        mixup, cutmix: alpha; 0 is off. If both are off, no random numbers are drawn.
        generator: on the CPU.
    """
    if not mixup and not cutmix:
        return MixedBatch(images, ((1.0, labels),))
    cut = not mixup or (bool(cutmix) and bool(torch.rand((), generator=generator) < 0.5))
    alpha = cutmix if cut else mixup
    seed = int(torch.randint(2**63 - 1, (), generator=generator))
    weight = random.Random(seed).betavariate(alpha, alpha)  # PyTorch's Beta takes no generator
    other = images.roll(1, 0)
    if cut:
        height, width = images.shape[2:]
        top, below = _span(height, weight, generator)
        left, right = _span(width, weight, generator)
        images = images.clone()
        images[..., top:below, left:right] = other[..., top:below, left:right]
        weight = 1 - (below - top) * (right - left) / (height * width)
    else:
        images = other.lerp(images, weight)
    return MixedBatch(images, ((weight, labels), (1 - weight, labels.roll(1, 0))))


def _span(side: int, weight: float, generator: torch.Generator) -> tuple[int, int]:
    """Start and end, along one side, of a rectangle with a random centre, cropped to the image."""
    half = int(side * math.sqrt(1 - weight) / 2)
    centre = int(torch.randint(side, (), generator=generator))
    return max(centre - half, 0), min(centre + half, side)
