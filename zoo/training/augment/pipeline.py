"""The augmentation of a batch: from stored uint8 images to the normalised, mixed input of the model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from zoo.contract.preprocess import Preprocess
from zoo.training.augment.erase import erase
from zoo.training.augment.mix import MixedBatch, mix
from zoo.training.augment.shift import shift_and_flip
from zoo.training.plan import Plan
from zoo.training.recipe.recipe import Recipe


@dataclass
class Augmenter:
    """Augments as the recipe says, on the device and without waiting for it.

    The order is: shift and flip, TrivialAugment, and erasing, on uint8; then normalisation; then mixup or CutMix. An
    augmentation that is off draws no random numbers, so that adding one to zoo changes no existing recipe.
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
            from zoo.training.augment.trivial import trivial_augment  # torchvision takes seconds to import

            self._trivial = trivial_augment

    def __call__(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> MixedBatch:
        """Augment a batch.

        Args:
            images: uint8 `[B, C, H, W]`, on the device.
            labels: class indices, int64 `[B]`, on the device.
            generator: on the CPU.
        """
        images = shift_and_flip(images, self.plan.crop, self.plan.hflip, generator)
        if self._trivial is not None:
            images = self._trivial(images, generator)
        images = erase(images, self.recipe.reprob, self._fill, generator)
        images = images.contiguous(memory_format=self._layout).float()  # change the layout while a value is one byte
        # as `zoo.data.images.normalise`, in place: that makes two more copies of the batch
        images = images.div_(255).sub_(self._mean).div_(self._std)
        mixed = mix(images, labels, self.recipe.mixup, self.recipe.cutmix, generator)
        return replace(mixed, images=mixed.images.contiguous(memory_format=self._layout))

    def _image(self, values: Sequence[float]) -> Tensor:
        """One value a channel as an image `[1, C, H, W]`: subtracting it is three times as fast as broadcasting."""
        values_C = torch.tensor(values, device=self.device)
        image = values_C.view(1, -1, 1, 1).expand(1, -1, *self.preprocess.size)
        return image.contiguous(memory_format=self._layout)
