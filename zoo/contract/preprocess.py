"""The preprocessing of images for a model.

Training, evaluation, prediction and the exported runner all implement this dataclass, and are tested against each
other.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

Interpolation = Literal["nearest", "bilinear", "bicubic"]


@dataclass(frozen=True, kw_only=True)
class Preprocess:
    """How an image becomes a float32 tensor `[C, H, W]`.

    The image is converted to grey or RGB, resized with antialiasing in uint8, divided by 255, and normalised
    per channel as `(x - mean) / std`.

    Args:
        size: height and width of the model's input, in pixels.
        mean: per channel, on the range 0 to 1. Its length is the number of channels: 1 (grey) or 3 (RGB).
        std: per channel, positive, of the same length as `mean`.
        shorter_side: resize the shorter side to this many pixels, keeping the aspect ratio, and crop the centre to
            `size`. `None` resizes to `size` without keeping the aspect ratio.
        interpolation: `nearest`, `bilinear` or `bicubic`.

    Raises:
        ValueError: a field is out of range.
    """

    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    shorter_side: int | None = None
    interpolation: Interpolation = "bilinear"

    def __post_init__(self) -> None:
        if len(self.size) != 2 or any(type(side) is not int or not 1 <= side <= 65536 for side in self.size):
            raise ValueError(f"preprocess size must be two integers from 1 to 65536, not {self.size!r}")
        if len(self.mean) not in (1, 3) or len(self.std) != len(self.mean):
            raise ValueError("preprocess mean and std must both have 1 or both have 3 numbers")
        if not all(abs(value) < 1e6 for value in self.mean) or not all(0 < value < 1e6 for value in self.std):
            raise ValueError("preprocess mean must be finite and std positive")
        if self.shorter_side is not None and not max(self.size) <= self.shorter_side <= 65536:
            raise ValueError("preprocess shorter_side must be at least as large as size")
        if self.interpolation not in get_args(Interpolation):
            raise ValueError(f"preprocess interpolation must be one of {', '.join(get_args(Interpolation))}")

    @property
    def channels(self) -> int:
        """1 for grey, 3 for RGB."""
        return len(self.mean)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """`(C, H, W)` of the model's input."""
        return (self.channels, *self.size)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON. `from_dict` is its inverse."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Preprocess":
        """Create a `Preprocess` from the result of `to_dict`.

        Raises:
            ValueError: a field is missing, unknown, of the wrong type or out of range.
        """
        try:
            side = data["shorter_side"]
            height, width = data["size"]
            return cls(
                size=(height, width),
                mean=tuple(float(value) for value in data["mean"]),
                std=tuple(float(value) for value in data["std"]),
                shorter_side=None if side is None else int(side),
                interpolation=data["interpolation"],
            )
        except (KeyError, TypeError, OverflowError) as error:
            raise ValueError(f"preprocess is incomplete or malformed ({error})") from None
