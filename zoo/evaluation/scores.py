"""Statistics of a confusion matrix: an interval for the accuracy, per-class scores, the most frequent confusions."""

import math
from dataclasses import dataclass

from torch import Tensor

Z95 = 1.959963984540054  # the 97.5 % quantile of the standard normal distribution


@dataclass(frozen=True)
class ClassScore:
    """The scores of one class. A score that is undefined is `None`.

    Args:
        correct: images of the class that were predicted correctly.
        support: images of the class.
        predicted: images that were predicted as the class.
        precision: `correct / predicted`; `None` if the class has no images or was never predicted.
        recall: `correct / support`; `None` if the class has no images.
        f1: `2 * correct / (support + predicted)`; `None` if the class has no images.
    """

    correct: int
    support: int
    predicted: int

    @property
    def precision(self) -> float | None:
        return self.correct / self.predicted if self.support and self.predicted else None

    @property
    def recall(self) -> float | None:
        return self.correct / self.support if self.support else None

    @property
    def f1(self) -> float | None:
        return 2 * self.correct / (self.support + self.predicted) if self.support else None


@dataclass(frozen=True)
class Confusion:
    """`count` images of the class `true` were predicted as `predicted`, a `fraction` (0 to 1) of that class."""

    true: int
    predicted: int
    count: int
    fraction: float


def wilson(correct: int, n: int) -> tuple[float, float]:
    """Return the 95 % score interval (Wilson 1927) of the accuracy `correct / n` on `n` independent images.

    It lies within 0 and 1. Unlike the normal approximation, it has a width if all or no images are correct.

    Raises:
        ValueError: `n` is 0, or `correct` is not in `[0, n]`.
    """
    if not 0 <= correct <= n or n == 0:
        raise ValueError(f"need 0 <= correct <= n and n > 0, not correct={correct} and n={n}")
    accuracy, spread = correct / n, Z95**2 / n
    middle = (accuracy + spread / 2) / (1 + spread)
    half = math.sqrt(accuracy * (1 - accuracy) * spread + spread**2 / 4) / (1 + spread)
    return max(0.0, min(accuracy, middle - half)), min(1.0, max(accuracy, middle + half))


def class_scores(confusion: Tensor) -> list[ClassScore]:
    """Return the scores of each class.

    Args:
        confusion: int64 `[K, K]`, true class by predicted class.
    """
    counts = (confusion.diagonal(), confusion.sum(1), confusion.sum(0))
    return [ClassScore(*row) for row in zip(*(count.tolist() for count in counts), strict=True)]


def worst_confusions(confusion: Tensor, limit: int) -> list[Confusion]:
    """Return the `limit` most frequent pairs of true and predicted class, by count, then by class index.

    Pairs without images are left out.

    Args:
        confusion: int64 `[K, K]`, true class by predicted class, on the CPU.
    """
    wrong = confusion.clone().fill_diagonal_(0)
    # stable, so that equal counts have the same order on every machine
    order = wrong.flatten().sort(descending=True, stable=True).indices[:limit]
    support, classes = confusion.sum(1), len(confusion)
    pairs = [(cell // classes, cell % classes) for cell in order.tolist()]
    return [
        Confusion(true, predicted, int(wrong[true, predicted]), int(wrong[true, predicted]) / int(support[true]))
        for true, predicted in pairs
        if wrong[true, predicted] > 0
    ]
