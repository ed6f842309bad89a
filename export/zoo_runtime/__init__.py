"""Run an exported model with numpy and onnxruntime alone, and check that it is still the model that was exported.

This file is the package `zoo_runtime` and, copied, part of every export folder. It needs Python 3.9 or later, numpy,
onnxruntime, and Pillow to read images. It runs the model in this process.

    from zoo_runtime import Model

    model = Model("exports/lenet5.digits")
    model.predict("seven.png", top=3)             # the likeliest classes of one image
    model.predict(["seven.png", "two.png"])       # of several
    for result in model.predict_each("photos"):   # of a folder, image by image, past those that cannot be read
        print(result.image, result.error or result.predictions)

Exit codes of the command: 0 done; 1 an error that is explained; 2 wrong usage; 3 different, or never verified;
130 Ctrl-C.
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 9):  # noqa: UP036, this file runs where zoo is not installed
    sys.exit("error: zoo_runtime needs Python 3.9 or later.\n  next: Run it with a newer Python.")
if __name__ == "__main__" and not (sys.flags.isolated or getattr(sys.flags, "safe_path", False)):
    del sys.path[0]  # the folder's own json.py or numpy.py stays out

import argparse
import csv
import glob
import hashlib
import importlib
import io
import json
import math
import os
import time
import warnings
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator, Mapping, NoReturn, Sequence, Union

try:
    import numpy as np
    import numpy.typing as npt
except ModuleNotFoundError as absent:
    if __name__ != "__main__" or absent.name != "numpy":
        raise
    sys.exit("error: numpy is not installed.\n  next: pip install numpy onnxruntime pillow")

FORMAT = "onnx"  # the one that this file runs
GOLDEN = "golden.npz"  # the images and true outputs of the probes, and raw images with what preprocessing gives
LABELS = "labels.txt"  # one a line, in the order of the logits
BY_ROUNDING = ("fp32", "fp16")  # precisions that are checked by rounding error
CPU = ("CPUExecutionProvider",)
CUDA = ("CUDAExecutionProvider",)
BATCH_SIZE = 32
RESTORE = "Copy the folder again from where it came, or export again with `zoo export`."

MAX_JSON = 1 << 24  # bytes
MAX_PIXELS = 1 << 22  # of a model's input
MAX_SHORTER_SIDE = 4096  # pixels
LEVELS = 2  # of 255 by which a prepared pixel may differ: releases of Pillow round differently
MAX_ARRAY = 1 << 31  # bytes of an array in golden.npz
MAX_IMAGES = 1 << 16  # of a probe
RESIZED_WHOLE = 1 << 25  # pixels; an image that would have more is resized only where it is cropped
# The formats of images that are read. For others Pillow may run programs, whatever the file is called.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP", "JPEG2000", "AVIF")
ORIENTATION = 0x0112  # a tag of EXIF
UNKNOWN_FORMAT = f"it is damaged, or none of {', '.join(FORMATS)}"
# The suffixes of the files in a folder that are images; what is in them decides how they are read.
SUFFIXES = (".avif", ".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
MALFORMED = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
BLANK = "\u115f\u1160\u2800\u3164\uffa0"  # printable to Python, drawn as nothing
INCONCLUSIVE = "INCONCLUSIVE: its check covers too little"
UNVERIFIED = "UNVERIFIED: nothing was compared; its outputs may be wrong"

Upgrade = Callable[["dict[str, Any]"], "dict[str, Any]"]  # from a manifest of an older format to one of this format
StrPath = Union[str, "os.PathLike[str]"]
ImageLike = Union[StrPath, bytes, "npt.NDArray[np.uint8]", Any]
"""A path, the bytes of an image file, a binary file object, a PIL image, or a uint8 array `[H, W]`, `[H, W, 1]` or
`[H, W, 3]`."""


class Error(Exception):
    """An error that a person can act on: `cause` says what is wrong, `next_step` what to do now."""

    exit_code = 1

    def __init__(self, cause: str, next_step: str) -> None:
        super().__init__(f"{cause} {next_step}")
        self.cause, self.next_step = cause, next_step


class Difference(Error):
    """The folder was checked, and is not what was exported."""

    exit_code = 3


@dataclass(frozen=True)
class Prediction:
    """One class of one image: `index` counts from 0, `probability` is from 0 to 1."""

    label: str
    index: int
    probability: float


@dataclass(frozen=True)
class Result:
    """One image: its likeliest classes, likeliest first; or none, and the error that says why."""

    image: ImageLike
    predictions: tuple[Prediction, ...]
    error: Error | None = None


@dataclass(frozen=True)
class ProbeResult:
    """One probe of `n` images. `error` is max|output - truth|, or `None`: see `reason`. `ratio`: in rounding errors."""

    probe: str
    n: int
    error: float | None
    rounding_error: float
    tolerance: float
    ratio: float | None
    passed: bool
    reason: str = ""


@dataclass(frozen=True)
class Report:
    """Every probe, on the session's `providers`; `tolerance_factor` rounding errors pass unless it is `overridden`.

    `prepared_images` raw images gave the tensors that they gave at export.
    """

    name: str
    artifact: str
    providers: tuple[str, ...]
    tolerance_factor: float
    probes: tuple[ProbeResult, ...]
    verdict: str = "pass"
    prepared_images: int = 0

    @property
    def passed(self) -> bool:
        """Every probe, and there is one at least, is within its tolerance."""
        return bool(self.probes) and all(probe.passed for probe in self.probes)

    @property
    def summary(self) -> str:
        """One line for people."""
        overridden = self.verdict == "overridden"
        tolerance = "OVERRIDDEN" if overridden else f"{self.tolerance_factor:g}"
        n = sum(probe.n for probe in self.probes)
        extent = f"tolerance {tolerance}; {len(self.probes)} probes, {n} images"
        if self.prepared_images:
            extent = f"{extent}, {self.prepared_images} prepared as at export"
        if not self.passed:
            failed = [probe for probe in self.probes if not probe.passed]
            errors = [f"{each.probe} ({each.reason or f'{each.ratio:.3g} rounding errors'})" for each in failed]
            return f"{self.artifact}: differs from the model on {', '.join(errors) or 'no probe'} ({extent})"
        result = "computes what the model computes"
        if self.verdict != "pass":
            result = f"{self.verdict}: accepted at export"
        worst = max(probe.ratio or 0.0 for probe in self.probes)
        return f"{self.artifact}: {result} (largest error {worst:.1f} rounding errors, {extent})"

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, with `passed` and `summary`."""
        return {"passed": self.passed, "summary": self.summary, **asdict(self)}


