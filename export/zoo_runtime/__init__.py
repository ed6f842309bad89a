"""Run an exported model with numpy and onnxruntime alone, and prove that it is still the model that was exported.

This one file is the package `zoo_runtime` and, copied, the `zoo_runtime.py` of every export folder:

    from zoo_runtime import Model
    Model("exports/lenet5.digits").predict("seven.png")

    python zoo_runtime.py IMAGE...          in the folder: the likeliest classes
    python zoo_runtime.py --verify          replay the proof that the folder carries

Exit codes: 0 done; 1 an error that is explained; 2 wrong usage; 3 checked and found different; 130 Ctrl-C.
"""

import argparse
import errno
import hashlib
import importlib
import io
import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn, TextIO

try:
    import numpy as np
    import numpy.typing as npt
except ModuleNotFoundError as absent:
    if __name__ != "__main__" or absent.name != "numpy":
        raise
    sys.exit("error: numpy is not installed.\n  next: pip install numpy onnxruntime pillow")

__all__ = ["Difference", "Error", "Model", "Prediction", "ProbeResult", "Report"]
__all__ += ["manifest_digest", "prepare_image", "read_manifest", "verify"]

CPU = ("CPUExecutionProvider",)
PROVIDER_OPTIONS = {"CUDAExecutionProvider": {"use_tf32": "0"}}  # float32 means float32
MALFORMED = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
RESTORE = "Fetch the folder again from where it came, or export again with `zoo export`."


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
class ProbeResult:
    """One probe of `n` images. `error` is max|output - truth|, infinite where nothing could be compared (`note`
    says why); `ratio` is error / floor, the floor being PyTorch's own rounding error on this probe."""

    probe: str
    n: int
    error: float
    floor: float
    budget: float
    ratio: float
    passed: bool
    note: str = ""


