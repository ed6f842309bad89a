"""Read the tensors of a file that other software wrote, without running anything that it holds."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import safetensors.torch
from torch import Tensor

from zoo.containment.errors import ContainmentError
from zoo.containment.limits import Limits, limits_for
from zoo.containment.process import ChildProcess
from zoo.contract.errors import WeightsError
from zoo.contract.printable import plain, shortened
from zoo.files.header import PICKLES, read_header, refused
from zoo.files.regular import CHUNK, open_regular
from zoo.models.importing.state_dicts import ROOT
from zoo.models.importing.unpickle import CONVERT, DIGITS, TENSORS

SERVICE = "zoo.models.importing.unpickle:WeightsOnlyReader"
MAX_TEXT, MAX_LISTED, MAX_NAME = 500, 10, 100  # characters, entries, characters


@dataclass(frozen=True)
class SourceFile:
    """What was read.

    Args:
        path: of the file.
        sha256: of its content, as 64 hex digits.
        tensors: by the names that the file gives them, in its order.
        key: of the state dict that was taken; `.` for the whole file.
        others: keys of state dicts that were not taken.
        ignored: entries beside the tensors that are no tensors.
        ordered: whether `tensors` are in the order of the state dict, which safetensors files do not keep.
    """

    path: Path
    sha256: str
    tensors: Mapping[str, Tensor]
    key: str = ROOT
    others: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    ordered: bool = False


def read_source(path: Path, key: str = "") -> SourceFile:
    """Read safetensors, or a checkpoint of `torch.save` by PyTorch's weights-only unpickler in a process with limits.

    Args:
        key: of the state dict to take, such as `model_ema`; by default it is chosen, see `choose_state_dict`.

    Raises:
        UsageError: a limit in the environment is malformed.
        WeightsError: the file is missing or damaged, it holds code, no state dict or none with that key, or the
            process went over a limit.
    """
    is_checkpoint, identity, sha256 = _look(path)
    if is_checkpoint:
        tensors, answer = _read_in_child(path, key)
    else:
        if key not in ("", ROOT):
            raise WeightsError(f"{path} is a safetensors file, which has no keys.", "Leave --key out.")
        tensors, answer = _load(path), {}
    if _identity(path) != identity:
        raise WeightsError(f"{path} changed while it was read.", "Wait until it is complete, and try again.")
    if not tensors:
        raise WeightsError(f"{path} holds no tensors.", "Use a file with the state dict of a model.")
    return SourceFile(
        path=path,
        sha256=sha256,
        tensors=tensors,
        key=plain(answer.get("key") or ROOT)[:MAX_NAME],
        others=_texts(answer.get("others")),
        ignored=_texts(answer.get("ignored")),
        ordered=is_checkpoint,
    )


def _look(path: Path) -> tuple[bool, tuple[int, ...], str]:
    """Whether a file begins like a checkpoint, what identifies it on disk, and the SHA-256 of its content."""
    sha = hashlib.sha256()
    try:
        with open_regular(path) as file:
            identity = _identity(path)
            start = file.read(16)
            sha.update(start)
            while chunk := file.read(CHUNK):
                sha.update(chunk)
    except OSError as error:
        raise WeightsError(f"{path} could not be read: {error.strerror}.", "Check the path.") from None
    if not start:
        raise WeightsError(f"{path} is empty.", "Download it again.")
    is_safetensors = start[8:9] == b"{" and not start.startswith(PICKLES)
    return not is_safetensors, identity, sha.hexdigest()


def _identity(path: Path) -> tuple[int, ...]:
    status = os.stat(path)  # noqa: PTH116  (the path may be a link, and what counts is the file)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _read_in_child(path: Path, key: str) -> tuple[Mapping[str, Tensor], Mapping[str, Any]]:
    limits = limits_for({"weights": path})
    with TemporaryDirectory(prefix="zoo-import-") as folder:
        scratch = Path(folder).resolve()
        child = ChildProcess(
            path.name, SERVICE, {"file": str(path.absolute())}, limits, scratch=scratch, advice=CONVERT
        )
        try:
            answer = _ask(child, path, key, limits)
        finally:
            child.close()
        written = scratch / TENSORS
        if written.is_symlink():
            raise WeightsError(f"The process that read {path} did not write a file.", CONVERT)
        loaded = _load(written)
    return {name[DIGITS + 1 :]: loaded[name] for name in sorted(loaded)}, answer


def _ask(child: ChildProcess, path: Path, key: str, limits: Limits) -> Mapping[str, Any]:
    try:
        answer, _ = child.ask({"key": key}, seconds=limits.load_seconds)
    except ContainmentError as error:
        raise WeightsError(error.cause, error.next_step) from None
    raised: Any = answer.get("error")
    if raised is None:
        return answer
    texts = raised if isinstance(raised, dict) else {}
    cause, next_step = (shortened(plain(texts.get(name) or ""), MAX_TEXT) for name in ("cause", "next_step"))
    subject, own = f"{path} ", cause.removeprefix("The file ")
    raise WeightsError(f"{subject}{own}" if own != cause else f"{path}: {cause or 'no reason.'}", next_step or CONVERT)


def _load(path: Path) -> Mapping[str, Tensor]:
    read_header(path)
    try:
        return safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise refused(path, f"safetensors cannot read it ({error})") from None


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(plain(each)[:MAX_NAME] for each in value[:MAX_LISTED]) if isinstance(value, list) else ()
