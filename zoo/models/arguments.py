"""Checks of arguments that the command line checks as options."""

from os import PathLike
from typing import Any, SupportsIndex

from zoo.contract.errors import UsageError


def check_integer(name: str, value: Any, at_least: int, below: int | None = None) -> None:
    """Refuse what is no integer in `[at_least, below)`; `None` stands for the default.

    Raises:
        UsageError: it is of another type, or out of range.
    """
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        raise UsageError(f"{name}={value!r} is not an integer.", f"Use an integer, {at_least} or more.")
    if int(value) < at_least:
        raise UsageError(f"{name}={value!r} is out of range.", f"Use {at_least} or more.")
    if below is not None and int(value) >= below:
        raise UsageError(f"{name}={value!r} is out of range.", f"Use an integer below {below}.")


def check_number(name: str, value: Any) -> None:
    """Refuse what is no number from 0.

    Raises:
        UsageError: it is of another type, negative or NaN.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise UsageError(f"{name}={value!r} is out of range.", "Use a number, 0 or more.")


def check_bool(name: str, value: Any) -> None:
    """Refuse what is neither `True` nor `False`.

    Raises:
        UsageError: it is of another type.
    """
    if not isinstance(value, bool):
        raise UsageError(f"{name}={value!r:.80} is neither True nor False.", "Use True or False.")


def check_path(name: str, value: Any) -> None:
    """Refuse what is no path; `None` stands for the default.

    Raises:
        UsageError: it is of another type.
    """
    if value is not None and not isinstance(value, str | PathLike):
        raise UsageError(f"{name} is an object of type {type(value).__name__}, not a path.", "Pass a str or a Path.")


def check_tolerance(name: str, value: Any) -> None:
    """Refuse what is no number; `None` stands for the default.

    Raises:
        UsageError: it is of another type.
    """
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise UsageError(f"{name}={value!r:.80} is not a number.", "Use a number, such as 1e-4.")
