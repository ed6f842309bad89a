"""Choose the preprocessing for an architecture and a data set."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isqrt
from typing import Any

from zoo.contract.errors import UsageError
from zoo.contract.preprocess import MAX_PIXELS, Preprocess
from zoo.contract.specs import Architecture

LARGEST = isqrt(MAX_PIXELS)  # pixels a side, of a square image
IMG_SIZE = "img_size"  # the parameter of architectures that are built for one image size


@dataclass(frozen=True, kw_only=True)
class ImageStats:
    """Size, channels and statistics of the images of a data set.

    Args:
        channels: 1 or 3.
        side: height and width in pixels if all images are squares of one size, else `None`.
        mean, std: per channel on 0 to 1; empty if unknown.
        square: whether all images are squares, of any size.
    """

    channels: int
    side: int | None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    square: bool = True


@dataclass(frozen=True, kw_only=True)
class InputOverrides:
    """Image size and channels that the user chose; `None` derives them from the architecture and the data set.

    `exif_orientation` is as in `Preprocess`.
    """

    img_size: int | None = None
    channels: int | None = None
    exif_orientation: bool = False


def fit_preprocess(architecture: Architecture, images: ImageStats, overrides: InputOverrides) -> Preprocess:
    """Return the preprocessing for training `architecture` on these images.

    Size and channels are those of the images if the architecture accepts them, else those of the architecture.

    Raises:
        UsageError: the architecture does not accept the size or channels in `overrides`.
    """
    size = _size(architecture, images.side, overrides.img_size)
    channels = _channels(architecture, images.channels, overrides.channels)
    own = architecture.preprocess
    known = len(images.mean) == channels
    shorter_side = None if images.side else size  # crop images of varying shape instead of distorting them
    # The colour of borders is the mean, which may yet have to be measured on the images: they are cropped instead.
    kept = own is not None and own.size == (size, size) and not images.side and own.crop_mode != "border"
    return Preprocess(
        size=(size, size),
        mean=images.mean if known else (0.5,) * channels,
        std=images.std if known else (0.5,) * channels,
        shorter_side=own.shorter_side if own and kept else shorter_side,
        crop_mode=own.crop_mode if own and kept else "center",
        interpolation=own.interpolation if own else "bilinear",
        exif_orientation=overrides.exif_orientation,
    )


def default_preprocess(architecture: Architecture, overrides: InputOverrides) -> Preprocess:
    """Return the architecture's own preprocessing, for a model without a data set.

    Raises:
        UsageError: the architecture does not accept the size or channels in `overrides`.
    """
    channels = _channels(architecture, architecture.input_shape[0], overrides.channels)
    size = _size(architecture, None, overrides.img_size)
    own = architecture.preprocess
    if own is None:
        return Preprocess(size=(size, size), mean=(0.5,) * channels, std=(0.5,) * channels)
    if own.channels != channels:
        own = replace(own, mean=(0.5,) * channels, std=(0.5,) * channels)
    if own.size != (size, size):
        shorter_side = own.shorter_side and max(size, round(size * own.shorter_side / own.size[0]))
        own = replace(own, size=(size, size), shorter_side=shorter_side)
    return own


def chosen_size(architecture: Architecture, img_size: int | None, params: Mapping[str, Any]) -> int | None:
    """The image size that the user chose: `img_size`, or the parameter `img_size` of an architecture that has one.

    Raises:
        UsageError: both are set, and differ.
    """
    value = params.get(IMG_SIZE) if IMG_SIZE in architecture.params else None
    if value is None:
        return img_size
    side = int(value)
    if img_size not in (None, side):
        raise UsageError(
            f"--img-size {img_size} and the parameter img_size={side} of {architecture.name} differ.",
            "Leave one of them out.",
        )
    return side


def params_for_size(architecture: Architecture, params: Mapping[str, Any], side: int) -> dict[str, Any]:
    """`params`, with the image size in them if the architecture is built for one size and `side` is not its default."""
    if IMG_SIZE not in architecture.params or side == architecture.params[IMG_SIZE].default:
        return dict(params)
    return {**params, IMG_SIZE: side}


def _size(architecture: Architecture, side: int | None, override: int | None) -> int:
    if override is not None and IMG_SIZE in architecture.params and 1 <= override <= LARGEST:
        return override  # it is built for that size, or refuses

    def accepts(size: int) -> bool:
        return size in architecture.sizes if architecture.sizes else architecture.min_size <= size <= LARGEST

    if override is not None:
        if not accepts(override):
            sizes = " or ".join(map(str, architecture.sizes)) or f"from {architecture.min_size} to {LARGEST}"
            raise UsageError(
                f"{architecture.name} does not accept images of {override} pixels a side.", f"Choose a size {sizes}."
            )
        return override
    return side if side is not None and accepts(side) else architecture.input_shape[1]


def _channels(architecture: Architecture, own: int, override: int | None) -> int:
    if override is not None:
        accepted = architecture.channels or (1, 3)
        if override not in accepted or override not in (1, 3):
            raise UsageError(
                f"{architecture.name} does not accept images of {override} channels here.",
                f"Use --channels {' or '.join(str(count) for count in accepted if count in (1, 3))}.",
            )
        return override
    possible = [count for count in architecture.channels or (own, 3) if count in (1, 3)]
    if not possible:
        raise UsageError(
            f"{architecture.name} accepts neither grey nor RGB images.", "Choose an architecture that does."
        )
    return own if own in possible else max(possible)
