"""A part of the training split that is kept out of training, to choose by; the test split decides nothing."""

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


def hold_out(train: Batches, share: float, seed: int) -> tuple[Subset, Subset]:
    """What is trained on and what is kept out: `share` of each class, drawn by `seed`.

    Raises:
        UsageError: one of the two would be empty.
    """
    labels = train.labels.cpu()
    generator = torch.Generator().manual_seed(seed)
    kept, out = [], []
    for label in sorted(set(labels.tolist())):
        index = (labels == label).nonzero().flatten()
        index = index[torch.randperm(len(index), generator=generator)]
        count = min(round(share * len(index)), len(index) - 1)
        out.append(index[:count])
        kept.append(index[count:])
    train_index, out_index = torch.cat(kept).sort().values, torch.cat(out).sort().values
    if not len(out_index):
        alone = int(torch.bincount(labels).max()) == 1
        raise UsageError(
            f"A hold-out of {share:g} keeps no image of {len(labels):,} out"
            + (", as it leaves one of each class to train on." if alone else "."),
            "Add images, or leave --hold-out out." if alone else "Say a larger --hold-out.",
        )
    return Subset(train, train_index), Subset(train, out_index)
