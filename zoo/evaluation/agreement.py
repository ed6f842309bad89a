"""Compare what two models predict, image by image: how often they agree, and the images on which they do not."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.evaluation.evaluate import Evaluation


@dataclass(frozen=True)
class Flip:
    """An image that a model and an exported file put into different classes.

    Args:
        index: of the image in the split, from 0.
        file: the image's path; empty if the data set does not name files.
        label: the class of the image.
        model, artifact: the classes that the model and the exported file predict.
        model_margin, artifact_margin: the largest logit of each minus its second largest. Where both are small, as
            against the size of the logits, rounding alone may choose the class.
    """

    index: int
    file: str
    label: str
    model: str
    artifact: str
    model_margin: float
    artifact_margin: float


@dataclass(frozen=True)
class ComparedEvaluation(Evaluation):
    """The metrics of an exported file, and how it compares with a model on the same images.

    Args:
        flips: the images on which their predictions differ, in order; `None` if there is no model to compare with.
    """

    flips: tuple[Flip, ...] | None = None

    @property
    def agreement(self) -> float | None:
        """The fraction of images, 0 to 1, for which both predict the same class; `None` without a model."""
        return None if self.flips is None else (self.n - len(self.flips)) / self.n


@dataclass(frozen=True)
class ModelEvaluation(Evaluation):
    """The metrics of the model that exported files are compared with.

    Args:
        model: its name.
    """

    model: str


class Decisions:
    """The class that a model predicts for each image, and by what margin, batch by batch."""

    def __init__(self) -> None:
        self._predicted: list[Tensor] = []
        self._margins: list[Tensor] = []

    def add(self, logits: Tensor) -> None:
        """Add a batch of logits `[B, K]`."""
        largest = logits.topk(min(2, logits.shape[1])).values
        self._predicted.append(logits.argmax(1).cpu())
        self._margins.append((largest[:, 0] - largest[:, -1]).cpu())

    @property
    def predicted(self) -> Tensor:
        """The predicted class of each image, int64 `[N]`."""
        return torch.cat(self._predicted)

    @property
    def margins(self) -> Tensor:
        """The largest logit minus the second largest, float `[N]`; 0 for a single class."""
        return torch.cat(self._margins)


def flips(
    model: Decisions,
    artifact: Decisions,
    labels: Tensor,
    classes: Sequence[str],
    index: Tensor | None = None,
    files: Sequence[object] | None = None,
) -> tuple[Flip, ...]:
    """The images on which two models decide differently.

    Args:
        labels: the class of each image, int64 `[N]`, on the CPU.
        classes: class names.
        index: the index of each image in the data set, int64 `[N]`; `None` for `0` to `N-1`.
        files: the path of each image of the data set, if it has paths.
    """
    ours, theirs, our_margins, their_margins = model.predicted, artifact.predicted, model.margins, artifact.margins
    result = []
    for position in (ours != theirs).nonzero().flatten().tolist():
        place = position if index is None else int(index[position])
        result.append(
            Flip(
                index=place,
                file="" if files is None else str(files[place]),
                label=classes[int(labels[position])],
                model=classes[int(ours[position])],
                artifact=classes[int(theirs[position])],
                model_margin=float(our_margins[position]),
                artifact_margin=float(their_margins[position]),
            )
        )
    return tuple(result)
