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
import os
import platform
import time
import warnings
from contextlib import suppress
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
BY_ROUNDING = ("fp32", "fp16")  # precisions that are checked by rounding error
CPU = ("CPUExecutionProvider",)
AUTO = ("CUDAExecutionProvider", *CPU)  # what `auto` tries, in this order
BATCH_SIZE = 32
RESTORE = "Copy the folder again from where it came, or export again with `zoo export`."

MAX_JSON = 1 << 24  # bytes
MAX_PIXELS = 1 << 22  # of a model's input
MAX_IMAGES = 1 << 16  # of a probe
MAX_ASPECT_RATIO = 512  # longer to shorter side of an image whose centre is cropped
RESIZED_WHOLE = 1 << 25  # pixels; an image that would have more is resized only where it is cropped
# The formats of images that are read. For others Pillow may run programs, whatever the file is called.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP", "JPEG2000", "AVIF")
SUFFIXES = {*(".bmp .gif .jpg .jpeg .png .pbm .pgm .ppm .tif .tiff .webp .jp2 .avif".split())}  # looked for in folders
MALFORMED = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
BLANK = "\u115f\u1160\u2800\u3164\uffa0"  # printable to Python, drawn as nothing
UNPROVEN = ("INCONCLUSIVE: its check covers too little", "UNVERIFIED: nothing was compared; its outputs may be wrong")

