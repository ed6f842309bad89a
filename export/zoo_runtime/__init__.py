"""Run an exported model with numpy and onnxruntime alone, and prove that it is still the model that was exported.

This one file is the package `zoo_runtime` and, copied, the `zoo_runtime.py` of every export folder. In Python
`Model("exports/lenet5.digits").predict("seven.png")`; in the folder `python zoo_runtime.py IMAGE...` or `--verify`.
Exit codes: 0 done; 1 an error that is explained; 2 wrong usage; 3 different, or never verified; 130 Ctrl-C.
"""

import argparse
import hashlib
import importlib
import json
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
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

FORMAT = "onnx"  # what it runs
CPU = ("CPUExecutionProvider",)
OPTIONS = {"CUDAExecutionProvider": {"use_tf32": "0"}}  # float32 means float32
MALFORMED = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
UNVERIFIED = "UNVERIFIED: it was exported with --no-verify, nothing was compared, and it may not compute what it should"
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
    """One probe of `n` images. `error` is max|output - truth|, or `None`: `note` says why. `ratio` is error / rounding error."""

    probe: str
    n: int
    error: float | None
    rounding_error: float
    tolerance: float
    ratio: float | None
    passed: bool
    note: str = ""


@dataclass(frozen=True)
class Report:
    """Every probe, on the `providers` that the session really has; `k` rounding errors are allowed unless `overridden`."""

    name: str
    artifact: str
    providers: tuple[str, ...]
    k: float
    probes: tuple[ProbeResult, ...]
    verdict: str = "pass"

    @property
    def passed(self) -> bool:
        """Every probe, and there is one at least, is within its tolerance."""
        return bool(self.probes) and all(probe.passed for probe in self.probes)

    @property
    def summary(self) -> str:
        """One line for people."""
        scale = "× PyTorch's own rounding error"
        failed = [f"{p.probe} ({p.note or f'{p.ratio:.3g}{scale}'})" for p in self.probes if not p.passed]
        worst, n = max((p.ratio or 0.0 for p in self.probes), default=0.0), sum(p.n for p in self.probes)
        what, k = "computes what the model computes", f"{self.k:g}×"
        if self.verdict != "pass":
            what, k = "overridden: within the tolerances that were named", "OVERRIDDEN"
        extent = f"tolerance {k}; {len(self.probes)} probes, {n} images"
        if self.passed:
            return f"{self.artifact}: {what} (worst {worst:.1f}{scale}, {extent})"
        return f"{self.artifact}: differs from the model on {', '.join(failed) or 'no probe'} ({extent})"

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, with `passed` and `summary`."""
        return {"passed": self.passed, "summary": self.summary, **asdict(self)}


class Model:
    """The model in an export folder: `name`, `labels`, `manifest`, and the `providers` (onnxruntime's names) it has.
    Raises `Error` where one cannot be had, or there is no ONNX; else as `read_manifest`. Warns if it is not proven."""

    def __init__(self, folder: str | os.PathLike[str], providers: Sequence[str] = CPU) -> None:
        self.folder, self.manifest = Path(folder), read_manifest(folder)
        self.name, self.labels = str(self.manifest["name"]), tuple[str, ...](self.manifest["labels"])
        if "onnx" not in self.manifest["artifacts"]:
            raise Error(f"{folder} holds no ONNX artifact.", "Export again with `zoo export --format onnx`.")
        self.artifact: str = self.manifest["artifacts"]["onnx"]
        if self.manifest["verdict"] != "pass":
            how = self.manifest["certificate"]["override"]
            by = (
                how and f"OVERRIDDEN: judged by {how['atol']:g} + {how['rtol']:g} · |truth|, not by zoo's own tolerance"
            )
            warnings.warn(f"{self.name} is {by or UNVERIFIED}.", stacklevel=2)
        self._session = _open_session(self.folder / self.artifact, providers)
        self.providers: tuple[str, ...] = tuple(self._session.get_providers())

    def run(self, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Logits, float32 `[N, K]`, of normalised images, float32 `[N, C, H, W]` with N at least 1. Raises `Error` for
        another `x`, or where onnxruntime fails; `Difference` for another output."""
        told, name = self.manifest["input"]["shape"], self.manifest["output"]["name"]
        if not isinstance(x, np.ndarray) or x.dtype != np.float32:
            what = getattr(x, "dtype", type(x).__name__)
            raise Error(f"The input is {what}, not a float32 numpy array.", "Give numpy.asarray(x, 'float32').")
        if x.ndim != 4 or 0 in x.shape or any(type(d) is int and d != n for d, n in zip(told, x.shape, strict=True)):
            raise Error(f"The input is of shape {list(x.shape)}, not {told}.", "Stack what Model.prepare gives.")
        try:
            (y,) = self._session.run([name], {self.manifest["input"]["name"]: np.ascontiguousarray(x)})
        except Exception as error:  # onnxruntime's errors share no other base
            raise Error(f"onnxruntime could not run {self.artifact}: {_why(error)}.", "Verify the folder.") from None
        found, want = (str(getattr(y, "dtype", "no array")), np.shape(y)), ("float32", (len(x), len(self.labels)))
        if found != want:
            raise Difference(f"The output {name} is {found}, not {want}.", RESTORE)
        return np.asarray(y)

    def prepare(self, image: Any) -> npt.NDArray[np.float32]:
        """One image as the model sees it, float32 `[C, H, W]`; see `prepare_image`."""
        return prepare_image(image, self.manifest["preprocess"])

    def predict(self, image: Any, top: int = 5) -> list[Prediction]:
        """The `top` likeliest classes of one image, likeliest first; see `prepare_image` and `rank`."""
        return rank(self.run(self.prepare(image)[None])[0], self.labels, top)

    def verify(self) -> Report:
        """Replay the folder's proof with this very session; see the function `verify`."""
        return verify(self.folder, model=self)


def verify(folder: str | os.PathLike[str], providers: Sequence[str] = CPU, model: Model | None = None) -> Report:
    """Check the manifest's digest, every file's sha256, and the outputs on every probe (in the session of `model`, if
    given), which the report tells. Raises as `check_files` and `Model` do; `Difference` for an unverified folder."""
    manifest = check_files(folder)
    if manifest["verdict"] == "unverified":
        raise Difference(f"{folder} is {UNVERIFIED}.", f"Run `zoo verify {folder} --strict`.")
    if "onnx" not in manifest["artifacts"]:
        raise Error(f"{folder} is as written, but holds no ONNX artifact to run.", f"Run `zoo verify {folder}`.")
    model = model or Model(folder, providers)
    if model.manifest["digest"] != manifest["digest"]:
        raise Difference("manifest.json is another one than when the model was loaded.", "Load the model again.")
    how = manifest["certificate"]
    probes = tuple(_replay(model, probe) for probe in how["probes"])
    return Report(model.name, model.artifact, model.providers, how["k"], probes, manifest["verdict"])


def check_files(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """The manifest, once it and all files it names are known to be as written; `Difference` where one is not."""
    manifest = read_manifest(folder)
    changed = [name for name, entry in sorted(manifest["files"].items()) if not _same(Path(folder) / name, entry)]
    if changed:
        raise Difference(f"{', '.join(changed)} in {folder}: missing, or not the bytes that were written.", RESTORE)
    return manifest


def rank(logits: npt.NDArray[Any], labels: Sequence[str], top: int) -> list[Prediction]:
    """The `top` likeliest classes of one image's logits `[K]`, or all if there are fewer; `Error` if not finite."""
    if top < 1 or not np.isfinite(logits).all():
        raise Error(f"No top {top} classes: that is below 1, or the logits are not finite.", "Verify the model.")
    odds = np.exp(logits.astype(np.float64) - logits.max())
    best = np.argsort(-odds, kind="stable")[:top]
    return [Prediction(labels[i], int(i), float(odds[i] / odds.sum())) for i in best]


def _same(path: Path, entry: Mapping[str, Any]) -> bool:
    with suppress(OSError):
        if path.is_file() and path.stat().st_size == entry["bytes"]:
            with path.open("rb") as file:
                return bool(hashlib.file_digest(file, "sha256").hexdigest() == entry["sha256"])
    return False


def _replay(model: Model, probe: Mapping[str, Any]) -> ProbeResult:
    name, n, rounding_error, tolerance = (probe[key] for key in ("name", "n", "rounding_error", "tolerance"))
    try:
        with np.load(model.folder / "golden.npz", allow_pickle=False) as golden:
            x, truth = golden[f"{name}.input"], golden[f"{name}.truth"]
        found, want = x.dtype == np.float32 and len(x) == n, (np.float64, (n, len(model.labels)))
        _need(found and (truth.dtype, truth.shape) == want and bool(np.isfinite(truth).all()), "its arrays do not fit")
    except Exception as why:  # zipfile, zlib and numpy raise errors of many kinds on what is no sound archive
        raise Difference(f"golden.npz does not hold the probe {name}: {_why(why)}.", RESTORE) from None
    error, ratio, note, passed = None, None, "some outputs are not finite", False
    try:
        if np.isfinite(y := model.run(x)).all():
            how = model.manifest["certificate"]["override"] or {"atol": tolerance, "rtol": 0}
            off, allowed = np.abs(y.astype(np.float64) - truth), how["atol"] + how["rtol"] * np.abs(truth)
            error, note, passed = float(off.max()), "", bool((off <= allowed).all())
            tolerance, ratio = (
                float(allowed.flat[(off - allowed).argmax()]),
                error / max(rounding_error, 1e-45),
            )  # where truth is 0
    except Error as failure:
        note = failure.cause.rstrip(".")
    return ProbeResult(name, n, error, rounding_error, tolerance, ratio, passed, note)


def manifest_digest(data: Mapping[str, Any]) -> str:
    """`sha256:` and 64 hex digits over the canonical JSON of all but `digest`; `TypeError`, `ValueError` if no JSON."""
    rest = {key: value for key, value in data.items() if key != "digest"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return f"sha256:{hashlib.sha256(text.encode('utf-8')).hexdigest()}"


def read_manifest(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """`manifest.json`, digest and form checked; `Error` for none or another format, `Difference` for a changed one."""
    try:
        text = (Path(folder) / "manifest.json").read_bytes()
    except (OSError, ValueError) as error:
        raise Error(f"{folder} is no export folder ({_why(error)}).", "Name one that `zoo export` wrote.") from None
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
    kinds = {"format": int, "name": str, "card": dict, "versions": dict, "labels": list, "artifacts": dict}
    _need(all(isinstance(data[key], kind) for key, kind in kinds.items()), f"one of {', '.join(kinds)} is malformed")
    for tensor, rank in ((data["input"], 4), (data["output"], 2)):
        fit = len(tensor["shape"]) == rank and all(isinstance(d, str) or d > 0 for d in tensor["shape"])
        _need(fit and isinstance(tensor["name"], str) and tensor["dtype"] == "float32", "input or output is malformed")
    how, certificate, labels = data["preprocess"], data["certificate"], data["labels"]
    fit = len(labels) == data["output"]["shape"][1] and all(isinstance(label, str) for label in labels)
    _need(fit, "labels are not one text for each output")
    sides, side = how["size"], how["shorter_side"]
    fit = len(sides) == 2 and all(type(s) is int and 0 < s <= 65536 for s in sides)
    fit = fit and (side is None or (type(side) is int and max(sides) <= side <= 65536))
    stats = list(zip(how["mean"], how["std"], strict=True))
    fit = fit and len(stats) in (1, 3) and all(abs(mean) < 1e6 and 0 < std < 1e6 for mean, std in stats)
    _need(fit and how["interpolation"] in ("nearest", "bilinear", "bicubic"), "preprocess is malformed")
    for name, entry in data["files"].items():
        fit = name.isprintable() and name not in ("", ".", "..") and not set(name) & set("/\\:")
        _need(fit, f"{name!r} is no plain file name")
        _need(type(entry["bytes"]) is int and isinstance(entry["sha256"], str), f"the entry of {name} is malformed")
    verdict, over = data["verdict"], certificate["override"]
    fit = verdict == certificate["verdict"] and verdict in ("unverified", "overridden" if over else "pass")
    _need(fit and (not over or all(0 <= over[key] <= 1e39 for key in ("atol", "rtol"))), "verdict is malformed")
    for name in (*data["artifacts"].values(), *(["golden.npz"] if verdict != "unverified" else [])):
        _need(name in data["files"], f"{name!r} is not among its files")
    _need(0 < certificate["k"] < 1e300 and isinstance(certificate["artifacts"], dict), "certificate is malformed")
    _need(len(certificate["probes"]) > 0, "its certificate names no probe, so nothing would be compared")
    for probe in certificate["probes"] if verdict != "unverified" else []:
        fit = isinstance(probe["name"], str) and type(probe["n"]) is int and probe["n"] > 0
        _need(
            fit and all(0 <= probe[key] < 1e300 for key in ("rounding_error", "tolerance", "peak")),
            "a probe is malformed",
        )


def prepare_image(image: Any, preprocess: Mapping[str, Any]) -> npt.NDArray[np.float32]:
    """Float32 `[C, H, W]` of a path, a PIL image, or a uint8 array `[H, W]`, `[H, W, 1]` or `[H, W, 3]`: converted to
    grey or RGB, resized with antialiasing in uint8, cropped, `(x / 255 - mean) / std`. Raises `Error` for others."""
    pil = _package("PIL.Image", "pillow")
    name, picture = os.fspath(image) if isinstance(image, str | os.PathLike) else "The image", image
    try:
        if isinstance(image, str | os.PathLike):
            with pil.open(image) as picture:
                picture.load()
        elif isinstance(image, np.ndarray):
            fits = image.ndim == 2 or (image.ndim == 3 and image.shape[2] in (1, 3))
            _need(fits and image.size > 0 and image.dtype == np.uint8, f"it is {image.dtype} {image.shape}")
            picture = pil.fromarray(image[:, :, 0] if image.shape[2:] == (1,) else image)
        _need(isinstance(picture, pil.Image), f"it is a {type(image).__name__}")
        known = picture.mode != "F" and (picture.mode != "I" or picture.format in ("PNG", "PPM"))
        _need(known, "its pixels have 32 bits, of which it is not known what black and white are")
        if picture.mode.startswith("I;16") or picture.mode == "I":
            picture = pil.fromarray((np.asarray(picture, np.int64).clip(0, 65535) >> 8).astype(np.uint8))
        picture = picture.convert("L" if len(preprocess["mean"]) == 1 else "RGB")
        (height, width), side = preprocess["size"], preprocess["shorter_side"]
        scaled = (width, height) if side is None else tuple(side * edge // min(picture.size) for edge in picture.size)
        if picture.size != scaled:
            picture = picture.resize(scaled, getattr(pil.Resampling, preprocess["interpolation"].upper()))
        left, top = round((scaled[0] - width) / 2), round((scaled[1] - height) / 2)
        pixels = np.atleast_3d(np.asarray(picture.crop((left, top, left + width, top + height)), np.float32))
    except Exception as error:  # decoders raise errors of many kinds on what is no sound image
        raise Error(f"{name} cannot be used: {_why(error)}.", "Give a whole PNG, JPEG or similar image.") from None
    mean, std = (np.array(preprocess[key], np.float32)[:, None, None] for key in ("mean", "std"))
    return np.ascontiguousarray((pixels.transpose(2, 0, 1) / np.float32(255) - mean) / std)


def _open_session(path: Path, providers: Sequence[str]) -> Any:
    onnxruntime = _package("onnxruntime", "onnxruntime")
    asked = [providers] if isinstance(providers, str) else list(providers)
    absent = sorted(set(asked) - set(onnxruntime.get_available_providers()))
    if asked and not absent:
        options, wanted = onnxruntime.SessionOptions(), [(name, OPTIONS.get(name, {})) for name in asked]
        options.log_severity_level = 4  # its errors are raised, and said once
        try:
            session = onnxruntime.InferenceSession(str(path), options, providers=wanted)
        except Exception as error:  # onnxruntime's errors share no other base
            raise Error(f"onnxruntime cannot load {path}: {_why(error)}.", "Verify the folder.") from None
        session.disable_fallback()
        if not (absent := sorted(set(asked) - set(session.get_providers()))):
            return session
    hint = "Install the onnxruntime and the libraries that it needs, or ask for CPUExecutionProvider."
    raise Error(f"onnxruntime has no {', '.join(absent) or 'provider'} here, and would fall back silently.", hint)


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
    return _plain(text or type(error).__name__).rstrip(".")


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else "\ufffd" for c in " ".join(text.split()))  # nothing a terminal obeys


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
    given = parser.parse_args(arguments)
    if given.verify == bool(given.images) or given.top < 1:
        parser.error("--top is below 1" if given.top < 1 else "give either images or --verify")
    if given.verify:
        report = verify(given.folder)
        if given.json or report.passed:
            sys.stdout.write(f"{json.dumps(report.to_dict(), indent=2) if given.json else report.summary}\n")
        if not report.passed:
            raise Difference(f"{report.summary}.", RESTORE)
        return
    model, results = Model(given.folder), []
    for path in given.images:
        found = model.predict(path, given.top)
        results.append({"image": path, "predictions": [asdict(best) for best in found]})
        if not given.json:
            lines = (f"\n{best.probability:8.2%}  {_plain(best.label)}" for best in found)
            sys.stdout.write(f"{_plain(path)}{''.join(lines)}\n")
    sys.stdout.write(f"{json.dumps(results, indent=2)}\n" if given.json else "")


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
    warnings.formatwarning = lambda said, *where: f"warning: {_plain(str(said))}\n"
    sys.exit(main())
