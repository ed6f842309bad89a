"""The exceptions of zoo. Each has a cause and a next step; the command line prints both instead of a traceback.

ZooError                 exit code 1
├── UsageError           2  an argument or option is invalid
├── UnknownName          1  no plugin provides the name
├── NameConflict         1  several plugins provide the name
├── MissingPackage       1  a required package is not installed
├── PluginError          1  a plugin violates the contract, or its code raised an exception
├── DataError            1  a data set, an image or a data root is invalid
│   └── MissingSplit     1  a data set has no images of this split
├── WeightsError         1  a weights file is invalid
│   └── DownloadNeeded   1  weights are not on this machine, and may not be downloaded
├── OutputError          1  a file cannot be written, or exists
├── DeviceError          1  a device is not available, or is out of memory
├── TrainingError        1  training cannot start or continue
├── ExportError          1  a model cannot be exported to the format
└── DifferenceError      3  a check was carried out and failed
"""

import errno
import os
from collections.abc import Mapping
from typing import Any

# Texts of errors of several types: PyTorch, the C++ library, the dynamic loader, safetensors.
MEMORY_TEXTS = (
    "DefaultCPUAllocator",
    "Cannot allocate memory",
    "std::bad_alloc",
    "failed to map segment from shared object",
    "can't start new thread",
)
TOO_MANY_FILES = (errno.EMFILE, errno.ENFILE)
WORKER = "DataLoader worker (pid"  # of PyTorch's message, which goes on with how the process ended
SHARED_MEMORY_STEP = "Free space in shared memory (/dev/shm), or use --workers 0."
WORKER_STEP = "If memory ran out, use fewer --workers, or --workers 0."
SHOWN = 60  # characters of a path that is too long


class ZooError(Exception):
    """The base class. As text and in a traceback, it names arguments of Python: `opt="sgd"` for `--opt sgd`.

    Args:
        cause: one sentence that states the problem and names the file, option or object; flags as they are typed.
        next_step: one sentence that states what to do about it.
    """

    exit_code = 1

    def __init__(self, cause: str, next_step: str) -> None:
        from zoo.contract.wording import in_python  # which commands without an error need not load

        super().__init__(in_python(cause))
        self.cause = cause
        self.next_step = next_step
        self.add_note(in_python(next_step))  # which a traceback shows below the cause

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle both sentences, so that the error can cross processes."""
        return type(self), (self.cause, self.next_step)


class UsageError(ZooError):
    """An argument or option is invalid."""

    exit_code = 2


class UnknownName(ZooError):
    """No plugin provides the name."""


class NameConflict(ZooError):
    """Several plugins provide the name."""


class MissingPackage(ZooError):
    """A required package is not installed."""


class PluginError(ZooError):
    """A plugin violates the contract, or its code raised an exception."""


class DataError(ZooError):
    """A data set, an image or a data root is missing or invalid."""


class MissingSplit(DataError):
    """A data set has no images of the split, but may have some of the other."""


class WeightsError(ZooError):
    """A weights file is missing or invalid."""


class DownloadNeeded(WeightsError):
    """Weights are not on this machine, and the user did not allow to download them."""


class OutputError(ZooError):
    """A file or folder cannot be written, or exists and must not be overwritten."""


class DeviceError(ZooError):
    """A device is not available, or is out of memory."""


class TrainingError(ZooError):
    """Training cannot start or continue."""


class ExportError(ZooError):
    """A model cannot be exported to the format."""


class DifferenceError(ZooError):
    """A check was carried out and failed: two things that should be equal differ.

    Args:
        details: the results as plain data, which `--json` prints.
    """

    exit_code = 3

    def __init__(self, cause: str, next_step: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(cause, next_step)
        self.details: dict[str, Any] = dict(details or {})

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the details as well."""
        return type(self), (self.cause, self.next_step, self.details)


# Errors of other types that the machine or its limits caused, not the code that was running.


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the memory of this machine, or of this process, ran out. GPUs do not count."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    text = str(error) if isinstance(error, RuntimeError | ImportError | OSError) else ""
    return any(part in text for part in MEMORY_TEXTS)


def shows_tracebacks() -> bool:
    """Whether the author of a plugin or model wants errors raised as they are: `ZOO_RAISE_ERRORS` is 1."""
    return os.environ.get("ZOO_RAISE_ERRORS") == "1"


def refuse_out_of_memory(error: BaseException, doing: str = "") -> None:
    """Raise `DeviceError` where an error says that memory ran out; do nothing otherwise.

    For code that would otherwise put the blame on a plugin or on an image.

    Args:
        doing: what the process did, such as `reading a.png`.
    """
    if is_out_of_memory(error):
        raise out_of_memory(doing) from error


def out_of_memory(doing: str = "") -> DeviceError:
    """The error for a process that ran out of memory."""
    return DeviceError(
        f"This process ran out of memory{doing and ' while '}{doing}.",
        "Use a smaller --batch-size, --img-size, --memory-limit or --workers, or raise the limit (see `ulimit -v`).",
    )


def lost_worker(error: BaseException) -> DataError | None:
    """The error for a worker process that reads images and ended, if that is what `error` or one of its causes says.

    PyTorch's handler of SIGCHLD raises `RuntimeError` in the middle of whatever runs, the forward of a model included.
    """
    cause: BaseException | None = error
    while cause is not None:
        text = str(cause)
        if isinstance(cause, RuntimeError) and text.startswith(WORKER):
            step = SHARED_MEMORY_STEP if "Bus error" in text else WORKER_STEP
            return DataError(f"A worker process that reads images was killed: {text.splitlines()[0]}", step)
        cause = cause.__cause__
    return None


def refuse_lost_worker(error: BaseException) -> None:
    """Raise `DataError` where an error says that a worker process ended; do nothing otherwise.

    For code that would otherwise put the blame on a plugin.
    """
    lost = lost_worker(error)
    if lost is not None:
        raise lost from error


def limit_error(error: BaseException) -> ZooError | None:
    """What to say of an error that means that a limit was reached; `None` for any other error."""
    text = str(error) if isinstance(error, ImportError | OSError) else ""
    if is_out_of_memory(error):
        return out_of_memory()
    if lost := lost_worker(error):
        return lost
    if (isinstance(error, OSError) and error.errno in TOO_MANY_FILES) or os.strerror(errno.EMFILE) in text:
        return DeviceError("Too many files are open.", "Raise the limit, for example with `ulimit -n 1024`.")
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        name = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else ""
        return DeviceError(
            f"The path {name[:SHOWN]}{'...' if len(name) > SHOWN else ''} is too long.",
            "Use a shorter one; ZOO_DATA, ZOO_WEIGHTS and ZOO_CACHE set the folders that are not on the command line.",
        )
    return None
