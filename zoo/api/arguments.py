"""Checks of arguments that the command line checks as options."""

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
