"""Images mixed in pairs, and the loss of the mixture: mixup (arXiv:1710.09412) and CutMix (arXiv:1905.04899)."""

import math
import random
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.models.losses import LossFunction


@dataclass(frozen=True)
class MixedBatch:
    """A batch, and what its images show.

    Args:
        images: float32 `[B, C, H, W]`.
        targets: shares that sum to 1, each with the class indices int64 `[B]` that it stands for.
    """

    images: Tensor
    targets: tuple[tuple[float, Tensor], ...]

    def loss(self, loss: LossFunction, logits: Tensor) -> Tensor:
        """The sum over the targets of their share times their loss, a scalar.

        As the share is the same for the whole batch, that is right for any loss, one of class indices too. Where a
        loss is linear in the target, as cross_entropy and bce_with_logits are, with weights too, it is the loss of the
        soft labels themselves.
        """
        if len(self.targets) == 1:
            return loss(logits, self.targets[0][1])
        return torch.stack([share * loss(logits, labels) for share, labels in self.targets]).sum()


def mix(images: Tensor, labels: Tensor, mixup: float, cutmix: float, generator: torch.Generator) -> MixedBatch:
    """Mix each image of a batch in random order with the one before it.

    The share is drawn from Beta(alpha, alpha), one for the batch. Mixup adds the two images by their shares. CutMix
    puts a rectangle of the one into the other, at one place for the batch, and its area is the share. Where both
    are asked for, one of them is chosen for each batch, as likely as the other.

    Args:
        images: float32 `[B, C, H, W]`, on any device.
        labels: class indices, int64 `[B]`.
        mixup, cutmix: alpha; 0 for off. Where both are off, nothing is drawn.
        generator: on the CPU.
    """
    if not mixup and not cutmix:
        return MixedBatch(images, ((1.0, labels),))
    cut = not mixup or (bool(cutmix) and bool(torch.rand((), generator=generator) < 0.5))
    alpha = cutmix if cut else mixup
    seed = int(torch.randint(2**63 - 1, (), generator=generator))
    share = random.Random(seed).betavariate(alpha, alpha)  # torch has none that takes a generator
    other = images.roll(1, 0)
    if cut:
        height, width = images.shape[2:]
        top, below = _span(height, share, generator)
        left, right = _span(width, share, generator)
        images = images.clone()
        images[..., top:below, left:right] = other[..., top:below, left:right]
        share = 1 - (below - top) * (right - left) / (height * width)
    else:
        images = other.lerp(images, share)
    return MixedBatch(images, ((share, labels), (1 - share, labels.roll(1, 0))))


def _span(side: int, share: float, generator: torch.Generator) -> tuple[int, int]:
    """Of a rectangle about a random centre, from where to where it reaches in the image."""
    half = int(side * math.sqrt(1 - share) / 2)
    centre = int(torch.randint(side, (), generator=generator))
    return max(centre - half, 0), min(centre + half, side)
