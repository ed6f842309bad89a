"""Choose the preprocessing that goes with an architecture and a data set."""

from dataclasses import dataclass, replace

from zoo.contract.errors import UsageError
from zoo.contract.preprocess import Preprocess
from zoo.contract.specs import Architecture

LARGEST = 65536  # pixels a side that Preprocess allows


@dataclass(frozen=True, kw_only=True)
class ImageStats:
    """What is known of a data set's images.

    Args:
        channels: 1 or 3.
        side: in pixels, where all are squares of one size.
        mean, std: per channel on 0 to 1; empty where they are not known.
    """

    channels: int
    side: int | None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class InputOverrides:
    """What a user asks of the fit; `None` leaves it to the architecture and the data."""

    image_size: int | None = None
    channels: int | None = None


def fit(architecture: Architecture, images: ImageStats, wanted: InputOverrides) -> Preprocess:
    """The data's own size and channels where the architecture takes them, else the architecture's.

    Raises:
        UsageError: what is wanted is not what the architecture takes.
    """
    size = _size(architecture, images.side, wanted.image_size)
    channels = _channels(architecture, images.channels, wanted.channels)
    own = architecture.preprocess
    known = len(images.mean) == channels
    shorter_side = None if images.side else size  # images that are not all square are cropped, not distorted
    return Preprocess(
        size=(size, size),
        mean=images.mean if known else (0.5,) * channels,
        std=images.std if known else (0.5,) * channels,
        shorter_side=own.shorter_side if own and own.size == (size, size) and not images.side else shorter_side,
        interpolation=own.interpolation if own else "bilinear",
    )


def fit_alone(architecture: Architecture, wanted: InputOverrides) -> Preprocess:
    """The architecture's own preprocessing, for a model that no data set goes with.

    Raises:
        UsageError: what is wanted is not what the architecture takes.
    """
    channels = _channels(architecture, architecture.input_shape[0], wanted.channels)
    size = _size(architecture, None, wanted.image_size)
    own = architecture.preprocess
    if own is None:
        return Preprocess(size=(size, size), mean=(0.5,) * channels, std=(0.5,) * channels)
    if own.channels != channels:
        own = replace(own, mean=(0.5,) * channels, std=(0.5,) * channels)
    if own.size != (size, size):
        shorter_side = own.shorter_side and max(size, round(size * own.shorter_side / own.size[0]))
        own = replace(own, size=(size, size), shorter_side=shorter_side)
    return own


def _size(architecture: Architecture, side: int | None, wanted: int | None) -> int:
    def accepts(size: int) -> bool:
        return size in architecture.sizes if architecture.sizes else architecture.min_size <= size <= LARGEST

    if wanted is not None:
        if not accepts(wanted):
            takes = " or ".join(map(str, architecture.sizes)) or f"{architecture.min_size} to {LARGEST}"
            raise UsageError(f"{architecture.name} takes no images of {wanted} pixels a side.", f"It takes {takes}.")
        return wanted
    return side if side is not None and accepts(side) else architecture.input_shape[1]


def _channels(architecture: Architecture, own: int, wanted: int | None) -> int:
    if wanted is not None:
        takes = architecture.channels or (1, 3)
        if wanted not in takes or wanted not in (1, 3):
            raise UsageError(
                f"{architecture.name} takes no images of {wanted} channels here.",
                f"Say --channels {' or '.join(str(count) for count in takes if count in (1, 3))}.",
            )
        return wanted
    possible = [count for count in architecture.channels or (own, 3) if count in (1, 3)]
    if not possible:
        raise UsageError(f"{architecture.name} takes no grey or RGB images.", "Choose an architecture that does.")
    return own if own in possible else max(possible)
