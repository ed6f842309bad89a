"""Images: from a file or array to uint8 `[C, H, W]` of the model's size, and on to normalised float32."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from zoo.contract.errors import DataError
from zoo.contract.preprocess import Preprocess

_RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}
THIN = 512  # times its shorter side that an image may be long: it is resized whole, and then cropped
WIDE = ("PNG", "PPM")  # formats that Pillow may read as 32 bits, and that have 16


def open_image(path: Path) -> Image.Image:
    """Read an image file whole.

    Raises:
        DataError: it is missing, no image, truncated, or too large to be one.
    """
    try:
        with Image.open(path) as image:
            image.load()
            return image
    except FileNotFoundError:
        raise DataError(f"There is no image at {path}.", "Check the path.") from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder, not an image.", "Name the images in it.") from None
    except Exception as error:  # decoders raise errors of every kind on damaged files
        why = "it is no image that can be read" if isinstance(error, UnidentifiedImageError) else _why(error)
        raise DataError(f"{path} cannot be read: {why}.", "Give a whole PNG, JPEG or similar image.") from None


def _why(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:  # without the path, which is said already
        return error.strerror
    return str(error) or type(error).__name__


def fit_image(image: Any, preprocess: Preprocess) -> npt.NDArray[np.uint8]:
    """Convert, resize and crop one image as `preprocess` says.

    Args:
        image: a PIL image, or a uint8 array `[H, W]`, `[H, W, 1]` or `[H, W, 3]`.

    Returns:
        uint8 `[C, H, W]`, contiguous.

    Raises:
        DataError: it is none of these, has pixels of unknown range, or is so thin that it would be enlarged beyond
            measure.
    """
    seen = picture(image)
    box, scaled = placement(seen.size, preprocess)
    if preprocess.shorter_side is not None and max(scaled) > THIN * min(scaled):
        raise DataError(f"{_name(seen)} is too thin, {seen.width}×{seen.height} pixels.", "Crop it, or leave it out.")
    seen = _converted(seen, "L" if preprocess.channels == 1 else "RGB")
    if seen.size != scaled:
        seen = seen.resize(scaled, _RESAMPLING[preprocess.interpolation])
    pixels = np.asarray(seen.crop(box) if box != (0, 0, *scaled) else seen)
    pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels
    return pixels.transpose(2, 0, 1).copy()


def _converted(image: Image.Image, mode: str) -> Image.Image:
    if image.mode == mode:
        return image
    if image.mode.startswith("I;16") or (image.mode == "I" and getattr(image, "format", None) in WIDE):
        image = Image.fromarray((np.asarray(image, np.int64).clip(0, 65535) >> 8).astype(np.uint8))
    elif image.mode in ("I", "F"):
        raise DataError(
            f"{_name(image)} has pixels of 32 bits, of which it is not known what black and white are.",
            "Store it with 8 or 16 bits a channel.",
        )
    if image.mode == "P" and isinstance(image.info.get("transparency"), bytes):  # Pillow would warn of it
        image = image.convert("RGBA")
    try:
        return image.convert(mode)
    except ValueError as error:
        raise DataError(f"{_name(image)} cannot be converted: {error}.", "Store it as RGB or grey.") from None


def _name(image: Image.Image) -> str:
    return str(getattr(image, "filename", "") or "The image")


def placement(size: tuple[int, int], preprocess: Preprocess) -> tuple[tuple[int, int, int, int], tuple[int, int]]:
    """Where the crop lies, `(left, top, right, bottom)`, in the image resized to the second value `(W, H)`."""
    height, width = preprocess.size
    if preprocess.shorter_side is None:
        return (0, 0, width, height), (width, height)
    side, (image_width, image_height) = preprocess.shorter_side, size
    if image_width <= image_height:
        scaled = (side, max(side, side * image_height // image_width))
    else:
        scaled = (max(side, side * image_width // image_height), side)
    left, top = round((scaled[0] - width) / 2), round((scaled[1] - height) / 2)
    return (left, top, left + width, top + height), scaled


def normalise(images: Tensor, preprocess: Preprocess) -> Tensor:
    """uint8 `[N, C, H, W]` to float32 `(x / 255 - mean) / std`, on the same device."""
    mean, std = (  # made on the CPU and sent without waiting for the device, which `device=` would do
        torch.tensor(values).to(images.device, non_blocking=True).view(-1, 1, 1)
        for values in (preprocess.mean, preprocess.std)
    )
    normalised: Tensor = _normalised(images.float(), mean, std)
    return normalised


def normalise_array(images: npt.NDArray[np.uint8], preprocess: Preprocess) -> npt.NDArray[np.float32]:
    """`normalise` for numpy arrays: the same bits."""
    mean, std = (np.array(values, np.float32).reshape(-1, 1, 1) for values in (preprocess.mean, preprocess.std))
    normalised: npt.NDArray[np.float32] = _normalised(images.astype(np.float32), mean, std)
    return normalised


def _normalised(pixels: Any, mean: Any, std: Any) -> Any:
    return (pixels / 255 - mean) / std


def picture(image: Any) -> Image.Image:
    """The PIL image that a data set's item is or stands for.

    Raises:
        DataError: it is neither a PIL image nor a uint8 array `[H, W]`, `[H, W, 1]` or `[H, W, 3]`.
    """
    if isinstance(image, Image.Image):
        return image
    if isinstance(image, np.ndarray) and image.dtype == np.uint8 and 0 not in image.shape:
        if image.ndim == 2:
            return Image.fromarray(image)
        if image.ndim == 3 and image.shape[2] == 1:
            return Image.fromarray(image[:, :, 0])
        if image.ndim == 3 and image.shape[2] == 3:
            return Image.fromarray(image)
    what = f"{image.dtype} array {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
    raise DataError(
        f"A data set gave a {what} where a PIL image or a uint8 array [H, W] or [H, W, 3] is asked for.",
        "Correct the data set's __getitem__.",
    )