@dataclass(frozen=True)
class Report:
    """What a verification found. `changed` maps a file to what is wrong with it; where there is one, no probe was
    replayed. `providers` are those that the session really had; `k` is the budget in units of the floor."""

    name: str
    artifact: str
    files: tuple[str, ...]
    changed: dict[str, str]
    providers: tuple[str, ...]
    k: float
    probes: tuple[ProbeResult, ...]

    @property
    def passed(self) -> bool:
        """Every file is as it was written; every probe, and there is one at least, is within its budget."""
        return not self.changed and bool(self.probes) and all(probe.passed for probe in self.probes)

    @property
    def summary(self) -> str:
        """One line for people."""
        unit = "× PyTorch's own rounding error"
        failed = [f"{p.probe}: {p.note or f'{p.ratio:.3g}{unit}'}" for p in self.probes if not p.passed]
        if self.changed:
            return "; ".join(f"{name} {why}" for name, why in self.changed.items())
        if not self.probes:
            return f"{self.artifact}: the certificate in manifest.json names no probe, so nothing was compared"
        if failed:
            what = f"differs from the model on {len(failed)} of {len(self.probes)} probes, budget {self.k:g}×"
            return f"{self.artifact}: {what} ({'; '.join(failed)})"
        worst, n = max(probe.ratio for probe in self.probes), sum(probe.n for probe in self.probes)
        what = f"worst {worst:.1f}{unit}, budget {self.k:g}×; {len(self.probes)} probes, {n} images"
        return f"{self.artifact}: computes what the model computes ({what})"

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, with `passed` and `summary`; a number that is not finite becomes `None`."""
        data = {"passed": self.passed, "summary": self.summary, **asdict(self)}
        for probe in data["probes"]:
            probe.update({key: None for key in ("error", "ratio") if not math.isfinite(probe[key])})
        return data


class Model:
    """An exported model, loaded: `name`, `labels`, `manifest`, and the `providers` that the session really has.

    Args:
        folder: the export folder.
        providers: onnxruntime execution providers, the preferred one first; all must be had.

    Raises:
        Difference: the manifest or the graph's inputs and outputs are not what was exported.
        Error: it is no export folder, holds no ONNX artifact, or a package or a provider is missing.
    """

    def __init__(self, folder: str | os.PathLike[str], providers: Sequence[str] = CPU) -> None:
        self.folder = Path(folder)
        self.manifest = read_manifest(folder)
        self.name: str = self.manifest["name"]
        self.labels: tuple[str, ...] = tuple(self.manifest["labels"])
        if "onnx" not in self.manifest["artifacts"]:
            raise Error(f"{folder} holds no ONNX artifact.", "Export again with `zoo export --format onnx`.")
        self.artifact: str = self.manifest["artifacts"]["onnx"]
        asked = (providers,) if isinstance(providers, str) else tuple(providers)
        self._session = _open_session(self.folder / self.artifact, asked)
        self.providers: tuple[str, ...] = tuple(self._session.get_providers())
        for key, ports in (("input", self._session.get_inputs()), ("output", self._session.get_outputs())):
            found, told = [(port.name, port.type) for port in ports], self.manifest[key]["name"]
            if found != [(told, "tensor(float)")]:
                raise Difference(f"{self.artifact} has the {key}s {found}, not {told} of float32.", RESTORE)

    def run(self, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Logits, float32 `[N, K]`, of normalised images, float32 `[N, C, H, W]` with N at least 1.

        Raises:
            Error: `x` is of another type, dtype or shape, or onnxruntime could not run it.
            Difference: the output is not float32 `[N, K]`.
        """
        shape, name = self.manifest["input"]["shape"], self.manifest["output"]["name"]
        if not isinstance(x, np.ndarray) or x.dtype != np.float32:
            what = f"{x.dtype} array" if isinstance(x, np.ndarray) else type(x).__name__
            raise Error(f"The input is a {what}, not a float32 numpy array.", "Give numpy.asarray(x, 'float32').")
        if x.ndim != 4 or 0 in x.shape or any(type(d) is int and d != n for d, n in zip(shape, x.shape, strict=True)):
            told = f"[{', '.join(map(str, shape))}]"
            raise Error(f"The input is of shape {list(x.shape)}, not {told}.", "Model.prepare gives one image [C, H, W].")
        try:
            (y,) = self._session.run([name], {self.manifest["input"]["name"]: np.ascontiguousarray(x)})
        except Exception as error:  # onnxruntime's errors share no other base
            raise Error(f"onnxruntime could not run {self.artifact}: {_why(error)}.", "Verify the folder.") from None
        found = (str(y.dtype), y.shape) if isinstance(y, np.ndarray) else type(y).__name__
        if found != (told_y := ("float32", (len(x), len(self.labels)))):
            raise Difference(f"The output {name} is {found}, not {told_y}.", RESTORE)
        return np.asarray(y)

    def prepare(self, image: Any) -> npt.NDArray[np.float32]:
        """One image as the model sees it, float32 `[C, H, W]`; see `prepare_image`."""
        return prepare_image(image, self.manifest["preprocess"])

    def predict(self, image: Any, top: int = 5) -> list[Prediction]:
        """The `top` likeliest classes (or all, if there are fewer) of one image as in `prepare_image`, likeliest first.

        Raises:
            Error: the image cannot be used, `top` is below 1, or the output is not finite.
        """
        if top < 1:
            raise Error(f"The top {top} classes cannot be given.", "Ask for 1 or more.")
        logits = self.run(self.prepare(image)[None])[0].astype(np.float64)
        if not np.isfinite(logits).all():
            raise Error(f"{self.name} gives numbers that are not finite for this image.", "Verify the folder.")
        odds = np.exp(logits - logits.max())
        shares = odds / odds.sum()
        order = np.argsort(-shares, kind="stable")[:top]
        return [Prediction(self.labels[i], int(i), float(shares[i])) for i in order]

    def verify(self) -> Report:
        """Replay the folder's proof with this very session; see the function `verify`."""
        return verify(self.folder, model=self)


