"""A figure of a model, and the images that it is of."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A figure and what it was measured on.

    Args:
        name: `top1` or `top5` (fraction of images, 0 to 1) or `loss` (mean over images).
        dataset, split, n: the images it was measured on, and how many they were; 0 if a publication does not say.
    """

    name: str
    value: float
    dataset: str
    split: str
    n: int
