"""Python code for the README of an export: an image to the model's input, with NumPy and Pillow alone."""

from zoo.contract.preprocess import Preprocess
from zoo.data.images import border_colour

OPEN = 'Image.open("image.png")'
HEAD = """import {imports}
from PIL import {modules}

labels = {labels}
image = {opened}.convert("{mode}")
"""
RESIZE = """image = image.resize({size}, Image.Resampling.{resampling})
"""
CENTER = """shorter = min(image.size)
size = ({side} * image.width // shorter, {side} * image.height // shorter)
"""
BORDER = """longer = max(image.size) / {side}
size = (max(1, round(image.width / longer)), max(1, round(image.height / longer)))
"""
PAD = """whole = Image.new(image.mode, (max({width}, image.width), max({height}, image.height)), {colour})
whole.paste(image, ((whole.width - image.width) // 2, (whole.height - image.height) // 2))
image = whole
"""
CROP = """left, top = round((image.width - {width}) / 2), round((image.height - {height}) / 2)
image = image.crop((left, top, left + {width}, top + {height}))
"""
NORMALISE = """mean, std = np.array({mean}, np.float32), np.array({std}, np.float32)
pixels = np.asarray(image, np.float32).reshape({height}, {width}, {channels})
x = ((pixels / 255 - mean) / std).transpose(2, 0, 1)[None].copy()  # float32 [1, {channels}, {height}, {width}]
"""


def preparation(preprocess: Preprocess, *, listed: bool) -> str:
    """A Python program that makes `x`, float32 `[1, C, H, W]`, of `image.png`, and reads the `labels`.

    Args:
        listed: whether there is a `labels.txt`; otherwise the labels are read from the manifest.
    """
    height, width = preprocess.size
    values = {
        "imports": "numpy as np" if listed else "json\n\nimport numpy as np",
        "labels": (
            'open("labels.txt", encoding="utf-8").read().splitlines()'
            if listed
            else 'json.load(open("manifest.json", encoding="utf-8"))["labels"]'
        ),
        "modules": "Image, ImageOps" if preprocess.exif_orientation else "Image",
        "opened": f"ImageOps.exif_transpose({OPEN})" if preprocess.exif_orientation else OPEN,
        "mode": "L" if preprocess.channels == 1 else "RGB",
        "size": "size",
        "resampling": preprocess.interpolation.upper(),
        "side": preprocess.shorter_side,
        "colour": _colour(preprocess),
        "height": height,
        "width": width,
        "channels": preprocess.channels,
        "mean": list(preprocess.mean),
        "std": list(preprocess.std),
    }
    parts = [HEAD, RESIZE]
    if preprocess.shorter_side is None:
        values["size"] = f"({width}, {height})"
    elif preprocess.crop_mode == "squash":
        values["size"] = f"({preprocess.shorter_side}, {preprocess.shorter_side})"
        parts.append(CROP)
    elif preprocess.crop_mode == "border":
        parts = [HEAD, BORDER, RESIZE, PAD, CROP]
    else:
        parts = [HEAD, CENTER, RESIZE, CROP]
    return "".join(part.format(**values) for part in (*parts, NORMALISE))


def _colour(preprocess: Preprocess) -> int | tuple[int, ...]:
    """The colour of a border as Pillow takes it: the mean."""
    colour = border_colour(preprocess)
    return colour if len(colour) > 1 else colour[0]
