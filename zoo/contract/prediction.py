"""What a classifier predicts for an image."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Prediction:
    """One class of one image.

    Args:
        label: the name of the class.
        index: its position among the logits, from 0.
        probability: softmax of the logits, from 0 to 1.
    """

    label: str
    index: int
    probability: float
