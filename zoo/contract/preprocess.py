"""The preprocessing of images for a model.

Training, evaluation, prediction and the exported runner all implement this dataclass, and are tested against each
other.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from zoo.contract.reading import Field

MAX_SIDE = 65_536  # pixels
MAX_PIXELS = 1 << 22  # of an image: 2048 × 2048. A check holds some forty of them as float32 and float64
MAX_SHORTER_SIDE = 4096  # pixels; an image is resized to this before it is cropped
Interpolation = Literal["nearest", "bilinear", "bicubic"]
CropMode = Literal["center", "squash", "border"]  # as timm calls them


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
        crop_mode: `center`, as above; or what `shorter_side` sets instead. `squash` resizes both sides to it, without
            keeping the aspect ratio, and crops the centre. `border` resizes the longer side to it, keeping the aspect
            ratio, pads with the mean colour where the image is smaller than `size`, and crops the centre.
        exif_orientation: turn and mirror the image as its EXIF orientation says, before all else.

    Raises:
        ValueError: a field is out of range.
    """

    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    shorter_side: int | None = None
    interpolation: Interpolation = "bilinear"
    crop_mode: CropMode = "center"
    exif_orientation: bool = False

    def __post_init__(self) -> None:
        if len(self.size) != 2 or any(type(side) is not int or not 1 <= side <= MAX_SIDE for side in self.size):
            raise ValueError(f"preprocess size must be two integers from 1 to {MAX_SIDE}, not {self.size!r}")
        if self.size[0] * self.size[1] > MAX_PIXELS:
            raise ValueError(f"preprocess size must be at most {MAX_PIXELS:,} pixels, not {self.size!r}")
        if len(self.mean) not in (1, 3) or len(self.std) != len(self.mean):
            raise ValueError("preprocess mean and std must both have 1 or both have 3 numbers")
        if not all(abs(value) < 1e6 for value in self.mean) or not all(0 < value < 1e6 for value in self.std):
            raise ValueError("preprocess mean must be finite and std positive")
        if self.shorter_side is not None and not max(self.size) <= self.shorter_side <= MAX_SHORTER_SIDE:
            raise ValueError(
                f"preprocess shorter_side must be at least as large as size, and at most {MAX_SHORTER_SIDE}"
            )
        if self.interpolation not in get_args(Interpolation):
            raise ValueError(f"preprocess interpolation must be one of {', '.join(get_args(Interpolation))}")
        if self.crop_mode not in get_args(CropMode):
            raise ValueError(f"preprocess crop_mode must be one of {', '.join(get_args(CropMode))}")
        if self.crop_mode != "center" and self.shorter_side is None:
            raise ValueError(f"preprocess crop_mode {self.crop_mode} requires shorter_side")

    @property
    def channels(self) -> int:
        """1 for grey, 3 for RGB."""
        return len(self.mean)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """`(C, H, W)` of the model's input."""
        return (self.channels, *self.size)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON. `from_dict` is its inverse.

        `crop_mode` and `exif_orientation` are left out if they are `center` and false, as cards and manifests of
        releases that did not have them leave them out.
        """
        left_out = {"crop_mode": "center", "exif_orientation": False}
        return {key: value for key, value in asdict(self).items() if key not in left_out or value != left_out[key]}

    @classmethod
    def from_dict(cls, data: "Mapping[str, Any] | Field") -> "Preprocess":
        """Create a `Preprocess` from the result of `to_dict`.

        Raises:
            Malformed: a `ValueError`: a field is missing, unknown, of the wrong type or out of range.
        """
        from zoo.contract.reading import Malformed, fields  # which listings need not load

        how = fields(data, "preprocess").only(
            *("size", "mean", "std", "shorter_side", "interpolation", "crop_mode", "exif_orientation")
        )
        height, width = how["size"].items(2, 2)
        try:
            return cls(
                size=(height.integer(1, MAX_SIDE), width.integer(1, MAX_SIDE)),
                mean=tuple(each.number() for each in how["mean"].items(1, 3)),
                std=tuple(each.number() for each in how["std"].items(1, 3)),
                shorter_side=how["shorter_side"].optional(lambda side: side.integer(1, MAX_SHORTER_SIDE)),
                interpolation=how["interpolation"].choice(get_args(Interpolation)),
                crop_mode="center" if (mode := how.get("crop_mode")) is None else mode.choice(get_args(CropMode)),
                exif_orientation=(turned := how.get("exif_orientation")) is not None and turned.boolean(),
            )
        except Malformed:
            raise
        except ValueError as error:
            raise Malformed(str(error)) from None
