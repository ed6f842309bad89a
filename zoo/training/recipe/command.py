"""The `zoo train` command that gives a recipe."""

import shlex
from collections.abc import Mapping
from typing import Any

from zoo.training.recipe.field import Field


def recipe_command(
    declarations: Mapping[str, Field], values: Mapping[str, Any], defaults: Mapping[str, Any], *extra: str
) -> str:
    """The command line for the values of a recipe; those that equal their defaults are left out.

    Args:
        declarations: of the recipe's fields, in the order in which their flags are written.
        extra: words to end with.
    """
    words = ["zoo", "train", values["architecture"], "--data", values["data"]]
    for name, declaration in declarations.items():
        if name not in ("architecture", "data") and values[name] != defaults[name]:
            words += _words(declaration, values[name])
    return shlex.join([*words, *extra])


def _words(declaration: Field, value: Any) -> list[str]:
    if declaration.type is bool:
        return [declaration.flag if value else declaration.negative_flag]
    if declaration.type is dict:
        flag = declaration.short or declaration.flag
        return [word for name, each in value.items() for word in (flag, f"{name}={_text(each)}")]
    return [declaration.flag, _text(value)]


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
