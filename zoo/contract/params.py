"""Turn `-p NAME=VALUE` into the keyword arguments that a spec declares."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from zoo.contract.errors import UnknownName, UsageError
from zoo.contract.specs import Architecture, Loss, Param

TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def parse_params(spec: Architecture | Loss, given: Iterable[str]) -> dict[str, Any]:
    """Read texts of the form `NAME=VALUE`.

    Raises:
        UsageError: a text is not of that form, or its value is of the wrong type.
        UnknownName: the spec declares no such parameter.
    """
    pairs = [text.partition("=") for text in given]
    for name, equals, _ in pairs:
        if not equals:
            raise UsageError(f"{name!r} is not of the form NAME=VALUE.", "Write for example: activation=relu")
    return check_params(spec, {name: value for name, _, value in pairs})


def check_params(spec: Architecture | Loss, given: Mapping[str, Any]) -> dict[str, Any]:
    """Check values against the spec; texts are converted to the declared type.

    Raises:
        UsageError, UnknownName: as `parse_params`.
    """
    return {name: _convert(spec, name, value) for name, value in given.items()}


def _convert(spec: Architecture | Loss, name: str, value: Any) -> Any:
    param = spec.params.get(name)
    if param is None:
        close = get_close_matches(name, spec.params, n=1)
        names = ", ".join(spec.params) or "none"
        raise UnknownName(
            f"The {spec.kind} {spec.name} has no parameter {name!r}.",
            f"Did you mean {close[0]}?" if close else f"It has: {names}.",
        )
    try:
        converted = _typed(param, value)
    except (ValueError, TypeError, OverflowError):
        kind = type(param.default).__name__ if not isinstance(param.default, tuple) else "list of numbers"
        raise UsageError(
            f"{name}={value!r} of the {spec.kind} {spec.name} is not a {kind}.",
            f"Its default is {param.default!r}.",
        ) from None
    if param.choices and converted not in param.choices:
        raise UsageError(
            f"{name}={value!r} of the {spec.kind} {spec.name} is not one of its choices.",
            f"Choose from {', '.join(map(str, param.choices))}.",
        )
    return converted


def _typed(param: Param, value: Any) -> Any:
    default = param.default
    if isinstance(default, bool):
        if str(value).lower() not in TRUE + FALSE:
            raise ValueError
        return str(value).lower() in TRUE
    if isinstance(default, tuple):
        parts = [part for part in value.split(",") if value] if isinstance(value, str) else value
        return tuple(float(part) for part in parts)
    if isinstance(value, bool | list | tuple) or (type(default) is int and isinstance(value, float) and value % 1):
        raise ValueError
    return type(default)(value)
