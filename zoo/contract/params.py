"""Convert `-p NAME=VALUE` to the keyword arguments that a spec declares."""

from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any

from zoo.contract.errors import UnknownName, UsageError
from zoo.contract.names import close_names
from zoo.contract.specs import Architecture, Loss, Param

DROP_PATH = ("drop_path_rate", "stochastic_depth_prob")  # of an architecture: what `zoo train --drop-path` sets
TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def split_params(texts: Iterable[str]) -> dict[str, str]:
    """Names and values of texts of the form `NAME=VALUE`.

    Raises:
        UsageError: a text is not of this form.
    """
    pairs = [text.partition("=") for text in texts]
    for name, equals, _ in pairs:
        if not equals:
            raise UsageError(f"{name!r} is not of the form NAME=VALUE.", "Example: -p activation=relu")
    return {name: value for name, _, value in pairs}


def check_params(spec: Architecture | Loss, params: Mapping[str, Any]) -> dict[str, Any]:
    """Check values against the spec, and convert texts to the declared type.

    Raises:
        UsageError: a value has the wrong type or is not among the choices.
        UnknownName: the spec does not declare the parameter.
    """
    return {name: _convert(spec, name, value) for name, value in params.items()}


def _convert(spec: Architecture | Loss, name: str, value: Any) -> Any:
    param = spec.params.get(name)
    if param is None:
        close = close_names(name, spec.params, n=1)
        names = ", ".join(spec.params) or "none"
        raise UnknownName(
            f"The {spec.kind} {spec.name} has no parameter {name!r}.",
            f"Did you mean {close[0]}?" if close else f"Its parameters are: {names}.",
        )
    try:
        converted = _to_type_of_default(param, value)
    except (ValueError, TypeError, OverflowError):
        kind = (
            type(param.default).__name__ if not isinstance(param.default, tuple) else "comma-separated list of numbers"
        )
        raise UsageError(
            f"{name}={value!r} of the {spec.kind} {spec.name} is not a {kind}.",
            f"Its default is {param.default!r}.",
        ) from None
    if not all(isfinite(part) for part in _floats(converted)):
        raise UsageError(
            f"{name}={value!r} of the {spec.kind} {spec.name} is not a finite number.",
            f"Its default is {param.default!r}.",
        )
    if param.choices and converted not in param.choices:
        raise UsageError(
            f"{name}={value!r} is not a valid choice for the {spec.kind} {spec.name}.",
            f"Choose from {', '.join(map(str, param.choices))}.",
        )
    return converted


def _to_type_of_default(param: Param, value: Any) -> Any:
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


def _floats(value: Any) -> tuple[float, ...]:
    parts = value if isinstance(value, tuple) else (value,)
    return tuple(part for part in parts if isinstance(part, float))
