"""The exceptions of zoo. Each has a cause and a next step; the command line prints both instead of a traceback.

ZooError                 exit code 1
├── UsageError           2  an argument or option is invalid
├── UnknownName          1  no plugin provides the name
├── NameConflict         1  several plugins provide the name
├── MissingPackage       1  a required package is not installed
├── PluginError          1  a plugin violates the contract, or its code raised an exception
├── DataError            1  a data set, an image or a data root is invalid
├── WeightsError         1  a weights file is invalid
├── OutputError          1  a file cannot be written, or exists
├── DeviceError          1  a device is not available, or is out of memory
├── TrainingError        1  training cannot start or continue
├── ExportError          1  a model cannot be exported to the format
└── DifferenceError      3  a check was carried out and failed
"""

from collections.abc import Mapping
from typing import Any


class ZooError(Exception):
    """The base class.

    Args:
        cause: one sentence that states the problem and names the file, option or object.
        next_step: one sentence that states what to do about it.
    """

    exit_code = 1

    def __init__(self, cause: str, next_step: str) -> None:
        super().__init__(cause)
        self.cause = cause
        self.next_step = next_step
        self.add_note(next_step)  # which a traceback shows below the cause

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


class WeightsError(ZooError):
    """A weights file is missing or invalid."""


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
