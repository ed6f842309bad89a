"""From a batch as it is stored to what the model is trained on: augmented, normalised, mixed."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from zoo.preprocess import Preprocess
from zoo.training.augment import augment
from zoo.training.erase import erase
from zoo.training.mix import Mixed, mix
from zoo.training.plan import Plan
from zoo.training.recipe import Recipe


@dataclass
class Augmenter:
    """Does all that the recipe says, on the device and without waiting for it.

    The order is: shift and mirror, TrivialAugment, erasing, all on uint8; then, normalised, mixup or CutMix. What is
    off draws nothing, so that a recipe without it draws what it drew before there was any.
    """

    plan: Plan
    recipe: Recipe
    preprocess: Preprocess
    device: torch.device
    _trivial: Callable[[Tensor, torch.Generator], Tensor] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        statistics = (self.preprocess.mean, self.preprocess.std)
        self._mean, self._std = (torch.tensor(values, device=self.device).view(-1, 1, 1) for values in statistics)
        self._fill = (self._mean.flatten() * 255).round().clamp(0, 255).to(torch.uint8)
        if self.recipe.trivial_augment:
            from zoo.training.trivial import trivial_augment  # imports torchvision, which takes seconds

            self._trivial = trivial_augment

    def __call__(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> Mixed:
        """Augment a batch.

        Args:
            images: uint8 `[B, C, H, W]`, on the device.
            labels: class indices, int64 `[B]`, on the device.
            generator: on the CPU.
        """
        images = augment(images, self.plan.crop, self.plan.hflip, generator)
        if self._trivial is not None:
            images = self._trivial(images, generator)
        images = erase(images, self.recipe.erase, self._fill, generator)
        images = (images.float() / 255 - self._mean) / self._std
        mixed = mix(images, labels, self.recipe.mixup, self.recipe.cutmix, generator)
        if self.device.type == "mps":
            return mixed
        return replace(mixed, images=mixed.images.contiguous(memory_format=torch.channels_last))
