"""A part of the training split that is kept out of training, to choose by; the test split decides nothing."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.batches import Batch, Batches, Resident, Streamed, read_item
from zoo.errors import UsageError


@dataclass
class Subset:
    """Some of the images of a split, as `Batches`."""

    whole: Batches
    index: Tensor  # int64 [M], into the split

    @property
    def n(self) -> int:
        """The number of images."""
        return len(self.index)

    def epoch(self, batch_size: int, order: Tensor | None = None) -> Iterator[Batch]:
        """As `Batches.epoch`; `order` counts within the subset."""
        return self.whole.epoch(batch_size, self.index if order is None else self.index[order])


def hold_out(train: Batches, share: float, seed: int) -> tuple[Subset, Subset]:
    """What is trained on and what is kept out: `share` of each class, drawn by `seed`.

    Raises:
        UsageError: one of the two would be empty.
    """
    labels = _labels(train)
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
        raise UsageError(f"A hold-out of {share:g} keeps no image of {len(labels):,} out.", "Say a larger --hold-out.")
    return Subset(train, train_index), Subset(train, out_index)


def _labels(train: Batches) -> Tensor:
    if isinstance(train, Resident):
        return train.labels.cpu()
    if isinstance(train, Streamed):
        known = getattr(train.dataset, "labels", getattr(train.dataset, "targets", None))
        if known is not None and len(known) == train.n:
            return torch.tensor([int(label) for label in known])
        return torch.tensor([read_item(train.dataset, index)[1] for index in range(train.n)])
    return torch.cat([labels.cpu() for _, labels in train.epoch(256)])
