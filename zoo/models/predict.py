"""Classify images: from paths, PIL images or arrays to the likeliest classes."""

from collections.abc import Callable, Iterator, Sequence
from operator import index
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from zoo.contract.errors import DataError, UsageError, WeightsError
from zoo.contract.prediction import Prediction
from zoo.contract.preprocess import Preprocess
from zoo.data.images import fit_image, normalise, open_image
from zoo.models.arguments import check_integer

ImageLike = str | PathLike[str] | Image.Image | npt.NDArray[np.uint8]
"""A path, a PIL image, or a uint8 array `[H, W]`, `[H, W, 1]` or `[H, W, 3]`."""

BATCH = 32  # images that go through the model at once


def predict(
    run: Callable[[Tensor], Tensor],
    images: Sequence[ImageLike],
    preprocess: Preprocess,
    labels: Sequence[str],
    top: int = 5,
) -> list[list[Prediction]]:
    """Classify `images`.

    Args:
        run: from float32 `[N, C, H, W]`, normalised, to logits `[N, K]`, both on the CPU.
        labels: K class names.
        top: the number of classes for each image, likeliest first; all K if there are fewer.

    Raises:
        UsageError: `top` is below 1, or an item is of another type than `ImageLike`.
        DataError: an image cannot be read.
        WeightsError: the logits are not finite.
    """
    if top is None:
        raise UsageError("top=None is not an integer.", "Use an integer, 1 or more.")
    check_integer("top", top, 1)
    return [
        ranked for chunk in _chunks(images) for ranked in _predict_chunk(run, chunk, preprocess, labels, index(top))
    ]


def _predict_chunk(
    run: Callable[[Tensor], Tensor],
    images: Sequence[ImageLike],
    preprocess: Preprocess,
    labels: Sequence[str],
    top: int,
) -> Iterator[list[Prediction]]:
    pixels = np.stack([fit_image(_opened(image), preprocess) for image in images])
    logits = run(normalise(torch.from_numpy(pixels), preprocess))
    for image, row in zip(images, logits.double(), strict=True):
        if not bool(row.isfinite().all()):
            raise WeightsError(
                f"The model's logits for {_name(image)} are not finite.", "Check the weights with `zoo weights verify`."
            )
        probabilities, order = row.softmax(0), row.argsort(descending=True, stable=True)[:top]
        yield [Prediction(labels[each], each, float(probabilities[each])) for each in order.tolist()]


def _chunks(images: Sequence[ImageLike]) -> Iterator[Sequence[ImageLike]]:
    for start in range(0, len(images), BATCH):
        yield images[start : start + BATCH]


def _opened(image: Any) -> Any:
    if isinstance(image, str | PathLike):
        return open_image(Path(image))
    if isinstance(image, Image.Image):
        return image
    if not isinstance(image, np.ndarray):
        raise UsageError(
            f"An object of type {type(image).__name__} is not an image that zoo can read.",
            "Pass a path, a PIL image, or a uint8 array [H, W] or [H, W, 3].",
        )
    if image.dtype == np.uint8 and 0 not in image.shape and (image.ndim == 2 or image.shape[2:] in ((1,), (3,))):
        return image
    raise DataError(
        f"An array of dtype {image.dtype} and shape {image.shape} is not an image that zoo can read.",
        "Pass uint8 [H, W] or [H, W, 3]; several as a list.",
    )


def _name(image: ImageLike) -> str:
    return fspath(image) if isinstance(image, str | PathLike) else "the image"