def verify(folder: str | os.PathLike[str], providers: Sequence[str] = CPU, model: Model | None = None) -> Report:
    """Check the manifest's digest, then every file's size and sha256, then the outputs on every probe.

    Args:
        model: the model whose session is used, in place of a new one on `providers`.

    Raises:
        Difference: manifest.json is not what was written, or golden.npz does not hold what it says.
        Error: as for `Model`; where there is no ONNX artifact, after the files were checked.
    """
    manifest = read_manifest(folder)
    artifact, had, probes = manifest["artifacts"].get("onnx"), (), []
    changes = {name: _file_change(Path(folder) / name, entry) for name, entry in sorted(manifest["files"].items())}
    changed = {name: why for name, why in changes.items() if why}
    if not changed and artifact is None:
        cause = f"{folder} holds no ONNX artifact: its files are as they were written, but nothing could be run here."
        raise Error(cause, f"Run `zoo verify {folder}`.")
    if not changed:
        model = model or Model(folder, providers)
        if model.manifest["digest"] != manifest["digest"]:
            raise Difference("manifest.json is another one than when the model was loaded.", "Load the model again.")
        had, probes = model.providers, [_replay(model, probe) for probe in manifest["certificate"]["probes"]]
    k = manifest["certificate"]["k"]
    return Report(manifest["name"], artifact or "", tuple(changes), changed, had, k, tuple(probes))


def _file_change(path: Path, entry: Mapping[str, Any]) -> str:
    """What is wrong with a file, or nothing."""
    try:
        if not path.is_file():
            return "is no file" if path.exists() else "is missing"
        if (size := path.stat().st_size) != entry["bytes"]:
            return f"has {size} bytes where {entry['bytes']} were written"
        with path.open("rb") as file:
            return "" if hashlib.file_digest(file, "sha256").hexdigest() == entry["sha256"] else "was changed (sha256)"
    except OSError as error:
        raise Error(f"{path} cannot be read: {_why(error)}.", "Check its permissions.") from None


def _replay(model: Model, probe: Mapping[str, Any]) -> ProbeResult:
    name, n, floor, budget = (probe[key] for key in ("name", "n", "floor", "budget"))
    try:
        with np.load(model.folder / "golden.npz", allow_pickle=False) as golden:
            x, truth = golden[f"{name}.input"], golden[f"{name}.truth"]
        _need(x.dtype == np.float32 and x.ndim == 4 and len(x) == n, f"its input is {x.dtype} {x.shape}")
        told = truth.dtype == np.float64 and truth.shape == (n, len(model.labels)) and np.isfinite(truth).all()
        _need(bool(told), f"its truth is {truth.dtype} {truth.shape}, or not finite")
    except Exception as error:  # zipfile, zlib and numpy raise errors of many kinds on what is no sound archive
        raise Difference(f"golden.npz does not hold the probe {name}: {_why(error)}.", RESTORE) from None
    error, note = math.inf, "some outputs are not finite"
    try:
        y = model.run(x)
        if np.isfinite(y).all():
            error, note = float(np.abs(y.astype(np.float64) - truth).max()), ""
    except Error as failure:
        note = failure.cause.rstrip(".")
    ratio = error / floor if floor else (math.inf if error else 0.0)
    return ProbeResult(name, n, error, floor, budget, ratio, error <= budget, note)


