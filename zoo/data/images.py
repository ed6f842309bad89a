"""Read images, resize and crop them to uint8 `[C, H, W]` of the model's size, and normalise them to float32."""

import math
import os
import warnings
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from zoo.contract.errors import DataError, refuse_out_of_memory
from zoo.contract.preprocess import Preprocess
from zoo.files.regular import is_folder, open_regular

_RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}
# The formats that are read, and Pillow's modules for them. Pillow knows more: for some, it runs another program on the
# file (Ghostscript for EPS), whatever the file is called.
FORMATS = {
    "AVIF": "AvifImagePlugin",
    "BMP": "BmpImagePlugin",
    "GIF": "GifImagePlugin",
    "JPEG": "JpegImagePlugin",
    "JPEG2000": "Jpeg2KImagePlugin",
    "PNG": "PngImagePlugin",
    "PPM": "PpmImagePlugin",
    "TIFF": "TiffImagePlugin",
    "WEBP": "WebPImagePlugin",
}
TURNED = range(2, 9)  # EXIF orientations of images that are stored turned or mirrored
RESIZED_WHOLE = 1 << 25  # pixels; an image that would have more is resized only where it is cropped
FORMATS_WITH_16_BITS = ("PNG", "PPM")  # 16 bits in the file, for which Pillow may choose its 32-bit mode "I"


def open_image(path: Path) -> Image.Image:
    """Read an image file of one of `FORMATS` and decode it. Only a regular file is read.

    Raises:
        DataError: the file is missing, not an image, truncated, or has too many pixels.
    """
    try:
        with open_regular(path) as file, Image.open(file, formats=_formats()) as image:
            image.load()
            setattr(image, "filename", os.fspath(path))  # noqa: B010
            return image
    except FileNotFoundError:
        raise DataError(f"There is no image at {path}.", "Check the path.") from None
    except Image.DecompressionBombError:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise DataError(f"{path} has more than {limit:,} pixels.", "Scale the image down.") from None
    except Exception as error:  # decoders raise many types on damaged files
        refuse_out_of_memory(error, f"reading {path}")
        if is_folder(path):  # of a name that is too long, too
            raise DataError(f"{path} is a folder, not an image.", "Pass the images in it.") from None
        reason = _reason(error)
        if isinstance(error, UnidentifiedImageError):
            reason = f"it is damaged, or not in a supported format ({', '.join(_formats())})"
        raise DataError(f"{path} cannot be read: {reason}.", "Use a complete PNG, JPEG or similar image.") from None


@cache
def _formats() -> tuple[str, ...]:
    """Those of `FORMATS` that this Pillow can read."""
    for module in FORMATS.values():
        with suppress(ImportError):  # of an older Pillow
            import_module(f"PIL.{module}")
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:  # without the path, which the message already has
        return error.strerror
    return str(error) or type(error).__name__


def fit_image(image: Any, preprocess: Preprocess) -> npt.NDArray[np.uint8]:
    """Convert, resize and crop one image to the channels and size of `preprocess`.

    Args:
        image: a PIL image, or a uint8 array `[H, W]`, `[H, W, 1]` or `[H, W, 3]`.

    Returns:
        uint8 `[C, H, W]`, contiguous.

    Raises:
        DataError: `image` is none of these, or its pixels have no known range.
    """
    pil = as_pil_image(image)
    if preprocess.exif_orientation:
        pil = upright(pil)
    box, resized = crop_box(pil.size, preprocess)
    pil = _convert(pil, "L" if preprocess.channels == 1 else "RGB")
    if preprocess.crop_mode == "border":
        pil = _resize_and_pad(pil, resized, preprocess)
        resized = pil.size
    pixels = np.asarray(_resize_and_crop(pil, resized, box, _RESAMPLING[preprocess.interpolation]))
    pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels
    return pixels.transpose(2, 0, 1).copy()


