"""From a batch as it is stored to what the model is trained on: augmented, normalised, mixed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from zoo.contract.preprocess import Preprocess
from zoo.training.augment.erase import erase
from zoo.training.augment.mix import MixedBatch, mix
from zoo.training.augment.shift import augment
from zoo.training.plan import Plan
from zoo.training.recipe.recipe import Recipe


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
        self._layout = torch.contiguous_format if self.device.type == "mps" else torch.channels_last
        self._mean, self._std = self._image(self.preprocess.mean), self._image(self.preprocess.std)
        self._fill = (self._mean[0, :, 0, 0] * 255).round().clamp(0, 255).to(torch.uint8)
        if self.recipe.aa == "trivial":
            from zoo.training.augment.trivial import trivial_augment  # imports torchvision, which takes seconds

            self._trivial = trivial_augment

    def __call__(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> MixedBatch:
        """Augment a batch.

        Args:
            images: uint8 `[B, C, H, W]`, on the device.
            labels: class indices, int64 `[B]`, on the device.
            generator: on the CPU.
        """
        images = augment(images, self.plan.crop, self.plan.hflip, generator)
        if self._trivial is not None:
            images = self._trivial(images, generator)
        images = erase(images, self.recipe.reprob, self._fill, generator)
        images = images.contiguous(memory_format=self._layout).float()  # laid out while a pixel is a byte
        images = images.div_(255).sub_(self._mean).div_(self._std)
        mixed = mix(images, labels, self.recipe.mixup, self.recipe.cutmix, generator)
        return replace(mixed, images=mixed.images.contiguous(memory_format=self._layout))

    def _image(self, values: Sequence[float]) -> Tensor:
        """An image `[1, C, H, W]` of one value a channel: subtracted as a whole, it is three times as fast."""
        values_C = torch.tensor(values, device=self.device)
        image = values_C.view(1, -1, 1, 1).expand(1, -1, *self.preprocess.size)
        return image.contiguous(memory_format=self._layout)
