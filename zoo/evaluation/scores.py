"""What a confusion matrix comes to: an interval for the accuracy, the scores of each class, the worst confusions."""

import math
from dataclasses import dataclass

from torch import Tensor

Z95 = 1.959963984540054  # the normal distribution lies within this many deviations of its mean for 95 %


@dataclass(frozen=True)
class ClassScore:
    """How one class fared. A score that nothing was measured for is `None`.

    Args:
        right: images of the class that were classified so.
        support: images of the class.
        predicted: images that were classified so.
        precision: `right / predicted`; `None` where the class has no images or was never predicted.
        recall: `right / support`; `None` where the class has no images.
        f1: `2 * right / (support + predicted)`; `None` where the class has no images.
    """

    right: int
    support: int
    predicted: int

    @property
    def precision(self) -> float | None:
        return self.right / self.predicted if self.support and self.predicted else None

    @property
    def recall(self) -> float | None:
        return self.right / self.support if self.support else None

    @property
    def f1(self) -> float | None:
        return 2 * self.right / (self.support + self.predicted) if self.support else None


@dataclass(frozen=True)
class Confusion:
    """`count` images of class `true` were classified as `predicted`, which is `share` (0 to 1) of that class."""

    true: int
    predicted: int
    count: int
    share: float


def wilson(right: int, n: int) -> tuple[float, float]:
    """The 95 % score interval (Wilson 1927) of a share of `right` in `n` independent images.

    It stays inside 0 to 1 and, unlike the one of a normal distribution, has a width where all or none are right.

    Raises:
        ValueError: not `0 <= right <= n`, or `n` is 0.
    """
    if not 0 <= right <= n or n == 0:
        raise ValueError(f"{right} of {n} is no share")
    share, spread = right / n, Z95**2 / n
    middle = (share + spread / 2) / (1 + spread)
    half = math.sqrt(share * (1 - share) * spread + spread**2 / 4) / (1 + spread)
    return max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))


def class_scores(confusion: Tensor) -> list[ClassScore]:
    """The score of each class, from int64 `[K, K]`, true class by predicted class."""
    counts = (confusion.diagonal(), confusion.sum(1), confusion.sum(0))
    return [ClassScore(*row) for row in zip(*(count.tolist() for count in counts), strict=True)]


def worst_confusions(confusion: Tensor, limit: int) -> list[Confusion]:
    """At most `limit` pairs of different classes, those with most images first, then by class; none without images.

    Args:
        confusion: int64 `[K, K]`, true class by predicted class, on the CPU.
    """
    wrong = confusion.clone().fill_diagonal_(0)
    # a stable sort, as the order of equal counts must be the same everywhere
    order = wrong.flatten().sort(descending=True, stable=True).indices[:limit]
    support, classes = confusion.sum(1), len(confusion)
    found = [(cell // classes, cell % classes) for cell in order.tolist()]
    return [
        Confusion(true, predicted, int(wrong[true, predicted]), int(wrong[true, predicted]) / int(support[true]))
        for true, predicted in found
        if wrong[true, predicted] > 0
    ]
