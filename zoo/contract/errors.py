"""The errors that zoo explains. Each carries a cause and a next step, and is shown without a traceback.

ZooError                 exit code 1
├── UsageError           2  a value on the command line is not of the form asked for
├── UnknownName          1  no plugin provides that name
├── NameConflict         1  several plugins provide that name
├── MissingPackage       1  the name needs a package that is not installed
├── PluginError          1  a plugin breaks the contract, or its code raised
├── DataError            1  a data set, an image or a data root cannot be used
├── WeightsError         1  a weights file cannot be used
├── OutputError          1  something cannot be written, or would overwrite
├── DeviceError          1  a device was asked for that is not there
├── TrainingError        1  training cannot go on
├── ExportError          1  a model cannot be exported in that format
└── DifferenceError      3  checked, and found different
"""

from collections.abc import Mapping
from typing import Any


class ZooError(Exception):
    """An error that a person can act on.

    Args:
        cause: one sentence that says what is wrong, naming the thing.
        next_step: one sentence that says what to do now.
    """

    exit_code = 1

    def __init__(self, cause: str, next_step: str) -> None:
        super().__init__(cause)
        self.cause = cause
        self.next_step = next_step
        self.add_note(next_step)  # which a traceback shows below the cause

    def __reduce__(self) -> tuple[Any, ...]:
        """Both sentences travel when a worker process hands the error over."""
        return type(self), (self.cause, self.next_step)


class UsageError(ZooError):
    """A value given is not of the form asked for."""

    exit_code = 2


class UnknownName(ZooError):
    """No plugin provides that name."""


class NameConflict(ZooError):
    """Several plugins provide that name."""


class MissingPackage(ZooError):
    """The name needs a package that is not installed."""


class PluginError(ZooError):
    """A plugin breaks the contract, or its code raised."""


class DataError(ZooError):
    """A data set, an image or a data root cannot be used."""


class WeightsError(ZooError):
    """A weights file cannot be used."""


class OutputError(ZooError):
    """Something cannot be written, or would overwrite what is there."""


class DeviceError(ZooError):
    """A device was asked for that is not there, or has not enough memory."""


class TrainingError(ZooError):
    """Training cannot go on."""


class ExportError(ZooError):
    """A model cannot be exported in that format."""


class DifferenceError(ZooError):
    """Two things were checked against each other and found different.

    Args:
        details: what was found, as plain data that `--json` prints.
    """

    exit_code = 3

    def __init__(self, cause: str, next_step: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(cause, next_step)
        self.details: dict[str, Any] = dict(details or {})

    def __reduce__(self) -> tuple[Any, ...]:
        """The details travel too."""
        return type(self), (self.cause, self.next_step, self.details)