def upright(image: Image.Image) -> Image.Image:
    """The image, turned and mirrored as the orientation in its EXIF data says; as it is if that cannot be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # damaged EXIF data
            if image.getexif().get(ExifTags.Base.Orientation, 1) not in TURNED:
                return image
            return ImageOps.exif_transpose(image)
    except Exception as error:  # Pillow raises many types on damaged EXIF data
        refuse_out_of_memory(error)
        return image


def _resize_and_crop(
    image: Image.Image, resized: tuple[int, int], box: tuple[int, int, int, int], resampling: Image.Resampling
) -> Image.Image:
    """`image.resize(resized, resampling).crop(box)`; of a very large image, up to rounding, without the rest."""
    if image.size != resized and resized[0] * resized[1] > RESIZED_WHOLE:
        return _resize_part(image, resized, box, resampling)
    whole = _resize(image, resized, resampling)
    return whole.crop(box) if box != (0, 0, *resized) else whole


def _resize(image: Image.Image, size: tuple[int, int], resampling: Image.Resampling) -> Image.Image:
    """`image.resize(size, resampling)`, with bounded memory.

    Pillow resizes every row to its new width first. Of a narrow image of very many rows that would be more pixels than
    the image has or the result needs, so that its height is changed first.
    """
    if image.size == size:
        return image
    if size[0] * image.height > max(RESIZED_WHOLE, image.width * image.height):
        image = image.resize((image.width, size[1]), resampling)
    return image.resize(size, resampling)


def _resize_part(
    image: Image.Image, resized: tuple[int, int], box: tuple[int, int, int, int], resampling: Image.Resampling
) -> Image.Image:
    """What `box` crops from the image of size `resized`, computed from the pixels that it depends on alone."""
    left, start_x, right, end_x = _source_span(image.width, resized[0], box[0], box[2])
    top, start_y, bottom, end_y = _source_span(image.height, resized[1], box[1], box[3])
    source = image.crop((left, top, right, bottom))
    part = (start_x - left, start_y - top, end_x - left, end_y - top)
    return source.resize((box[2] - box[0], box[3] - box[1]), resampling, part)


def _source_span(length: int, resized: int, first: int, last: int) -> tuple[int, float, int, float]:
    """Where the pixels `first` to `last` of a side come from, which had `length` pixels and has `resized`.

    Returns:
        `(low, start, high, end)`: they are resampled from `start` to `end`, and depend on the pixels `low` to `high`.
    """
    scale = length / resized
    start, end = first * scale, min(last * scale, length)
    reach = math.ceil(2 * max(scale, 1)) + 1  # bicubic resampling takes two pixels on each side
    return max(0, math.floor(start) - reach), start, min(length, math.ceil(end) + reach), end


def _resize_and_pad(image: Image.Image, resized: tuple[int, int], preprocess: Preprocess) -> Image.Image:
    """The image of size `resized`, in the middle of a border where it is smaller than the model's input."""
    image = _resize(image, resized, _RESAMPLING[preprocess.interpolation])
    height, width = preprocess.size
    if resized[0] >= width and resized[1] >= height:
        return image
    colour = border_colour(preprocess)
    size = max(width, resized[0]), max(height, resized[1])
    whole = Image.new(image.mode, size, colour if len(colour) > 1 else colour[0])
    whole.paste(image, ((size[0] - resized[0]) // 2, (size[1] - resized[1]) // 2))
    return whole


def border_colour(preprocess: Preprocess) -> tuple[int, ...]:
    """The colour of borders, per channel on 0 to 255: the mean."""
    return tuple(min(max(round(255 * value), 0), 255) for value in preprocess.mean)


def _convert(image: Image.Image, mode: str) -> Image.Image:
    if image.mode == mode:
        return image
    if image.mode.startswith("I;16") or (image.mode == "I" and getattr(image, "format", None) in FORMATS_WITH_16_BITS):
        image = Image.fromarray((np.asarray(image, np.int64).clip(0, 65535) >> 8).astype(np.uint8))
    elif image.mode in ("I", "F"):
        raise DataError(
            f"{_name(image)} has 32 bits per channel, and no known range of values.",
            "Store it with 8 or 16 bits per channel.",
        )
    if image.mode == "P" and isinstance(image.info.get("transparency"), bytes):  # Pillow warns when it converts these
        image = image.convert("RGBA")
    try:
        return image.convert(mode)
    except ValueError as error:
        raise DataError(f"{_name(image)} cannot be converted: {error}.", "Store it as RGB or grey.") from None


def _name(image: Image.Image) -> str:
    return str(getattr(image, "filename", "") or "The image")


def crop_box(size: tuple[int, int], preprocess: Preprocess) -> tuple[tuple[int, int, int, int], tuple[int, int]]:
    """Return the crop `(left, top, right, bottom)` within the resized image, and the size `(W, H)` to resize to.

    With the crop mode `border`, the crop is within the resized and padded image.
    """
    height, width = preprocess.size
    if preprocess.shorter_side is None:
        return (0, 0, width, height), (width, height)
    side, (image_width, image_height) = preprocess.shorter_side, size
    if preprocess.crop_mode == "squash":
        resized = (side, side)
    elif preprocess.crop_mode == "border":
        ratio = max(size) / side
        resized = (max(1, round(image_width / ratio)), max(1, round(image_height / ratio)))
    elif image_width <= image_height:
        resized = (side, max(side, side * image_height // image_width))
    else:
        resized = (max(side, side * image_width // image_height), side)
    left, top = round((max(resized[0], width) - width) / 2), round((max(resized[1], height) - height) / 2)
    return (left, top, left + width, top + height), resized


def normalise(images: Tensor, preprocess: Preprocess) -> Tensor:
    """Convert uint8 `[N, C, H, W]` to float32 `(x / 255 - mean) / std`, on the same device."""
    mean, std = (  # created on the CPU: `device=` would synchronise with the GPU
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


def as_pil_image(image: Any) -> Image.Image:
    """Return the image of a data set's item as a PIL image.

    Raises:
        DataError: `image` is neither a PIL image nor a uint8 array `[H, W]`, `[H, W, 1]` or `[H, W, 3]`.
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
        f"The data set returned a {what}; expected a PIL image, or a uint8 array [H, W] or [H, W, 3].",
        "Correct the data set's __getitem__.",
    )
