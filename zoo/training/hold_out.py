"""A part of the training split held out for validation: the test split never decides which epoch is stored."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.contract.errors import UsageError
from zoo.data.batches import Batch, Batches


@dataclass
class Subset:
    """Some of the images of a split, as `Batches`."""

    whole: Batches
    index: Tensor  # int64 [M], into the split

    @property
    def n(self) -> int:
        """The number of images."""
        return len(self.index)

    @property
    def labels(self) -> Tensor:
        """The class of each image, int64 `[M]`."""
        return self.whole.labels[self.index.to(self.whole.labels.device)]

    def epoch(self, batch_size: int, order: Tensor | None = None) -> Iterator[Batch]:
        """As `Batches.epoch`; `order` counts within the subset."""
        return self.whole.epoch(batch_size, self.index if order is None else self.index[order])


def hold_out(train: Batches, fraction: float, seed: int) -> tuple[Subset, Subset]:
    """The images to train on, and those held out: a fraction of each class, drawn with `seed`.

    At least one image of each class is left to train on.

    Args:
        fraction: from above 0 to below 1.

    Raises:
        UsageError: no image would be held out.
    """
    labels = train.labels.cpu()
    generator = torch.Generator().manual_seed(seed)
    kept, out = [], []
    for label in sorted(set(labels.tolist())):
        index = (labels == label).nonzero().flatten()
        index = index[torch.randperm(len(index), generator=generator)]
        count = min(round(fraction * len(index)), len(index) - 1)
        out.append(index[:count])
        kept.append(index[count:])
    train_index, out_index = torch.cat(kept).sort().values, torch.cat(out).sort().values
    if not len(out_index):
        one_each = int(torch.bincount(labels).max()) == 1
        raise UsageError(
            f"`--hold-out {fraction:g}` holds out none of {len(labels):,} training images"
            + (": each class has only one." if one_each else "."),
            "Add images, or leave out --hold-out." if one_each else "Use a larger --hold-out.",
        )
    return Subset(train, train_index), Subset(train, out_index)
