"""Run an exported model with numpy and onnxruntime alone, and check that it is still the model that was exported.

This file is the package `zoo_runtime` and, copied, part of every export folder. It runs the model in this process.
Exit codes: 0 done; 1 an error that is explained; 2 wrong usage; 3 different, or never verified; 130 Ctrl-C."""

import sys

del sys.path[: __name__ == "__main__" and not sys.flags.safe_path]  # the folder's own json.py or numpy.py stays out
import argparse
import hashlib
import importlib
import json
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

try:
    import numpy as np
    import numpy.typing as npt
except ModuleNotFoundError as absent:
    if __name__ != "__main__" or absent.name != "numpy":
        raise
    sys.exit("error: numpy is not installed.\n  next: pip install numpy onnxruntime pillow")

CPU, FORMAT, BY_ROUNDING = ("CPUExecutionProvider",), "onnx", ("fp32", "fp16")  # the last: precisions it can check
MALFORMED = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
MAX_JSON, MAX_PIXELS, MAX_IMAGES, BLANK = 1 << 24, 1 << 22, 1 << 16, "\u115f\u1160\u2800\u3164\uffa0"
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP", "JPEG2000", "AVIF")  # for others Pillow may run programs
UNPROVEN = ("INCONCLUSIVE: its check covers too little", "UNVERIFIED: nothing was compared; its outputs may be wrong")
RESTORE = "Copy the folder again from where it came, or export again with `zoo export`."
Upgrade = Callable[[dict[str, Any]], dict[str, Any]]  # from a manifest of an older format to one of this format


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


