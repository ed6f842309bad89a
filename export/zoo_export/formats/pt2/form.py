"""The form that JSON from a file must have: functions that check a value and return a clean copy of it.

The copy holds what was checked and nothing else: keys that no form names are refused, or left out where they are
empty, as later versions of PyTorch add fields.
"""

import json
from collections.abc import Callable
from typing import Any

from zoo.contract.printable import quoted
from zoo_export.formats.pytorch_archive import Refused

Form = Callable[[Any], Any]
EMPTY: tuple[Any, ...] = (None, False, "", [], {})


def parse(text: bytes) -> Any:
    """JSON without repeated keys and numbers that are none.

    Raises:
        Refused: a key is repeated.
        ValueError: it is no JSON.
    """
    return json.loads(text.decode("utf-8"), object_pairs_hook=_without_repetition, parse_constant=_refuse_constant)


def record(fields: dict[str, Form], optional: dict[str, Form] | None = None) -> Form:
    """An object with those fields, and perhaps the optional ones."""
    forms = {**fields, **(optional or {})}

    def check(value: Any) -> Any:
        _need(isinstance(value, dict), "an object", value)
        missing = sorted(fields.keys() - value.keys())
        if missing:
            raise Refused(f"its graph has an entry without {missing[0]}")
        for key in sorted(value.keys() - forms.keys()):
            if value[key] not in EMPTY:
                raise Refused(f"its graph has a field {quoted(key)} that zoo does not know")
        return {key: form(value[key]) for key, form in forms.items() if key in value}

    return check


def one_of(**cases: Form) -> Form:
    """An object with exactly one of those fields."""

    def check(value: Any) -> Any:
        _need(isinstance(value, dict) and len(value) == 1, "an object of one field", value)
        ((key, item),) = value.items()
        if key not in cases:
            raise Refused(f"its graph holds a value of the kind {quoted(key)}, which zoo does not admit")
        return {key: cases[key](item)}

    return check


def many(form: Form) -> Form:
    """A list."""

    def check(value: Any) -> Any:
        _need(isinstance(value, list), "a list", value)
        return [form(item) for item in value]

    return check


def mapping(key_form: Form, form: Form) -> Form:
    """An object with any keys of one form."""

    def check(value: Any) -> Any:
        _need(isinstance(value, dict), "an object", value)
        return {key_form(key): form(item) for key, item in value.items()}

    return check


def maybe(form: Form) -> Form:
    """`None` or a value."""
    return lambda value: None if value is None else form(value)


def exactly(*values: Any) -> Form:
    """One of a few values, of the same type."""

    def check(value: Any) -> Any:
        if not any(type(value) is type(allowed) and value == allowed for allowed in values):
            raise Refused(f"its graph holds {quoted(value)}, where only {quoted(values[0])} is admitted")
        return value

    return check


def integer(lowest: int = -(2**63), highest: int = 2**63 - 1) -> Form:
    """An integer within a range."""

    def check(value: Any) -> Any:
        _need(type(value) is int and lowest <= value <= highest, f"an integer from {lowest} to {highest}", value)
        return value

    return check


def real(value: Any) -> Any:
    """A number, also the three that JSON cannot hold, which PyTorch writes as text."""
    _need(type(value) in (int, float) or value in ("Infinity", "-Infinity", "NaN"), "a number", value)
    return value


def boolean(value: Any) -> Any:
    """`true` or `false`."""
    _need(type(value) is bool, "true or false", value)
    return value


def _need(holds: bool, what: str, value: Any) -> None:
    if not holds:
        raise Refused(f"its graph holds {quoted(value)} where {what} belongs")


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise Refused("it repeats a key in its JSON")
    return content


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")