def manifest_digest(data: Mapping[str, Any]) -> str:
    """`sha256:` and 64 hex digits over the canonical JSON of `data` without its key `digest`.

    Raises:
        ValueError, TypeError: `data` is no JSON, or holds a number that is not finite.
    """
    rest = {key: value for key, value in data.items() if key != "digest"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return f"sha256:{hashlib.sha256(text.encode('utf-8')).hexdigest()}"


def read_manifest(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Read `manifest.json`, and check its digest and the form of all that is used here.

    Raises:
        Error: there is none, it cannot be read, or it is of another format.
        Difference: it is not what was written.
    """
    try:
        text = (Path(folder) / "manifest.json").read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        cause = f"{folder} is no export folder: it holds no manifest.json."
        raise Error(cause, "Name a folder that `zoo export` wrote.") from None
    except (OSError, ValueError) as error:
        raise Error(f"{folder}/manifest.json cannot be read: {_why(error)}.", "Check the path.") from None
    try:
        data: dict[str, Any] = json.loads(text.decode("utf-8"))
        _need(data["digest"] == manifest_digest(data), "its digest is not that of its content")
        if type(data["format"]) is int and data["format"] != 1:
            raise Error(f"manifest.json is of format {data['format']}, not 1.", "Use that folder's own zoo_runtime.py.")
        _check_manifest(data)
    except MALFORMED as error:
        raise Difference(f"manifest.json is not what was written: {_why(error)}.", RESTORE) from None
    return data


def _check_manifest(data: dict[str, Any]) -> None:
    """Raise one of `MALFORMED` where the form is wrong."""
    _need(type(data["format"]) is int, "format is no whole number")
    _need(isinstance(data["name"], str), "name is no text")
    _need(isinstance(data["card"], dict) and isinstance(data["versions"], dict), "card or versions is no object")
    for tensor, rank in ((data["input"], 4), (data["output"], 2)):
        _need(isinstance(tensor["name"], str) and tensor["dtype"] == "float32", "a tensor is not float32 with a name")
        fit = all(isinstance(d, str) or (type(d) is int and d > 0) for d in tensor["shape"])
        _need(isinstance(tensor["shape"], list) and len(tensor["shape"]) == rank and fit, "a shape is malformed")
    labels = data["labels"]
    _need(isinstance(labels, list) and all(isinstance(label, str) for label in labels), "labels are not text")
    _need(len(labels) == data["output"]["shape"][1], "labels and outputs are not equal in number")
    how = data["preprocess"]
    sides, side, channels = how["size"], how["shorter_side"], len(how["mean"])
    _need(len(sides) == 2 and all(type(s) is int and 0 < s <= 65536 for s in sides), "preprocess size is malformed")
    _need(side is None or (type(side) is int and max(sides) <= side <= 65536), "preprocess shorter_side is malformed")
    _need(channels in (1, 3) and len(how["std"]) == channels, "preprocess mean and std are not both of 1 or 3 numbers")
    _need(all(_finite(v) for v in how["mean"]) and all(_finite(v) and v > 0 for v in how["std"]), "mean or std is bad")
    _need(how["interpolation"] in ("nearest", "bilinear", "bicubic"), "preprocess interpolation is unknown")
    seen = zip(data["input"]["shape"][1:], (channels, *sides), strict=True)
    _need(all(isinstance(d, str) or d == n for d, n in seen), "preprocess does not fit the input")
    for name, entry in data["files"].items():
        plain = name.isprintable() and name not in ("", ".", "..") and not set(name) & set("/\\:")
        _need(plain, f"{name!r} is no plain file name")
        _need(type(entry["bytes"]) is int and isinstance(entry["sha256"], str), f"the entry of {name} is malformed")
    listed = all(name in data["files"] for name in (*data["artifacts"].values(), "golden.npz"))
    _need(listed, "an artifact or golden.npz is not among its files")
    _need(_finite(data["certificate"]["k"]) and isinstance(data["certificate"]["artifacts"], dict), "k is no number")
    for probe in data["certificate"]["probes"]:
        _need(isinstance(probe["name"], str) and type(probe["n"]) is int and probe["n"] > 0, "a probe is malformed")
        sound = all(_finite(probe[key]) and probe[key] >= 0 for key in ("floor", "budget", "peak"))
        _need(sound, f"the probe {probe['name']} is malformed")


def prepare_image(image: Any, preprocess: Mapping[str, Any]) -> npt.NDArray[np.float32]:
    """Convert to grey or RGB, resize with antialiasing in uint8, crop the centre, and normalise.

    Args:
        image: a path, a PIL image, or a uint8 array `[H, W]`, `[H, W, 1]` or `[H, W, 3]`.
        preprocess: `size`, `mean`, `std`, `shorter_side` and `interpolation`, as the manifest has them.

    Returns:
        float32 `[C, H, W]`: `(x / 255 - mean) / std`.

    Raises:
        Error: the image is none of these, missing, truncated or too large, or Pillow is missing.
    """
    pil = _package("PIL.Image", "pillow")
    name = os.fspath(image) if isinstance(image, str | os.PathLike) else "The image"
    try:
        if isinstance(image, str | os.PathLike):
            with pil.open(image) as picture:
                picture.load()
        elif isinstance(image, np.ndarray):
            fits = image.ndim == 2 or (image.ndim == 3 and image.shape[2] in (1, 3))
            _need(fits and image.size > 0 and image.dtype == np.uint8, f"it is {image.dtype} {image.shape}")
            picture = pil.fromarray(image[:, :, 0] if image.shape[2:] == (1,) else image)
        else:
            picture = image
            _need(isinstance(image, pil.Image), f"it is a {type(image).__name__}")
        pixels = _fit(pil, picture, preprocess)
    except FileNotFoundError:
        raise Error(f"There is no image at {name}.", "Check the path.") from None
    except Exception as error:  # decoders raise errors of many kinds on what is no sound image
        why = "it is no image that can be read" if isinstance(error, pil.UnidentifiedImageError) else _why(error)
        hint = "Give a whole PNG, JPEG or similar image, or a uint8 array [H, W] or [H, W, 3]."
        raise Error(f"{name} cannot be used: {why}.", hint) from None
    mean, std = (np.array(preprocess[key], np.float32)[:, None, None] for key in ("mean", "std"))
    return np.asarray((pixels.astype(np.float32) / np.float32(255) - mean) / std)


def _fit(pil: ModuleType, picture: Any, preprocess: Mapping[str, Any]) -> npt.NDArray[np.uint8]:
    """A PIL image as uint8 `[C, H, W]`, step for step as in training."""
    mode = "L" if len(preprocess["mean"]) == 1 else "RGB"
    if picture.mode != mode:
        if picture.mode.startswith("I;16") or picture.mode == "I":
            picture = pil.fromarray((np.asarray(picture, np.int64).clip(0, 65535) >> 8).astype(np.uint8))
        picture = picture.convert(mode)
    (height, width), side, (across, down) = preprocess["size"], preprocess["shorter_side"], picture.size
    scaled = (width, height)
    if side is not None:
        scaled = (side, side * down // across) if across <= down else (side * across // down, side)
    if picture.size != scaled:
        picture = picture.resize(scaled, getattr(pil.Resampling, preprocess["interpolation"].upper()))
    left, top = round((scaled[0] - width) / 2), round((scaled[1] - height) / 2)
    return np.atleast_3d(np.asarray(picture.crop((left, top, left + width, top + height)))).transpose(2, 0, 1)


def _open_session(path: Path, providers: tuple[str, ...]) -> Any:
    onnxruntime = _package("onnxruntime", "onnxruntime")
    absent = sorted(set(providers) - set(onnxruntime.get_available_providers()))
    if providers and not absent:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors, and no warnings
        asked = [(name, PROVIDER_OPTIONS.get(name, {})) for name in providers]
        try:
            session = onnxruntime.InferenceSession(str(path), options, providers=asked)
        except Exception as error:  # onnxruntime's errors share no other base
            cause = f"{path} cannot be loaded by onnxruntime {onnxruntime.__version__}: {_why(error)}."
            raise Error(cause, "See with `python zoo_runtime.py --verify` whether it was changed.") from None
        session.disable_fallback()
        if not (absent := sorted(set(providers) - set(session.get_providers()))):
            return session
    cause = f"onnxruntime has no {', '.join(absent) or 'provider to run on'} here, and would fall back silently."
    raise Error(cause, "Install the onnxruntime and the libraries that it needs, or ask for CPUExecutionProvider.")


def _package(module: str, package: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name == module.split(".")[0]
        cause = f"{package} is not installed." if missing else f"{package} cannot be imported: {_why(error)}."
        raise Error(cause, f"pip install {package}") from None


def _need(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)


def _finite(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _why(error: Exception) -> str:
    text = f"no {error}" if isinstance(error, KeyError) else getattr(error, "strerror", None) or str(error)
    return _plain(text or type(error).__name__).rstrip(".")


def _plain(text: str) -> str:
    """One line with nothing in it that a terminal would obey."""
    return "".join(mark if mark.isprintable() else "\ufffd" for mark in " ".join(text.split()))