class Model:
    """The model in an export folder. Several threads may use one `Model` at once. Warns of an unproven folder.

    Args:
        folder: an export folder.
        providers: onnxruntime's execution providers, all of which must load; or `"auto"`: CUDA where it loads,
            else the CPU. The attribute `providers` says which are used.
        threads: CPU threads of one call; 0 leaves the number to onnxruntime.
        upgrade: turns a manifest of another format into one of this format.

    Raises:
        Error: `folder` is no export folder, holds no ONNX file, or a provider does not load.
        Difference: its manifest was changed.
    """

    def __init__(
        self, folder: StrPath, providers: str | Sequence[str] = CPU, upgrade: Upgrade = dict, *, threads: int = 0
    ) -> None:
        self.folder = Path(folder)
        self.manifest = read_manifest(folder, upgrade)
        self.name = str(self.manifest["name"])
        self.labels: tuple[str, ...] = tuple(self.manifest["labels"])
        if FORMAT not in self.manifest["artifacts"]:
            raise Error(f"{folder} holds no ONNX artifact to run.", "Use `zoo verify`, or export again with -f onnx.")
        self.artifact: str = self.manifest["artifacts"][FORMAT]["files"]["model"]
        if self.manifest["verdict"] != "pass":
            warnings.warn(f"{self.name} is {_unproven(self.manifest)}.", stacklevel=2)
        self._session = _open_session(self.folder / self.artifact, providers, threads)
        self.providers: tuple[str, ...] = tuple(self._session.get_providers())

    def run(self, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Logits, float32 `[N, K]`, of images as `prepare` returns them, float32 `[N, C, H, W]`.

        Raises:
            Error: `x` has another dtype or shape, or onnxruntime cannot run the model on it.
            Difference: the output has another dtype or shape.
        """
        input_name, output_name = self.manifest["input"]["name"], self.manifest["output"]["name"]
        shape = self.manifest["input"]["shape"]
        if not isinstance(x, np.ndarray) or x.dtype != np.float32:
            raise Error(f"The input is {getattr(x, 'dtype', type(x))}, not float32.", "Pass a float32 numpy array.")
        if x.ndim != 4 or 0 in x.shape or any(type(d) is int and d != n for d, n in zip(shape, x.shape)):
            raise Error(f"The input has the shape {list(x.shape)}, not {shape}.", "Stack what Model.prepare returns.")
        try:
            (y,) = self._session.run([output_name], {input_name: np.ascontiguousarray(x)})
        except Exception as error:  # onnxruntime's errors share no other base
            raise Error(f"onnxruntime could not run {self.artifact}: {_why(error)}.", "Verify the folder.") from None
        actual = (str(getattr(y, "dtype", y)), np.shape(y))
        expected = ("float32", (len(x), len(self.labels)))
        if actual != expected:
            raise Difference(f"The output {output_name} is {actual}, not {expected}.", RESTORE)
        return np.asarray(y)

    def prepare(self, image: ImageLike) -> npt.NDArray[np.float32]:
        """One image as the model sees it, float32 `[C, H, W]`; see `prepare_image`."""
        return prepare_image(image, self.manifest["preprocess"])

    def predict(self, images: ImageLike | Iterable[ImageLike], top: int = 5, batch_size: int = BATCH_SIZE) -> Any:
        """Classify an image, or several: an iterable of images, or the path of a folder, for its `image_files`.

        Args:
            top: the number of classes for each image.
            batch_size: images that go through the model at once.

        Returns:
            The likeliest classes of the image, a list of `Prediction`, likeliest first; of several images, a list of
            such lists.

        Raises:
            Error: an image cannot be read, or its logits are not finite.
        """
        several = _is_folder(images) or not _is_one_image(images)
        predictions: list[list[Prediction]] = []
        for result in self.predict_each(images if several else [images], top, batch_size):
            if result.error is not None:
                raise result.error
            predictions.append(list(result.predictions))
        return predictions if several else predictions[0]

    def predict_each(
        self, images: ImageLike | Iterable[ImageLike], top: int = 5, batch_size: int = BATCH_SIZE
    ) -> Iterator[Result]:
        """As `predict`, batch by batch; an image that cannot be read gets a `Result` with the error."""
        _refuse_below_one(top=top, batch_size=batch_size)
        several: Any = images
        if _is_folder(images):
            several = image_files(several)
        elif _is_one_image(images):
            several = [images]
        batch_size = self._fixed_batch() or batch_size
        batch: list[ImageLike] = []
        for image in several:
            batch.append(image)
            if len(batch) == batch_size:
                yield from self._predict_batch(batch, top)
                batch = []
        if batch:
            yield from self._predict_batch(batch, top)

    def _predict_batch(self, images: Sequence[ImageLike], top: int) -> Iterator[Result]:
        arrays: list[npt.NDArray[np.float32]] = []
        errors: dict[int, Error] = {}  # by the place of the image in the batch
        for place, image in enumerate(images):
            try:
                arrays.append(self.prepare(image))
            except Error as error:
                errors[place] = error
        logits = iter(self._run_padded(arrays)) if arrays else iter(())
        for place, image in enumerate(images):
            if place in errors:
                yield Result(image, (), errors[place])
                continue
            try:
                yield Result(image, tuple(rank(next(logits), self.labels, top)))
            except Error as error:
                yield Result(image, (), error)

    def _run_padded(self, arrays: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
        """The logits of these images. A batch of a fixed size that is not full gets its last image several times."""
        missing = max(0, self._fixed_batch() - len(arrays))
        batch = np.stack([*arrays, *[arrays[-1]] * missing])
        return self.run(batch)[: len(arrays)]

    def _fixed_batch(self) -> int:
        """The only batch size that the model takes; 0 if it takes any."""
        size = self.manifest["input"]["shape"][0]
        return size if type(size) is int else 0

    def verify(self) -> Report:
        """Repeat the check of the folder with this very session; see the function `verify`."""
        return verify(self.folder, model=self)


def rank(logits: npt.NDArray[Any], labels: Sequence[str], top: int) -> list[Prediction]:
    """The `top` likeliest classes of one image's logits `[K]`, or all if there are fewer. `Error` if not finite."""
    _refuse_below_one(top=top)
    if not np.isfinite(logits).all():
        raise Error("Some logits are not finite, so they give no probabilities.", "Verify the model.")
    odds = np.exp(logits.astype(np.float64) - logits.max())
    likeliest = np.argsort(-odds, kind="stable")[:top]
    return [Prediction(labels[i], int(i), float(odds[i] / odds.sum())) for i in likeliest]


def image_files(folder: StrPath) -> list[Path]:
    """The image files in a folder and below it, by their suffixes, sorted by path. `Error` if there are none."""
    paths = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not paths:
        raise Error(f"{folder} holds no image files.", f"Their names must end in one of {', '.join(SUFFIXES)}.")
    return paths


def _refuse_below_one(**numbers: int) -> None:
    for name, number in numbers.items():
        if not isinstance(number, int) or number < 1:
            raise Error(f"{name} is {number!r}, not an integer of 1 or more.", "Use a larger number.")


def _is_folder(images: Any) -> bool:
    return isinstance(images, (str, os.PathLike)) and Path(images).is_dir()


def _is_one_image(images: Any) -> bool:
    if isinstance(images, (str, os.PathLike, bytes, bytearray, memoryview, np.ndarray)) or hasattr(images, "read"):
        return True
    return hasattr(images, "convert") or not isinstance(images, Iterable)  # a PIL image; or nothing that can be read


def _unproven(manifest: Mapping[str, Any]) -> str:
    """Why a verdict is not `pass`, for people."""
    override = manifest["certificate"]["override"]
    if override:
        return f"OVERRIDDEN: its tolerance is {override['atol']:g} + {override['rtol']:g} · |truth|, not the default"
    return UNVERIFIED if manifest["verdict"] == "unverified" else INCONCLUSIVE


def _open_session(path: Path, providers: str | Sequence[str], threads: int = 0) -> Any:
    if type(threads) is not int or threads < 0:
        raise Error(f"threads is {threads!r}, not an integer of 0 or more.", "Use 0 for onnxruntime's own choice.")
    if providers == "auto":
        with suppress(Error):
            return _open_session(path, CUDA, threads)
        providers = CPU
    names = [providers] if isinstance(providers, str) else list(providers)
    if not names:
        raise Error("providers is empty: there is no provider to run the model.", "Use CPUExecutionProvider.")
    onnxruntime = _package("onnxruntime", "onnxruntime")
    _refuse_absent(names, onnxruntime.get_available_providers())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    settings = [(name, {"use_tf32": "0"} if "CUDA" in name else {}) for name in names]
    onnxruntime.set_default_logger_severity(4)  # its errors are raised, and need not be printed too
    try:
        _open(path).close()  # or a FIFO in its place would be waited for
        session = onnxruntime.InferenceSession(str(path), options, providers=settings)
    except Exception as error:  # onnxruntime's errors share no other base
        raise Error(f"onnxruntime cannot load {path}: {_why(error)}.", "Verify the folder.") from None
    session.disable_fallback()
    _refuse_absent(names, session.get_providers())  # one that cannot be set up is left out without an error
    return session


def _refuse_absent(names: Sequence[str], present: Sequence[str]) -> None:
    absent = ", ".join(sorted(set(names) - set(present)))
    if absent:
        text = f"onnxruntime cannot use {absent} here, and nothing falls back silently to another provider."
        raise Error(text, f"Use one of these: {', '.join(present)}.")


# Preparing images


def prepare_image(image: ImageLike, preprocess: Mapping[str, Any]) -> npt.NDArray[np.float32]:
    """The model's input, float32 `[C, H, W]`: `(read_pixels(image) / 255 - mean) / std`. `Error` if it is no image."""
    pixels = read_pixels(image, preprocess).astype(np.float32)
    mean, std = (np.array(preprocess[key], np.float32)[:, None, None] for key in ("mean", "std"))
    return (pixels / np.float32(255) - mean) / std


def read_pixels(image: ImageLike, preprocess: Mapping[str, Any]) -> npt.NDArray[np.uint8]:
    """One image, converted, resized and cropped to the model's channels and size, uint8 `[C, H, W]`."""
    pil = _package("PIL.Image", "pillow")
    name = os.fspath(image) if isinstance(image, (str, os.PathLike)) else "The image"
    try:
        picture = _decode(pil, image)
        if preprocess.get("exif_orientation"):
            picture = _turned(picture)
        picture = _convert(pil, picture, "L" if len(preprocess["mean"]) == 1 else "RGB")
        pixels = np.asarray(_fit(pil, picture, preprocess))
    except Exception as error:  # decoders raise errors of many kinds on what is no sound image
        raise Error(f"{name} cannot be used: {_why(error)}.", "Use a complete PNG, JPEG or similar image.") from None
    return np.ascontiguousarray(np.atleast_3d(pixels).transpose(2, 0, 1))


def _decode(pil: Any, image: ImageLike) -> Any:
    """The PIL image, read whole."""
    if isinstance(image, np.ndarray):
        fits = image.ndim == 2 or (image.ndim == 3 and image.shape[2] in (1, 3))
        _need(fits and image.size > 0 and image.dtype == np.uint8, f"it is {image.dtype} {image.shape}")
        return pil.fromarray(image[:, :, 0] if image.shape[2:] == (1,) else image)
    if isinstance(image, (str, os.PathLike)):
        with _open(Path(image)) as file:
            return _decode(pil, file)
    if isinstance(image, (bytes, bytearray, memoryview)):
        image = io.BytesIO(image)
    if hasattr(image, "read"):
        if not _seekable(image):
            image = io.BytesIO(image.read())
        try:
            picture = pil.open(image, formats=FORMATS)
        except KeyError:  # an older Pillow, which has registered all formats that it knows by now
            image.seek(0)
            picture = pil.open(image, formats=[name for name in FORMATS if name in pil.OPEN])
        picture.load()
        return picture
    _need(isinstance(image, pil.Image), f"it is a {type(image).__name__}")
    return image


def _seekable(file: Any) -> bool:
    try:
        return bool(file.seekable())
    except AttributeError:
        return hasattr(file, "seek")


def _turned(picture: Any) -> Any:
    """Turned and mirrored as the orientation in its EXIF data says; as it is if that cannot be read."""
    turn = _package("PIL.ImageOps", "pillow").exif_transpose
    try:
        return turn(picture) if picture.getexif().get(ORIENTATION, 1) in range(2, 9) else picture
    except Exception:  # Pillow raises errors of many kinds on damaged EXIF data
        return picture


def _convert(pil: Any, picture: Any, mode: str) -> Any:
    """Grey or RGB of 8 bits. 16 bits keep their upper 8; 32 bits are refused, as their range is not known."""
    wide = picture.mode == "I" and picture.format in ("PNG", "PPM")  # 16 bits in the file
    _need(picture.mode != "F" and (picture.mode != "I" or wide), "pixels have 32 bits")
    if picture.mode.startswith("I;16") or wide:
        picture = pil.fromarray((np.asarray(picture, np.int64).clip(0, 65535) >> 8).astype(np.uint8))
    if picture.mode == "P" and isinstance(picture.info.get("transparency"), bytes):  # Pillow warns of these
        picture = picture.convert("RGBA")
    return picture.convert(mode)


def _fit(pil: Any, picture: Any, preprocess: Mapping[str, Any]) -> Any:
    """Resized with antialiasing, and cropped to the model's size."""
    (height, width), side, mode = preprocess["size"], preprocess["shorter_side"], preprocess.get("crop_mode")
    resampling = getattr(pil.Resampling, preprocess["interpolation"].upper())
    if side is None:
        return _resize(picture, (width, height), resampling)
    if mode == "squash":
        resized = (side, side)
    elif mode == "border":
        ratio = max(picture.size) / side
        resized = (max(1, round(picture.width / ratio)), max(1, round(picture.height / ratio)))
    else:
        shorter = min(picture.size)
        resized = (side * picture.width // shorter, side * picture.height // shorter)
    left, top = round(max(0, resized[0] - width) / 2), round(max(0, resized[1] - height) / 2)
    box = (left, top, left + width, top + height)
    if resized[0] * resized[1] > RESIZED_WHOLE and picture.size != resized:
        return _resize_part(picture, resized, box, resampling)
    picture = _resize(picture, resized, resampling)
    if picture.width < width or picture.height < height:  # in the middle of a border of the mean colour
        colour = tuple(min(max(round(255 * mean), 0), 255) for mean in preprocess["mean"])
        bordered = pil.new(picture.mode, (max(width, picture.width), max(height, picture.height)), colour)
        bordered.paste(picture, ((bordered.width - picture.width) // 2, (bordered.height - picture.height) // 2))
        picture = bordered
    return picture.crop(box)


def _resize(picture: Any, size: tuple[int, int], resampling: Any) -> Any:
    """With bounded memory: Pillow would widen each row of a narrow, very tall image before it reduces their number."""
    if picture.size == size:
        return picture
    if size[0] * picture.height > max(RESIZED_WHOLE, picture.width * picture.height):
        picture = picture.resize((picture.width, size[1]), resampling)
    return picture.resize(size, resampling)


def _resize_part(picture: Any, resized: tuple[int, int], box: tuple[int, int, int, int], resampling: Any) -> Any:
    """`picture.resize(resized).crop(box)`, up to rounding, computed from the pixels that it depends on alone."""
    left, start_x, right, end_x = _source_span(picture.width, resized[0], box[0], box[2])
    top, start_y, bottom, end_y = _source_span(picture.height, resized[1], box[1], box[3])
    source = picture.crop((left, top, right, bottom))
    part = (start_x - left, start_y - top, end_x - left, end_y - top)
    return source.resize((box[2] - box[0], box[3] - box[1]), resampling, part)


def _source_span(length: int, resized: int, first: int, last: int) -> tuple[int, float, int, float]:
    """From where to where the pixels `first` to `last` of a resized side are sampled, within pixels it depends on."""
    scale = length / resized
    start, end = first * scale, min(last * scale, length)
    reach = math.ceil(2 * max(scale, 1)) + 1  # bicubic resampling takes two pixels on each side
    return max(0, math.floor(start) - reach), start, min(length, math.ceil(end) + reach), end


def verify(folder: StrPath, providers: str | Sequence[str] = CPU, model: Model | None = None) -> Report:
    """Check every file, and the outputs on every probe, in the session of `model` if passed. Raises as `Model` does."""
    manifest = check_files(folder)
    if LABELS in manifest["files"]:
        with _open(Path(folder) / LABELS) as file:
            if file.read() != "".join(f"{label}\n" for label in manifest["labels"]).encode("utf-8"):
                raise Difference(f"{LABELS} in {folder} does not list the labels of manifest.json.", RESTORE)
    if manifest["verdict"] == "unverified":
        raise Difference(f"{folder} is {UNVERIFIED}.", f"Run `zoo verify {folder} --strict`.")
    precision = manifest.get("precision", "fp32")
    if precision not in BY_ROUNDING:
        raise Error(f"{folder} is in {precision}, which has rules of its own.", f"Run `zoo verify {folder}`.")
    model = model or Model(folder, providers)
    if model.manifest["digest"] != manifest["digest"]:
        raise Difference("manifest.json has changed since the model was loaded.", "Load the model again.")
    probes, factor = manifest["certificate"]["probes"], manifest["certificate"]["tolerance_factor"]
    results = tuple(_replay(model, probe, factor) for probe in probes)
    prepared = _prepared_images(model.folder, manifest["preprocess"])
    return Report(model.name, model.artifact, model.providers, factor, results, manifest["verdict"], prepared)


def check_files(folder: StrPath, upgrade: Upgrade = dict) -> dict[str, Any]:
    """`read_manifest`, and `Difference` if a file that it names is missing or was changed."""
    manifest = read_manifest(folder, upgrade)
    changed = []
    for name, entry in sorted(manifest["files"].items()):
        digest = None
        with suppress(OSError), _open(Path(folder) / name, entry["bytes"]) as file:
            digest = _sha256(file)
        if digest != entry["sha256"]:
            changed.append(name)
    if changed:
        raise Difference(f"{', '.join(changed)} in {folder}: missing, or not the bytes that were written.", RESTORE)
    return manifest


def _sha256(file: Any) -> str:
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def _replay(model: Model, probe: Mapping[str, Any], factor: float) -> ProbeResult:
    name, n, rounding_error = probe["name"], probe["n"], probe["rounding_error"]
    with _golden(model.folder, f"the probe {name}") as golden:
        x, truth = golden[f"{name}.input"], golden[f"{name}.truth"]
        _need(x.dtype == np.float32 and len(x) == n, "its images do not fit")
        _need(truth.dtype == np.float64 and truth.shape == (n, len(model.labels)), "its truth does not fit")
        _need(bool(np.isfinite(truth).all()), "its truth is not finite")
    tolerance = factor * rounding_error
    try:
        y = model.run(x)
    except Error as error:
        return ProbeResult(name, n, None, rounding_error, tolerance, None, False, error.cause.rstrip("."))
    if not np.isfinite(y).all():
        return ProbeResult(name, n, None, rounding_error, tolerance, None, False, "some outputs are not finite")
    rule = model.manifest["certificate"]["override"] or {"atol": tolerance, "rtol": 0}
    errors = np.abs(y.astype(np.float64) - truth)
    allowed = rule["atol"] + rule["rtol"] * np.abs(truth)
    largest = float(errors.max())
    ratio = largest / max(rounding_error, 1e-45)  # the smallest float32 that is not 0
    decisive = (errors - allowed).argmax()
    passed = bool((errors <= allowed).all())
    return ProbeResult(name, n, largest, rounding_error, float(allowed.flat[decisive]), ratio, passed)


@contextmanager
def _golden(folder: Path, content: str) -> Iterator[Any]:
    """The arrays of the golden file, by name. Nothing is unpickled or decompressed."""
    try:
        with _open(folder / GOLDEN) as file, np.load(file, allow_pickle=False) as golden:
            for member in golden.zip.infolist():
                _need(member.compress_type == 0, "it is compressed")
                _need(member.file_size <= MAX_ARRAY, "an array is too large")
            yield golden
    except Error:
        raise
    except Exception as why:  # zipfile, zlib and numpy raise errors of many kinds on what is no sound archive
        raise Difference(f"{GOLDEN} does not hold {content}: {_why(why)}.", RESTORE) from None


def _prepared_images(folder: Path, preprocess: Mapping[str, Any]) -> int:
    """How many raw images of the golden file give the tensors stored with them. Older folders have none."""
    try:
        _package("PIL.Image", "pillow")
    except Error as error:
        warnings.warn(f"Preprocessing was not checked. {error}", stacklevel=3)
        return 0
    std = np.array(preprocess["std"])[:, None, None]
    with _golden(folder, "images with their tensors") as golden:
        names = [name for name in golden.files if name.endswith(".pixels")]
        for name in names:
            stored = golden[name.replace(".pixels", ".tensor")]
            prepared = prepare_image(golden[name], preprocess)
            _need(prepared.shape == stored.shape, f"{name} has another shape")
            levels = 255 * std * np.abs(prepared.astype(np.float64) - stored)
            if not levels.max() < LEVELS + 0.5:
                text = f"Preprocessing of {_plain(name)} in {GOLDEN} gives other values than at export."
                raise Difference(text, "Install the release of Pillow that manifest.json names, or export again.")
    return len(names)


def manifest_digest(data: Mapping[str, Any]) -> str:
    """`sha256:` and 64 hex digits over the canonical JSON of all but `digest`; `TypeError`, `ValueError` if no JSON."""
    rest = {key: value for key, value in data.items() if key != "digest"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return f"sha256:{hashlib.sha256(text.encode('utf-8')).hexdigest()}"


def read_manifest(folder: StrPath, upgrade: Upgrade = dict) -> dict[str, Any]:
    """`manifest.json`, checked. `Error` if there is none, or of another format; `Difference` if it was changed."""
    try:
        with _open(Path(folder) / "manifest.json", MAX_JSON) as file:
            text = file.read()
    except (OSError, ValueError) as error:
        raise Error(f"{folder} is not an export folder (manifest.json: {_why(error)}).", "Check its path.") from None
    try:
        data: dict[str, Any] = json.loads(text.decode("utf-8"), object_pairs_hook=_unique)
        _need(data["digest"] == manifest_digest(data), "its digest is not that of its content")
        data = upgrade(data)
        version = data["format"]
        if type(version) is int and version != 2:
            raise Error(f"manifest.json has format {version}, not 2.", "Use that folder's own zoo_runtime.py.")
        _check_manifest(data)
    except MALFORMED as error:
        raise Difference(f"manifest.json is not what was written: {_why(error)}.", RESTORE) from None
    return data


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    _need(len(data) == len(pairs), "an object has a key twice")  # readers differ in which they take
    return data


def _check_manifest(data: Mapping[str, Any]) -> None:
    """Every field that this file uses: its type, and its range."""
    kinds = {"format": int, "name": str, "card": dict, "versions": dict, "labels": list, "artifacts": dict}
    for key, kind in kinds.items():
        _need(isinstance(data[key], kind), f"{key} is malformed")
    for tensor, dimensions in ((data["input"], 4), (data["output"], 2)):
        shape = tensor["shape"]
        fits = len(shape) == dimensions and all(isinstance(size, str) or size > 0 for size in shape)
        fits = fits and isinstance(tensor["name"], str) and tensor["dtype"] == "float32"
        _need(fits, "input or output is malformed")
    labels = data["labels"]
    _need(len(labels) == data["output"]["shape"][1], "labels do not fit the output")
    _need(all(isinstance(label, str) for label in labels), "labels are malformed")
    _check_preprocess(data["preprocess"])
    for name, entry in data["files"].items():
        plain = name.isprintable() and name not in ("", ".", "..") and not set(name) & set("/\\:")
        fits = plain and type(entry["bytes"]) is int and isinstance(entry["sha256"], str)
        _need(fits, f"the file {name!r} is malformed")
    _check_certificate(data["certificate"], data["verdict"])
    names = [name for artifact in data["artifacts"].values() for name in artifact["files"].values()]
    for name in names if data["verdict"] == "unverified" else [*names, GOLDEN]:
        _need(name in data["files"], f"{name!r} is not among its files")
    if FORMAT in data["artifacts"]:
        _need("model" in data["artifacts"][FORMAT]["files"], "artifacts are malformed")


def _check_preprocess(how: Mapping[str, Any]) -> None:
    height, width = how["size"]
    side, mean, std = how["shorter_side"], how["mean"], how["std"]
    fits = all(type(size) is int and size > 0 for size in (height, width)) and height * width <= MAX_PIXELS
    fits = fits and (side is None or (type(side) is int and max(height, width) <= side <= MAX_SHORTER_SIDE))
    fits = fits and len(mean) == len(std) and len(mean) in (1, 3)
    fits = fits and all(abs(value) < 1e6 for value in mean) and all(0 < value < 1e6 for value in std)
    fits = fits and type(how.get("exif_orientation", False)) is bool
    fits = fits and how["interpolation"] in ("nearest", "bilinear", "bicubic")
    if "crop_mode" in how:
        fits = fits and how["crop_mode"] in ("squash", "border") and side is not None
    _need(fits, "preprocess is malformed")


def _check_certificate(certificate: Mapping[str, Any], verdict: str) -> None:
    override = certificate["override"]
    if override is None:
        fits = verdict in ("pass", "inconclusive", "unverified")
    else:
        fits = verdict in ("overridden", "unverified")
        fits = fits and all(0 <= override[key] <= 1e39 for key in ("atol", "rtol"))
    _need(fits and verdict == certificate["verdict"], "verdict is malformed")
    _need(0 < certificate["tolerance_factor"] < 1e300, "the certificate's tolerance_factor is malformed")
    _need(len(certificate["probes"]) > 0, "the certificate has no probe")
    if verdict == "unverified":
        return
    for probe in certificate["probes"]:
        fits = isinstance(probe["name"], str) and type(probe["n"]) is int and 0 < probe["n"] <= MAX_IMAGES
        fits = fits and all(0 <= probe[key] < 1e300 for key in ("rounding_error", "tolerance", "peak"))
        _need(fits, "a probe is malformed")


def _open(path: Path, limit: int | None = None) -> Any:
    """Open a regular file of at most `limit` bytes. Anything else is refused: a FIFO would be waited for."""
    for kind, is_kind in (("a folder", path.is_dir), ("a FIFO", path.is_fifo), ("a socket", path.is_socket)):
        if is_kind():
            raise OSError(f"it is {kind}, not a regular file")
    if path.exists() and not path.is_file():
        raise OSError("it is a device, not a regular file")
    if limit is not None and path.exists() and path.stat().st_size > limit:
        raise OSError(f"it has more than {limit:,} bytes")
    return os.fdopen(os.open(path, getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb")


def _package(module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise Error(f"{package} cannot be imported: {_why(error)}.", f"pip install {package}") from None


def _need(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)


def _why(error: Exception) -> str:
    """What an error says, in one line without a full stop."""
    if type(error).__name__ == "UnidentifiedImageError":  # Pillow's
        return UNKNOWN_FORMAT
    if isinstance(error, KeyError):
        return _plain(f"no {error}")
    text = getattr(error, "strerror", "") or str(error) or type(error).__name__
    return _plain(text).rstrip(".")


def _plain(text: str) -> str:
    """One line that no terminal obeys."""
    return "".join(c if c.isprintable() and c not in BLANK else "\ufffd" for c in " ".join(text.split()))


# The command


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {_plain(message).rstrip('.')}.\n  next: See `python zoo_runtime.py --help`.\n")


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    about = "Run an exported model, verify it, or time it."
    parser = _Parser(prog="zoo_runtime.py", allow_abbrev=False, description=about)
    add = parser.add_argument
    add("images", nargs="*", metavar="IMAGE", help="image files, folders of them, or patterns")
    add("--verify", action="store_true", help="check the files, and the outputs against the model's")
    add("--benchmark", action="store_true", help="time the model on random images")
    add("--json", action="store_true", help="print JSON")
    add("--csv", action="store_true", help="print a table of image, rank, label, index, probability")
    add("--top", type=int, default=5, metavar="N", help="classes to print for an image (5)")
    add("--batch-size", type=int, default=BATCH_SIZE, metavar="N", help=f"images at a time ({BATCH_SIZE})")
    add("--provider", default=CPU[0], metavar="NAME", help=f"onnxruntime's execution provider, or auto ({CPU[0]})")
    add("--threads", type=int, default=0, metavar="N", help="CPU threads (0: onnxruntime chooses)")
    add("--folder", default=Path(__file__).parent, metavar="DIR", help="the export folder (this one)")
    options = parser.parse_args(arguments)
    if min(options.top, options.batch_size) < 1 or options.threads < 0:
        parser.error("--top and --batch-size must be at least 1, and --threads at least 0")
    if bool(options.images) + options.verify + options.benchmark != 1:
        parser.error("name either images, --verify or --benchmark")
    if options.csv and (options.json or not options.images):
        parser.error("--csv is for images, and not together with --json")
    return options


def _command(arguments: Sequence[str] | None) -> int:
    options = _parsed(arguments)
    if options.verify:
        report = verify(options.folder, options.provider)
        if options.json:
            print(json.dumps(report.to_dict(), indent=2))
        elif report.passed:
            print(_plain(f"{report.verdict.upper()}: {report.summary}"))
        if not report.passed:
            raise Difference(f"FAIL: {report.summary}.", RESTORE)
        return 0
    model = Model(options.folder, options.provider, threads=options.threads)
    if options.benchmark:
        times = benchmark(model, options.batch_size)
        lines = [_plain(f"{name}: {value}") for name, value in times.items()]
        print(json.dumps(times, indent=2) if options.json else "\n".join(lines))
        return 0
    return _print_predictions(model, options)


def _print_predictions(model: Model, options: argparse.Namespace) -> int:
    """Print the classes of each image as soon as they are there, and at the end the images that cannot be read."""
    failed: list[Error] = []

    def results() -> Iterator[Result]:
        for result in model.predict_each(_named(options.images, failed), options.top, options.batch_size):
            if result.error is not None:
                failed.append(result.error)
            yield result

    if options.json:
        _print_json(results())
    elif options.csv:
        _print_csv(results())
    else:
        _print_text(results())
    for error in failed:
        _print_error(error)
    return 1 if failed else 0


def _named(names: Iterable[str], failed: list[Error]) -> Iterator[ImageLike]:
    """The images that the command line names: files, those in folders, and those that match a pattern."""
    for name in names:
        if Path(name).is_dir():
            try:
                yield from map(str, image_files(name))
            except Error as error:
                failed.append(error)
        elif glob.has_magic(name) and not Path(name).exists():  # a shell without patterns, or one in quotes
            yield from sorted(glob.glob(name, recursive=True)) or [name]
        else:
            yield name


def _print_text(results: Iterable[Result]) -> None:
    for result in results:
        if result.predictions:
            print(_plain(str(result.image)))
        for each in result.predictions:
            print(f"{each.probability:8.2%}  {_plain(each.label)}")


def _print_csv(results: Iterable[Result]) -> None:
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(["image", "rank", "label", "index", "probability"])
    for result in results:
        image = _plain(str(result.image))
        for place, each in enumerate(result.predictions, start=1):
            table.writerow([image, place, _plain(each.label), each.index, f"{each.probability:.6g}"])


def _print_json(results: Iterable[Result]) -> None:
    """An array with one element a line, each written as soon as it is there."""
    before = "[\n"
    for result in results:
        row: dict[str, Any] = {"image": str(result.image), "predictions": list(map(asdict, result.predictions))}
        if result.error is not None:
            row["error"] = result.error.cause
        print(f"{before}{json.dumps(row)}", end="")
        before = ",\n"
    print("[]" if before == "[\n" else "\n]")


def _print_error(error: Error) -> None:
    sys.stderr.write(f"error: {_plain(error.cause)}\n  next: {_plain(error.next_step)}\n")


def benchmark(model: Model, batch_size: int = 1, n: int = 50) -> dict[str, Any]:
    """Time `model` on random images, after 5 batches to warm up: the median of `n` batches."""
    preprocess = model.manifest["preprocess"]
    chosen = (batch_size, len(preprocess["mean"]), *preprocess["size"])
    shape = [size if type(size) is int else other for size, other in zip(model.manifest["input"]["shape"], chosen)]
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    for _ in range(5):
        model.run(x)
    times = []
    for _ in range(n):
        start = time.perf_counter()
        model.run(x)
        times.append(1000 * (time.perf_counter() - start))
    median = float(np.median(times))
    return {
        "model": model.name,
        "provider": model.providers[0],
        "batch_size": shape[0],
        "n": n,
        "median_ms": round(median, 4),
        "images_per_second": round(1000 * shape[0] / median, 1),
        "onnxruntime": _package("onnxruntime", "onnxruntime").__version__,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line, by default the process's own, and give its exit code."""
    if hasattr(sys.stdout, "reconfigure"):  # any class name can be written, and a reader who is gone is noticed
        sys.stdout.reconfigure(errors="backslashreplace", line_buffering=True)
    try:
        return _command(arguments)
    except KeyboardInterrupt:
        return 130
    except Error as error:
        _print_error(error)
        return error.exit_code
    except OSError as error:  # only writing the output is left to raise one
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains once more at its end
        if not isinstance(error, BrokenPipeError):
            sys.stderr.write(f"error: The output could not be written: {_why(error)}.\n  next: Send it elsewhere.\n")
        return 141 if isinstance(error, BrokenPipeError) else 1


if __name__ == "__main__":
    warnings.formatwarning = lambda message, *where, **more: f"warning: {_plain(str(message))}\n"
    sys.exit(main())