Upgrade = Callable[["dict[str, Any]"], "dict[str, Any]"]  # from a manifest of an older format to one of this format
ImageLike = Union[str, "os.PathLike[str]", bytes, "npt.NDArray[np.uint8]", Any]
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
    """Every probe, on the session's `providers`; `tolerance_factor` rounding errors pass unless it is `overridden`."""

    name: str
    artifact: str
    providers: tuple[str, ...]
    tolerance_factor: float
    probes: tuple[ProbeResult, ...]
    verdict: str = "pass"

    @property
    def passed(self) -> bool:
        """Every probe, and there is one at least, is within its tolerance."""
        return bool(self.probes) and all(probe.passed for probe in self.probes)

    @property
    def summary(self) -> str:
        """One line for people."""
        failed = [f"{p.probe} ({p.reason or f'{p.ratio:.3g} rounding errors'})" for p in self.probes if not p.passed]
        worst, n = max((p.ratio or 0.0 for p in self.probes), default=0.0), sum(p.n for p in self.probes)
        what = "computes what the model computes" if self.verdict == "pass" else f"{self.verdict}: accepted at export"
        limit = self.verdict.upper() if self.verdict == "overridden" else f"{self.tolerance_factor:g}"
        extent = f"tolerance {limit}; {len(self.probes)} probes, {n} images"
        if self.passed:
            return f"{self.artifact}: {what} (largest error {worst:.1f} rounding errors, {extent})"
        return f"{self.artifact}: differs from the model on {', '.join(failed) or 'no probe'} ({extent})"

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, with `passed` and `summary`."""
        return {"passed": self.passed, "summary": self.summary, **asdict(self)}


# Running


class Model:
    """The model in an export folder. Several threads may use one `Model` at once.

    Args:
        folder: an export folder.
        providers: onnxruntime's execution providers, all of which must load; or `"auto"`: CUDA where it loads,
            else the CPU. The attribute `providers` says which are used.
        threads: CPU threads of one call; 0 leaves the number to onnxruntime.
        upgrade: turns a manifest of another format into one of this format.

    Raises:
        Error: `folder` is no export folder, holds no ONNX file, or a provider does not load.
        Difference: its manifest was changed.

    Warns:
        UserWarning: nothing was compared when it was exported, or by a tolerance other than the default.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        providers: str | Sequence[str] = CPU,
        upgrade: Upgrade = dict,
        *,
        threads: int = 0,
    ) -> None:
        self.folder, self.manifest = Path(folder), read_manifest(folder, upgrade)
        self.name, self.labels = str(self.manifest["name"]), tuple(self.manifest["labels"])
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
        shape, name = self.manifest["input"]["shape"], self.manifest["output"]["name"]
        if not isinstance(x, np.ndarray) or x.dtype != np.float32:
            raise Error(f"The input is {getattr(x, 'dtype', type(x))}, not float32.", "Pass a float32 numpy array.")
        if x.ndim != 4 or 0 in x.shape or any(type(d) is int and d != n for d, n in zip(shape, x.shape)):
            raise Error(f"The input has the shape {list(x.shape)}, not {shape}.", "Stack what Model.prepare returns.")
        try:
            (y,) = self._session.run([name], {self.manifest["input"]["name"]: np.ascontiguousarray(x)})
        except Exception as error:  # onnxruntime's errors share no other base
            raise Error(f"onnxruntime could not run {self.artifact}: {_why(error)}.", "Verify the folder.") from None
        form, expected = (str(getattr(y, "dtype", y)), np.shape(y)), ("float32", (len(x), len(self.labels)))
        if form != expected:
            raise Difference(f"The output {name} is {form}, not {expected}.", RESTORE)
        return np.asarray(y)

    def prepare(self, image: ImageLike) -> npt.NDArray[np.float32]:
        """One image as the model sees it, float32 `[C, H, W]`; see `prepare_image`."""
        return prepare_image(image, self.manifest["preprocess"])

    def predict(self, images: ImageLike | Iterable[ImageLike], top: int = 5, batch_size: int = BATCH_SIZE) -> Any:
        """Classify an image, or several.

        Args:
            images: an image as in `ImageLike`; or an iterable of images, such as a list or a generator; or the path
                of a folder, which stands for the images in it and below it, in the order of `image_files`.
            top: the number of classes for each image.
            batch_size: images that go through the model at once.

        Returns:
            The likeliest classes of the image, likeliest first, as a list of `Prediction`; for several images, a list
            of such lists.

        Raises:
            Error: an image cannot be read, or its logits are not finite.
        """
        several = _is_folder(images) or not _is_one_image(images)
        found: list[list[Prediction]] = []
        for result in self.predict_each(images if several else [images], top, batch_size):
            if result.error is not None:
                raise result.error
            found.append(list(result.predictions))
        return found if several else found[0]

    def predict_each(
        self, images: ImageLike | Iterable[ImageLike], top: int = 5, batch_size: int = BATCH_SIZE
    ) -> Iterator[Result]:
        """Classify several images, batch by batch; one that cannot be read gets a `Result` with the error.

        Takes what `predict` takes. At most `batch_size` images are held at once.

        Raises:
            Error: the model could not be run, or `top` or `batch_size` is below 1.
        """
        if min(top, batch_size) < 1:
            raise Error(f"top={top} and batch_size={batch_size}: one is below 1.", "Use integers, 1 or more.")
        if _is_folder(images):
            images = image_files(images)
        elif _is_one_image(images):
            images = [images]
        fixed = self.manifest["input"]["shape"][0]
        size = fixed if type(fixed) is int else batch_size
        batch: list[ImageLike] = []
        for image in images:
            batch.append(image)
            if len(batch) == size:
                yield from self._predict_batch(batch, top)
                batch = []
        if batch:
            yield from self._predict_batch(batch, top)

    def _predict_batch(self, images: Sequence[ImageLike], top: int) -> Iterator[Result]:
        prepared = [self._prepared(image) for image in images]
        arrays = [each for each in prepared if not isinstance(each, Error)]
        logits = iter(self._run_padded(arrays) if arrays else ())
        for image, each in zip(images, prepared):
            if isinstance(each, Error):
                yield Result(image, (), each)
                continue
            try:
                yield Result(image, tuple(rank(next(logits), self.labels, top)))
            except Error as error:
                yield Result(image, (), error)

    def _prepared(self, image: ImageLike) -> npt.NDArray[np.float32] | Error:
        try:
            return self.prepare(image)
        except Error as error:
            return error

    def _run_padded(self, arrays: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
        """The logits of these images; a model of a fixed batch size gets the last one again to fill the batch."""
        fixed = self.manifest["input"]["shape"][0]
        missing = fixed - len(arrays) if type(fixed) is int else 0
        return self.run(np.stack([*arrays, *[arrays[-1]] * missing]))[: len(arrays)]

    def verify(self) -> Report:
        """Repeat the check of the folder with this very session; see the function `verify`."""
        return verify(self.folder, model=self)


def rank(logits: npt.NDArray[Any], labels: Sequence[str], top: int) -> list[Prediction]:
    """The `top` likeliest classes of one image's logits `[K]`, or all if there are fewer.

    Raises:
        Error: `top` is below 1, or the logits are not finite.
    """
    if top < 1 or not np.isfinite(logits).all():
        raise Error(f"No top {top} classes: that is below 1, or the logits are not finite.", "Verify the model.")
    odds = np.exp(logits.astype(np.float64) - logits.max())
    return [Prediction(labels[i], int(i), float(odds[i] / odds.sum())) for i in np.argsort(-odds, kind="stable")[:top]]


def image_files(folder: str | os.PathLike[str]) -> list[Path]:
    """The image files in a folder and below it, by their suffixes, sorted by path.

    Raises:
        Error: there are none.
    """
    paths = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not paths:
        raise Error(f"{folder} holds no image files.", f"Their names must end in one of {', '.join(sorted(SUFFIXES))}.")
    return paths


def _is_folder(images: Any) -> bool:
    return isinstance(images, (str, os.PathLike)) and os.path.isdir(images)


def _is_one_image(images: Any) -> bool:
    if isinstance(images, (str, os.PathLike, bytes, bytearray, memoryview, np.ndarray)) or hasattr(images, "read"):
        return True
    return hasattr(images, "convert") or not isinstance(images, Iterable)  # a PIL image; or nothing that can be read


def _unproven(manifest: Mapping[str, Any]) -> str:
    override = manifest["certificate"]["override"]
    if override:
        rule = f"{override['atol']:g} + {override['rtol']:g} · |truth|"
        return f"OVERRIDDEN: its tolerance is {rule}, not the default"
    return UNPROVEN[manifest["verdict"] == "unverified"]


def _open_session(path: Path, providers: str | Sequence[str], threads: int) -> Any:
    onnxruntime = _package("onnxruntime", "onnxruntime")
    if type(threads) is not int or threads < 0:
        raise Error(f"threads={threads!r} is not an integer of 0 or more.", "Use 0 for onnxruntime's own choice.")
    if providers == "auto":
        for provider in AUTO[:-1]:
            with suppress(Error):
                return _open_session(path, [provider], threads)
        providers = AUTO[-1:]
    names = [providers] if isinstance(providers, str) else list(providers)
    absent = sorted(set(names) - set(onnxruntime.get_available_providers()))
    if names and not absent:
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
        absent = sorted(set(names) - set(session.get_providers()))
        if not absent:
            return session
    raise Error(f"onnxruntime has no {', '.join(absent) or 'provider'} here.", "Use CPUExecutionProvider.")


# Preparing images


def prepare_image(image: ImageLike, preprocess: Mapping[str, Any]) -> npt.NDArray[np.float32]:
    """The model's input, float32 `[C, H, W]`, of one image: `normalise(read_pixels(image, preprocess), preprocess)`.

    Args:
        preprocess: as in `manifest.json`.

    Raises:
        Error: the image cannot be read, or its pixels have no known range.
    """
    return normalise(read_pixels(image, preprocess), preprocess)


def normalise(pixels: npt.NDArray[np.uint8], preprocess: Mapping[str, Any]) -> npt.NDArray[np.float32]:
    """`(pixels / 255 - mean) / std`, float32, of uint8 `[..., C, H, W]`."""
    mean, std = (np.array(preprocess[key], np.float32)[:, None, None] for key in ("mean", "std"))
    prepared = (np.asarray(pixels, np.float32) / np.float32(255) - mean) / std
    return np.ascontiguousarray(prepared, np.float32)


def read_pixels(image: ImageLike, preprocess: Mapping[str, Any]) -> npt.NDArray[np.uint8]:
    """One image, converted, resized and cropped to the model's channels and size: uint8 `[C, H, W]`.

    Raises:
        Error: the image cannot be read, or its pixels have no known range.
    """
    pil = _package("PIL.Image", "pillow")
    name = os.fspath(image) if isinstance(image, (str, os.PathLike)) else "The image"
    try:
        picture = _convert(pil, _decode(pil, image), "L" if len(preprocess["mean"]) == 1 else "RGB")
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
        picture = pil.open(image, formats=FORMATS)
        picture.load()
        return picture
    _need(isinstance(image, pil.Image), f"it is a {type(image).__name__}")
    return image


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
        return _resized(picture, (width, height), resampling)
    if mode == "squash":
        resized = (side, side)
    elif mode == "border":
        longer = max(picture.size) / side
        resized = (max(1, round(picture.width / longer)), max(1, round(picture.height / longer)))
    else:
        shorter = min(picture.size)
        resized = (side * picture.width // shorter, side * picture.height // shorter)
        shape = f"its longer side is more than {MAX_ASPECT_RATIO} times its shorter side"
        _need(max(resized) <= MAX_ASPECT_RATIO * side, shape)
    left, top = round((max(resized[0], width) - width) / 2), round((max(resized[1], height) - height) / 2)
    if resized[0] * resized[1] > RESIZED_WHOLE:  # the same, up to rounding: only what is left after cropping
        across, down = picture.width / resized[0], picture.height / resized[1]
        right, bottom = min((left + width) * across, picture.width), min((top + height) * down, picture.height)
        return picture.resize((width, height), resampling, (left * across, top * down, right, bottom))
    picture = _resized(picture, resized, resampling)
    if picture.width < width or picture.height < height:
        colour = tuple(min(max(round(255 * mean), 0), 255) for mean in preprocess["mean"])
        larger = (max(width, picture.width), max(height, picture.height))
        whole = pil.new(picture.mode, larger, colour if len(colour) > 1 else colour[0])
        whole.paste(picture, ((larger[0] - picture.width) // 2, (larger[1] - picture.height) // 2))
        picture = whole
    return picture.crop((left, top, left + width, top + height))


def _resized(picture: Any, size: tuple[int, int], resampling: Any) -> Any:
    return picture if picture.size == size else picture.resize(size, resampling)


# Checking


def verify(folder: str | os.PathLike[str], providers: str | Sequence[str] = CPU, model: Model | None = None) -> Report:
    """Check every file, and the outputs on every probe, in the session of `model` if passed.

    Raises:
        Error: as `Model`; or the precision has rules of its own.
        Difference: a file is missing or was changed, or nothing was compared when the folder was made.
    """
    manifest = check_files(folder)
    if manifest["verdict"] == "unverified":
        raise Difference(f"{folder} is {UNPROVEN[True]}.", f"Run `zoo verify {folder} --strict`.")
    precision = manifest.get("precision", "fp32")
    if precision not in BY_ROUNDING:
        raise Error(f"{folder} is in {precision}, which has rules of its own.", f"Run `zoo verify {folder}`.")
    model = model or Model(folder, providers)
    if model.manifest["digest"] != manifest["digest"]:
        raise Difference("manifest.json has changed since the model was loaded.", "Load the model again.")
    probes, factor = manifest["certificate"]["probes"], manifest["certificate"]["tolerance_factor"]
    results = tuple(_replay(model, probe, factor) for probe in probes)
    return Report(model.name, model.artifact, model.providers, factor, results, manifest["verdict"])


def check_files(folder: str | os.PathLike[str], upgrade: Upgrade = dict) -> dict[str, Any]:
    """`read_manifest`, and `Difference` if a file that it names is missing or was changed."""
    manifest, changed = read_manifest(folder, upgrade), []
    for name, entry in sorted(manifest["files"].items()):
        with suppress(OSError), _open(Path(folder) / name, entry["bytes"]) as file:
            if _sha256(file) == entry["sha256"]:
                continue
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
    name, n, rounding_error = (probe[key] for key in ("name", "n", "rounding_error"))
    x, truth = _golden(model, name, n)
    tolerance = factor * rounding_error
    try:
        y = model.run(x)
    except Error as failure:
        return ProbeResult(name, n, None, rounding_error, tolerance, None, False, failure.cause.rstrip("."))
    if not np.isfinite(y).all():
        return ProbeResult(name, n, None, rounding_error, tolerance, None, False, "some outputs are not finite")
    rule = model.manifest["certificate"]["override"] or {"atol": tolerance, "rtol": 0}
    off, allowed = np.abs(y.astype(np.float64) - truth), rule["atol"] + rule["rtol"] * np.abs(truth)
    error, passed = float(off.max()), bool((off <= allowed).all())
    tolerance = float(allowed.flat[(off - allowed).argmax()])
    return ProbeResult(name, n, error, rounding_error, tolerance, error / max(rounding_error, 1e-45), passed)


def _golden(model: Model, name: str, n: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    """Images and truth of a probe. Nothing is unpickled or decompressed."""
    try:
        with _open(model.folder / "golden.npz") as file, np.load(file, allow_pickle=False) as golden:
            _need(not any(m.compress_type or m.file_size > 2**31 for m in golden.zip.infolist()), "it is compressed")
            x, truth = golden[f"{name}.input"], golden[f"{name}.truth"]
        fit = x.dtype == np.float32 and len(x) == n and truth.dtype == np.float64
        _need(fit and truth.shape == (n, len(model.labels)) and bool(np.isfinite(truth).all()), "its arrays do not fit")
    except Exception as why:  # zipfile, zlib and numpy raise errors of many kinds on what is no sound archive
        raise Difference(f"golden.npz does not hold the probe {name}: {_why(why)}.", RESTORE) from None
    return x, truth


def manifest_digest(data: Mapping[str, Any]) -> str:
    """`sha256:` and 64 hex digits over the canonical JSON of all but `digest`; `TypeError`, `ValueError` if no JSON."""
    rest = {key: value for key, value in data.items() if key != "digest"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return f"sha256:{hashlib.sha256(text.encode('utf-8')).hexdigest()}"


def read_manifest(folder: str | os.PathLike[str], upgrade: Upgrade = dict) -> dict[str, Any]:
    """`manifest.json`, digest and form checked.

    Raises:
        Error: there is none, or it has another format.
        Difference: it was changed.
    """
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


def _check_manifest(data: dict[str, Any]) -> None:
    """Every field that this file uses: its type, and its range."""
    kinds = {"format": int, "name": str, "card": dict, "versions": dict, "labels": list, "artifacts": dict}
    _need(all(isinstance(data[key], kind) for key, kind in kinds.items()), f"one of {', '.join(kinds)} is malformed")
    for tensor, dimensions in ((data["input"], 4), (data["output"], 2)):
        fit = len(tensor["shape"]) == dimensions and all(isinstance(d, str) or d > 0 for d in tensor["shape"])
        _need(fit and isinstance(tensor["name"], str) and tensor["dtype"] == "float32", "input or output is malformed")
    labels = data["labels"]
    _need(len(labels) == data["output"]["shape"][1] and all(type(x) is str for x in labels), "labels do not fit")
    _check_preprocess(data["preprocess"])
    for name, entry in data["files"].items():
        fit = name.isprintable() and name not in ("", ".", "..") and not set(name) & set("/\\:")
        fit = fit and type(entry["bytes"]) is int and isinstance(entry["sha256"], str)
        _need(fit, f"{name!r} is not a plain file name, or its entry is malformed")
    _check_certificate(data, data["certificate"])


def _check_preprocess(how: Mapping[str, Any]) -> None:
    (height, width), side, mean, std = how["size"], how["shorter_side"], how["mean"], how["std"]
    fit = all(type(s) is int and s > 0 for s in (height, width)) and height * width <= MAX_PIXELS
    fit = fit and (side is None or (type(side) is int and max(height, width) <= side <= 4096))
    fit = fit and len(mean) == len(std) and len(mean) in (1, 3)
    fit = fit and all(abs(m) < 1e6 and 0 < s < 1e6 for m, s in zip(mean, std))
    fit = fit and how.get("crop_mode") in (None, "squash", "border") and (side is not None or "crop_mode" not in how)
    _need(fit and how["interpolation"] in ("nearest", "bilinear", "bicubic"), "preprocess is malformed")


def _check_certificate(data: Mapping[str, Any], certificate: Mapping[str, Any]) -> None:
    override, verdict = certificate["override"], data["verdict"]
    passes = ("pass", "inconclusive") if override is None else ("overridden",)
    fit = verdict == certificate["verdict"] and verdict in ("unverified", *passes)
    fit = fit and (override is None or all(0 <= override[key] <= 1e39 for key in ("atol", "rtol")))
    _need(fit, "verdict is malformed")
    names = [name for artifact in data["artifacts"].values() for name in artifact["files"].values()]
    for name in names if verdict == "unverified" else [*names, "golden.npz"]:
        _need(name in data["files"], f"{name!r} is not among its files")
    _need(FORMAT not in data["artifacts"] or "model" in data["artifacts"][FORMAT]["files"], "artifacts are malformed")
    _need(0 < certificate["tolerance_factor"] < 1e300 and len(certificate["probes"]) > 0, "certificate has no probe")
    for p in certificate["probes"] if verdict != "unverified" else []:
        fit = 0 < p["n"] <= MAX_IMAGES and all(0 <= p[key] < 1e300 for key in ("rounding_error", "tolerance", "peak"))
        _need(fit and isinstance(p["name"], str) and type(p["n"]) is int, "a probe is malformed")


# Small things


def _open(path: Path, limit: int | None = None) -> Any:
    if path.is_dir():
        raise OSError("it is a folder")
    if path.exists() and not path.is_file():  # a FIFO would be waited for
        raise OSError("it is not a regular file")
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
    if type(error).__name__ == "UnidentifiedImageError":
        return f"it is not an image in a supported format ({', '.join(FORMATS)})"
    text = f"no {error}" if isinstance(error, KeyError) else getattr(error, "strerror", "") or str(error)
    return _plain(text or type(error).__name__).rstrip(".")


def _plain(text: str) -> str:
    """One line that no terminal obeys."""
    return "".join(c if c.isprintable() and c not in BLANK else "\ufffd" for c in " ".join(text.split()))


# The command


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {_plain(message).rstrip('.')}.\n  next: See `python zoo_runtime.py --help`.\n")


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _Parser(
        prog="zoo_runtime.py", allow_abbrev=False, description="Run an exported model, verify it, or time it."
    )
    parser.add_argument("images", nargs="*", metavar="IMAGE", help="image files, folders of them, or patterns")
    parser.add_argument("--verify", action="store_true", help="check the files, and the outputs against the model's")
    parser.add_argument("--benchmark", action="store_true", help="time the model on random images")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--csv", action="store_true", help="print a table of image, rank, class, index, probability")
    parser.add_argument("--top", type=int, default=5, metavar="N", help="classes to print for an image (5)")
    parser.add_argument(
        "--batch-size", type=int, default=BATCH_SIZE, metavar="N", help=f"images at a time ({BATCH_SIZE})"
    )
    parser.add_argument(
        "--provider", default=CPU[0], metavar="NAME", help=f"onnxruntime's execution provider, or auto ({CPU[0]})"
    )
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="CPU threads (0: onnxruntime chooses)")
    parser.add_argument("--folder", default=Path(__file__).parent, metavar="DIR", help="the export folder (this one)")
    options = parser.parse_args(arguments)
    if min(options.top, options.batch_size) < 1 or options.threads < 0:
        parser.error("--top or --batch-size is below 1, or --threads below 0")
    if bool(options.images) + options.verify + options.benchmark != 1:
        parser.error("name either images, --verify or --benchmark")
    if options.csv and (options.json or not options.images):
        parser.error("--csv is for images, and not together with --json")
    return options


def _command(arguments: Sequence[str] | None) -> int:
    options = _parsed(arguments)
    if options.verify:
        report = verify(options.folder, options.provider)
        if report.passed or options.json:
            sys.stdout.write(f"{json.dumps(report.to_dict(), indent=2) if options.json else _plain(report.summary)}\n")
        if not report.passed:
            raise Difference(f"{report.summary}.", RESTORE)
        return 0
    model = Model(options.folder, options.provider, threads=options.threads)
    if options.benchmark:
        times = benchmark(model, options.batch_size)
        line = "{model}, {provider}, {batch_size} images at a time: {median_ms:.2f} ms a batch (median of {n}), "
        line += "{images_per_second:.1f} images a second; onnxruntime {onnxruntime}, {machine}"
        sys.stdout.write(f"{json.dumps(times, indent=2) if options.json else _plain(line.format(**times))}\n")
        return 0
    write = _as_json if options.json else _as_csv if options.csv else _as_text
    failed: list[Error] = []

    def results() -> Iterator[Result]:
        for result in model.predict_each(_named(options.images), options.top, options.batch_size):
            if result.error is not None:
                failed.append(result.error)
            yield result

    write(results())
    for error in failed:
        sys.stderr.write(f"error: {_plain(error.cause)}\n  next: {_plain(error.next_step)}\n")
    return 1 if failed else 0


def _named(names: Iterable[str]) -> Iterator[ImageLike]:
    """The images that the command line names: files, those in folders, and those that match a pattern."""
    for name in names:
        if os.path.isdir(name):
            yield from map(str, image_files(name))
        elif not os.path.exists(name) and glob.has_magic(name):  # a shell without patterns, or one in quotes
            yield from sorted(glob.glob(name, recursive=True)) or [name]
        else:
            yield name


def _as_text(results: Iterable[Result]) -> None:
    for result in results:
        if result.error is None:
            rows = (f"{p.probability:8.2%}  {_plain(p.label)}" for p in result.predictions)
            sys.stdout.write("\n".join([_plain(str(result.image)), *rows, ""]))


def _as_csv(results: Iterable[Result]) -> None:
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(["image", "rank", "label", "index", "probability"])
    for result in results:
        for place, each in enumerate(result.predictions, 1):
            table.writerow(
                [_plain(str(result.image)), place, _plain(each.label), each.index, f"{each.probability:.6g}"]
            )


def _as_json(results: Iterable[Result]) -> None:
    """An array, one element a line, each written as soon as it is there."""
    separator = "[\n"
    for result in results:
        row: dict[str, Any] = {"image": str(result.image), "predictions": [asdict(each) for each in result.predictions]}
        if result.error is not None:
            row["error"] = result.error.cause
        sys.stdout.write(f"{separator}{json.dumps(row)}")
        separator = ",\n"
    sys.stdout.write("[]\n" if separator == "[\n" else "\n]\n")


def benchmark(model: Model, batch_size: int = 1, n: int = 50) -> dict[str, Any]:
    """Time `model` on random images after 5 batches to warm up: the median, fastest and slowest of `n` batches.

    An input whose size is not fixed gets images of the size in the manifest's preprocessing.
    """
    size = (len(model.manifest["preprocess"]["mean"]), *model.manifest["preprocess"]["size"])
    fixed = [d if type(d) is int else other for d, other in zip(model.manifest["input"]["shape"], (batch_size, *size))]
    x = np.random.default_rng(0).standard_normal(fixed).astype(np.float32)
    for _ in range(5):
        model.run(x)
    times = []
    for _ in range(n):
        start = time.perf_counter()
        model.run(x)
        times.append(1000 * (time.perf_counter() - start))
    return {
        "model": model.name,
        "provider": model.providers[0],
        "batch_size": fixed[0],
        "n": n,
        "median_ms": float(np.median(times)),
        "fastest_ms": min(times),
        "slowest_ms": max(times),
        "images_per_second": 1000 * fixed[0] / float(np.median(times)),
        "onnxruntime": _package("onnxruntime", "onnxruntime").__version__,
        "machine": f"{platform.machine()} with {os.cpu_count()} cores",
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
        sys.stderr.write(f"error: {_plain(error.cause)}\n  next: {_plain(error.next_step)}\n")
        return error.exit_code
    except OSError as error:  # only writing the output is left to raise one
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains once more at its end
        if not isinstance(error, BrokenPipeError):
            sys.stderr.write(f"error: The output could not be written: {_why(error)}.\n  next: Send it elsewhere.\n")
        return 141 if isinstance(error, BrokenPipeError) else 1


if __name__ == "__main__":
    warnings.formatwarning = lambda message, *where, **more: f"warning: {_plain(str(message))}\n"
    sys.exit(main())