class Model:
    """The model in an export folder. Raises as `read_manifest`; `Error` for no provider or ONNX. Warns if unproven."""

    def __init__(self, folder: str | os.PathLike[str], providers: Sequence[str] = CPU, upgrade: Upgrade = dict) -> None:
        self.folder, self.manifest = Path(folder), read_manifest(folder, upgrade)
        self.name, self.labels = str(self.manifest["name"]), tuple[str, ...](self.manifest["labels"])
        if FORMAT not in self.manifest["artifacts"]:
            raise Error(f"{folder} holds no ONNX artifact to run.", "Use `zoo verify`, or export again with -f onnx.")
        self.artifact: str = self.manifest["artifacts"][FORMAT]["files"]["model"]
        if self.manifest["verdict"] != "pass":
            over = self.manifest["certificate"]["override"]
            by = over and f"OVERRIDDEN: its tolerance is {over['atol']:g} + {over['rtol']:g} · |truth|, not the default"
            warnings.warn(f"{self.name} is {by or UNPROVEN[self.manifest['verdict'] == 'unverified']}.", stacklevel=2)
        self._session = _open_session(self.folder / self.artifact, providers)
        self.providers: tuple[str, ...] = tuple(self._session.get_providers())

    def run(self, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Logits, float32 `[N, K]`, of normalised images, float32 `[N, C, H, W]`; `Difference` for another output."""
        shape, name = self.manifest["input"]["shape"], self.manifest["output"]["name"]
        if not isinstance(x, np.ndarray) or x.dtype != np.float32:
            raise Error(f"The input is {getattr(x, 'dtype', type(x))}, not float32.", "Pass a float32 numpy array.")
        if x.ndim != 4 or 0 in x.shape or any(type(d) is int and d != n for d, n in zip(shape, x.shape, strict=True)):
            raise Error(f"The input has the shape {list(x.shape)}, not {shape}.", "Stack what Model.prepare returns.")
        try:
            (y,) = self._session.run([name], {self.manifest["input"]["name"]: np.ascontiguousarray(x)})
        except Exception as error:  # onnxruntime's errors share no other base
            raise Error(f"onnxruntime could not run {self.artifact}: {_why(error)}.", "Verify the folder.") from None
        if (form := (str(getattr(y, "dtype", y)), np.shape(y))) != (right := ("float32", (len(x), len(self.labels)))):
            raise Difference(f"The output {name} is {form}, not {right}.", RESTORE)
        return np.asarray(y)

    def prepare(self, image: Any) -> npt.NDArray[np.float32]:
        """One image as the model sees it, float32 `[C, H, W]`; see `prepare_image`."""
        return prepare_image(image, self.manifest["preprocess"])

    def predict(self, image: Any, top: int = 5) -> list[Prediction]:
        """The `top` likeliest classes of one image, likeliest first; see `prepare_image` and `rank`."""
        return rank(self.run(self.prepare(image)[None])[0], self.labels, top)

    def verify(self) -> Report:
        """Repeat the check of the folder with this very session; see the function `verify`."""
        return verify(self.folder, model=self)


def verify(folder: str | os.PathLike[str], providers: Sequence[str] = CPU, model: Model | None = None) -> Report:
    """Check every file, and the outputs on every probe, in the session of `model` if passed. Raises as `Model` does."""
    if (manifest := check_files(folder))["verdict"] == "unverified":
        raise Difference(f"{folder} is {UNPROVEN[True]}.", f"Run `zoo verify {folder} --strict`.")
    if (precision := manifest.get("precision", "fp32")) not in BY_ROUNDING:
        raise Error(f"{folder} is in {precision}, which has rules of its own.", f"Run `zoo verify {folder}`.")
    if (model := model or Model(folder, providers)).manifest["digest"] != manifest["digest"]:
        raise Difference("manifest.json has changed since the model was loaded.", "Load the model again.")
    probes, factor = manifest["certificate"]["probes"], manifest["certificate"]["tolerance_factor"]
    results = tuple(_replay(model, probe, factor) for probe in probes)
    return Report(model.name, model.artifact, model.providers, factor, results, manifest["verdict"])


def check_files(folder: str | os.PathLike[str], upgrade: Upgrade = dict) -> dict[str, Any]:
    """`read_manifest`, and `Difference` if a file that it names is missing or was changed."""
    manifest, changed = read_manifest(folder, upgrade), []
    for name, entry in sorted(manifest["files"].items()):
        with suppress(OSError), _open(Path(folder) / name, entry["bytes"]) as file:
            if hashlib.file_digest(file, "sha256").hexdigest() == entry["sha256"]:
                continue
        changed.append(name)
    if changed:
        raise Difference(f"{', '.join(changed)} in {folder}: missing, or not the bytes that were written.", RESTORE)
    return manifest


def rank(logits: npt.NDArray[Any], labels: Sequence[str], top: int) -> list[Prediction]:
    """The `top` likeliest classes of one image's logits `[K]`, or all if there are fewer; `Error` if not finite."""
    if top < 1 or not np.isfinite(logits).all():
        raise Error(f"No top {top} classes: that is below 1, or the logits are not finite.", "Verify the model.")
    odds = np.exp(logits.astype(np.float64) - logits.max())
    return [Prediction(labels[i], int(i), float(odds[i] / odds.sum())) for i in np.argsort(-odds, kind="stable")[:top]]


def _open(path: Path, limit: int | None = None) -> Any:
    kinds = {"a folder": path.is_dir, "a FIFO": path.is_fifo, "a socket": path.is_socket, "": path.is_file}
    kind = next((kind for kind, holds in kinds.items() if holds()), "a device" if path.exists() else "")
    if kind or (limit is not None and path.exists() and path.stat().st_size > limit):  # a FIFO would be waited for
        raise OSError(f"it is {kind}, not a regular file" if kind else f"it has more than {limit:,} bytes")
    return os.fdopen(os.open(path, getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb")


def _replay(model: Model, probe: Mapping[str, Any], factor: float) -> ProbeResult:
    name, n, rounding_error = (probe[key] for key in ("name", "n", "rounding_error"))
    try:
        with _open(model.folder / "golden.npz") as file, np.load(file, allow_pickle=False) as golden:
            _need(not any(m.compress_type or m.file_size > 2**31 for m in golden.zip.infolist()), "it is compressed")
            x, truth = golden[f"{name}.input"], golden[f"{name}.truth"]
        fit = x.dtype == np.float32 and len(x) == n and truth.dtype == np.float64
        _need(fit and truth.shape == (n, len(model.labels)) and bool(np.isfinite(truth).all()), "its arrays do not fit")
    except Exception as why:  # zipfile, zlib and numpy raise errors of many kinds on what is no sound archive
        raise Difference(f"golden.npz does not hold the probe {name}: {_why(why)}.", RESTORE) from None
    error, ratio, passed, tolerance, reason = None, None, False, factor * rounding_error, "some outputs are not finite"
    try:
        if np.isfinite(y := model.run(x)).all():
            how = model.manifest["certificate"]["override"] or {"atol": tolerance, "rtol": 0}
            off, allowed = np.abs(y.astype(np.float64) - truth), how["atol"] + how["rtol"] * np.abs(truth)
            error, reason, passed = float(off.max()), "", bool((off <= allowed).all())
            tolerance, ratio = float(allowed.flat[(off - allowed).argmax()]), error / max(rounding_error, 1e-45)
    except Error as failure:
        reason = failure.cause.rstrip(".")
    return ProbeResult(name, n, error, rounding_error, tolerance, ratio, passed, reason)


def manifest_digest(data: Mapping[str, Any]) -> str:
    """`sha256:` and 64 hex digits over the canonical JSON of all but `digest`; `TypeError`, `ValueError` if no JSON."""
    rest = {key: value for key, value in data.items() if key != "digest"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return f"sha256:{hashlib.sha256(text.encode('utf-8')).hexdigest()}"


def read_manifest(folder: str | os.PathLike[str], upgrade: Upgrade = dict) -> dict[str, Any]:
    """`manifest.json`, digest and form checked; `Error` for none or another format, `Difference` for a changed one."""
    try:
        with _open(Path(folder) / "manifest.json", MAX_JSON) as file:
            text = file.read()
    except (OSError, ValueError) as error:
        raise Error(f"{folder} is not an export folder (manifest.json: {_why(error)}).", "Check its path.") from None
    try:
        data: dict[str, Any] = json.loads(text.decode("utf-8"), object_pairs_hook=_unique)
        _need(data["digest"] == manifest_digest(data), "its digest is not that of its content")
        data = upgrade(data)
        if type(format := data["format"]) is int and format != 2:
            raise Error(f"manifest.json has format {format}, not 2.", "Use that folder's own zoo_runtime.py.")
        _check_manifest(data)
    except MALFORMED as error:
        raise Difference(f"manifest.json is not what was written: {_why(error)}.", RESTORE) from None
    return data


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    _need(len(data := dict(pairs)) == len(pairs), "an object has a key twice")  # readers differ in which they take
    return data


def _check_manifest(data: dict[str, Any]) -> None:
    kinds = {"format": int, "name": str, "card": dict, "versions": dict, "labels": list, "artifacts": dict}
    _need(all(isinstance(data[key], kind) for key, kind in kinds.items()), f"one of {', '.join(kinds)} is malformed")
    for tensor, rank in ((data["input"], 4), (data["output"], 2)):
        fit = len(tensor["shape"]) == rank and all(isinstance(d, str) or d > 0 for d in tensor["shape"])
        _need(fit and isinstance(tensor["name"], str) and tensor["dtype"] == "float32", "input or output is malformed")
    how, certificate, labels = data["preprocess"], data["certificate"], data["labels"]
    _need(len(labels) == data["output"]["shape"][1] and all(type(x) is str for x in labels), "labels do not fit")
    (height, width), side, stats = how["size"], how["shorter_side"], list(zip(how["mean"], how["std"], strict=True))
    fit = all(type(s) is int and s > 0 for s in (height, width)) and height * width <= MAX_PIXELS
    fit = fit and (side is None or (type(side) is int and max(height, width) <= side <= 4096))
    fit = fit and len(stats) in (1, 3) and all(abs(mean) < 1e6 and 0 < std < 1e6 for mean, std in stats)
    fit = fit and how.get("crop_mode") in (None, "squash", "border") and (side is not None or "crop_mode" not in how)
    _need(fit and how["interpolation"] in ("nearest", "bilinear", "bicubic"), "preprocess is malformed")
    for name, entry in data["files"].items():
        fit = name.isprintable() and name not in ("", ".", "..") and not set(name) & set("/\\:")
        _need(fit and type(entry["bytes"]) is int and type(entry["sha256"]) is str, f"the file {name!r} is malformed")
    passes = ("pass", "inconclusive") if (over := certificate["override"]) is None else ("overridden",)
    fit = (verdict := data["verdict"]) == certificate["verdict"] and verdict in ("unverified", *passes)
    _need(fit and (over is None or all(0 <= over[key] <= 1e39 for key in ("atol", "rtol"))), "verdict is malformed")
    names = [name for artifact in data["artifacts"].values() for name in artifact["files"].values()]
    for name in names if verdict == "unverified" else [*names, "golden.npz"]:
        _need(name in data["files"], f"{name!r} is not among its files")
    _need(FORMAT not in data["artifacts"] or "model" in data["artifacts"][FORMAT]["files"], "artifacts are malformed")
    _need(0 < certificate["tolerance_factor"] < 1e300 and len(certificate["probes"]) > 0, "certificate has no probe")
    for p in certificate["probes"] if verdict != "unverified" else []:
        fit = 0 < p["n"] <= MAX_IMAGES and all(0 <= p[key] < 1e300 for key in ("rounding_error", "tolerance", "peak"))
        _need(fit and isinstance(p["name"], str) and type(p["n"]) is int, "a probe is malformed")


def prepare_image(image: Any, preprocess: Mapping[str, Any]) -> npt.NDArray[np.float32]:
    """The model's input `[C, H, W]`, float32, of a path, a PIL image, or a uint8 array `[H, W]` or `[H, W, 1 or 3]`."""
    pil = _package("PIL.Image", "pillow")
    name, picture = os.fspath(image) if isinstance(image, str | os.PathLike) else "The image", image
    try:
        if isinstance(image, str | os.PathLike):
            with _open(Path(image)) as file, pil.open(file, formats=FORMATS) as picture:
                picture.load()
        elif isinstance(image, np.ndarray):
            fits = image.ndim == 2 or (image.ndim == 3 and image.shape[2] in (1, 3))
            _need(fits and image.size > 0 and image.dtype == np.uint8, f"it is {image.dtype} {image.shape}")
            picture = pil.fromarray(image[:, :, 0] if image.shape[2:] == (1,) else image)
        _need(isinstance(picture, pil.Image), f"it is a {type(image).__name__}")
        _need(picture.mode != "F" and (picture.mode != "I" or picture.format in ("PNG", "PPM")), "pixels have 32 bits")
        if picture.mode.startswith("I;16") or picture.mode == "I":
            picture = pil.fromarray((np.asarray(picture, np.int64).clip(0, 65535) >> 8).astype(np.uint8))
        picture = picture.convert("L" if len(preprocess["mean"]) == 1 else "RGB")
        (height, width), side, mode = preprocess["size"], preprocess["shorter_side"], preprocess.get("crop_mode")
        edges = (1, 1) if mode == "squash" else picture.size  # which makes both sides `side`; border: the longer one
        scaled = (width, height) if side is None else tuple(side * edge // min(edges) for edge in edges)
        scaled = tuple(max(1, round(edge / (max(edges) / side))) for edge in edges) if mode == "border" else scaled
        _need(side is None or max(scaled) <= min(512 * side, (1 << 26) // side), f"its size {picture.size} is too long")
        picture = picture.resize(scaled, getattr(pil.Resampling, preprocess["interpolation"].upper()))
        whole = pil.new(picture.mode, (width, height), tuple(round(255 * mean) for mean in preprocess["mean"]))
        whole.paste(picture, tuple(d // 2 if d > 0 else round(d / 2) for d in (width - scaled[0], height - scaled[1])))
    except Exception as error:  # decoders raise errors of many kinds on what is no sound image
        raise Error(f"{name} cannot be used: {_why(error)}.", "Use a complete PNG, JPEG or similar image.") from None
    mean, std = (np.array(preprocess[key], np.float32)[:, None, None] for key in ("mean", "std"))
    pixels = np.atleast_3d(np.asarray(whole, np.float32)).transpose(2, 0, 1)
    return np.ascontiguousarray((pixels / np.float32(255) - mean) / std)


def _open_session(path: Path, providers: Sequence[str]) -> Any:
    onnxruntime = _package("onnxruntime", "onnxruntime")
    names = [providers] if isinstance(providers, str) else list(providers)
    if not (absent := sorted(set(names) - set(onnxruntime.get_available_providers()))) and names:
        options, pairs = onnxruntime.SessionOptions(), [(n, {"use_tf32": "0"} if "CUDA" in n else {}) for n in names]
        onnxruntime.set_default_logger_severity(4)  # its errors are raised, and need not be printed too
        try:
            _open(path).close()  # or a FIFO in its place would be waited for
            session = onnxruntime.InferenceSession(str(path), options, providers=pairs)
        except Exception as error:  # onnxruntime's errors share no other base
            raise Error(f"onnxruntime cannot load {path}: {_why(error)}.", "Verify the folder.") from None
        session.disable_fallback()
        if not (absent := sorted(set(names) - set(session.get_providers()))):
            return session
    raise Error(f"onnxruntime falls back silently: no {', '.join(absent) or 'provider'} here.", "Use the CPU provider.")


def _package(module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise Error(f"{package} cannot be imported: {_why(error)}.", f"pip install {package}") from None


def _need(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)


def _why(error: Exception) -> str:
    text = f"no {error}" if isinstance(error, KeyError) else getattr(error, "strerror", "") or str(error)
    text = f"it is damaged, or none of {', '.join(FORMATS)}" if "<_io.Buffered" in text else text
    return _plain(text or type(error).__name__).rstrip(".")


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() and c not in BLANK else "\ufffd" for c in " ".join(text.split()))


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {_plain(message).rstrip('.')}.\n  next: See `python zoo_runtime.py --help`.\n")


def _command(arguments: Sequence[str] | None) -> None:
    parser = _Parser(prog="zoo_runtime.py", allow_abbrev=False, description="Run an exported model, or verify it.")
    parser.add_argument("images", nargs="*", metavar="IMAGE", help="image files to classify")
    parser.add_argument("--verify", action="store_true", help="check the files, and the outputs against the model's")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--top", type=int, default=5, metavar="N", help="classes to print for an image (5)")
    parser.add_argument("--folder", default=Path(__file__).parent, metavar="DIR", help="the export folder (this one)")
    options = parser.parse_args(arguments)
    if options.verify == bool(options.images) or options.top < 1:
        parser.error("--top is below 1" if options.top < 1 else "name either images or --verify")
    if options.verify:
        if (report := verify(options.folder)).passed or options.json:
            sys.stdout.write(f"{json.dumps(report.to_dict(), indent=2) if options.json else _plain(report.summary)}\n")
        if not report.passed:
            raise Difference(f"{report.summary}.", RESTORE)
        return
    model, results = Model(options.folder), []
    for path in options.images:
        results.append({"image": path, "predictions": list(map(asdict, best := model.predict(path, options.top)))})
        if not options.json:
            sys.stdout.write("\n".join([_plain(path), *(f"{p.probability:8.2%}  {_plain(p.label)}" for p in best), ""]))
    sys.stdout.write(f"{json.dumps(results, indent=2)}\n" if options.json else "")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line, by default the process's own, and give its exit code."""
    if hasattr(sys.stdout, "reconfigure"):  # any class name can be written, and a reader who is gone is noticed
        sys.stdout.reconfigure(errors="backslashreplace", line_buffering=True)
    try:
        _command(arguments)
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
    return 0


if __name__ == "__main__":
    warnings.formatwarning = lambda message, *where: f"warning: {_plain(str(message))}\n"
    sys.exit(main())
