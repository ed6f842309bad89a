"""The options of `zoo train` that set a field of the recipe, made from the fields' declarations.

Each is `None`, or an empty tuple, where it is not on the command line. `Recipe` checks the ranges.
"""

from collections.abc import Callable
from typing import Any

import click

from zoo.cli.grouped_options import AliasedOption
from zoo.training.recipe.field import Field
from zoo.training.recipe.recipe import FIELDS
from zoo.training.recipe.table import default_text

SMOOTHING = "label_smoothing"  # the parameter of a loss that --smoothing sets
NONE = "none"  # how the empty choice of a field is typed


def recipe_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command every option that sets a field of the recipe, `--smoothing` and `--drop-path`."""
    drop_path = "Stochastic depth: probability of skipping the last block while training; less for earlier blocks."
    function = click.option("--drop-path", type=click.FloatRange(0, 1, max_open=True), help=drop_path)(function)
    smoothing = f"Label smoothing; the same as --loss-param {SMOOTHING}=FLOAT."
    function = click.option("--smoothing", type=click.FLOAT, help=smoothing)(function)
    for name, declaration in reversed(FIELDS.items()):
        if name != "architecture":
            function = _option(declaration)(function)
    return function


def recipe_sections() -> dict[str, list[str]]:
    """The names of these options by the section of the help that they stand in."""
    sections: dict[str, list[str]] = {}
    for name, declaration in FIELDS.items():
        if name != "architecture":
            sections.setdefault(declaration.group, []).append(name)
    sections["Loss"].append("smoothing")
    sections["Model"].append("drop_path")
    return sections


def _option(declaration: Field) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    settings: dict[str, Any] = {
        "cls": AliasedOption,
        "help": declaration.help,
        "default": None,
        "metavar": declaration.metavar or None,
        "default_text": default_text(declaration),
        "aliases": _aliases(declaration),
    }
    flag = declaration.flag
    if declaration.type is bool:
        flag = f"{flag}/{declaration.negative_flag}"
    elif declaration.type is dict:
        settings["multiple"] = True
    elif declaration.choices:
        settings["type"] = click.Choice([choice or NONE for choice in declaration.choices])
        settings["callback"] = _empty if "" in declaration.choices else None
    elif declaration.type is tuple:
        settings["callback"] = _numbers
    else:
        settings["type"] = declaration.type
    names = [declaration.short] if declaration.short else []
    return click.option(*names, flag, declaration.name, **settings)


def _aliases(declaration: Field) -> list[str] | dict[str, Any]:
    """The flags of release 0.1; those without a value stand for one."""
    if not declaration.old:
        return []
    old = f"--{declaration.old.replace('_', '-')}"
    if declaration.type is not bool and not declaration.old_values:
        return [old]
    values = declaration.old_values or {True: True, False: False}
    return {old: values[True], f"--no-{old.removeprefix('--')}": NONE if values[False] == "" else values[False]}


def _empty(context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    return "" if value == NONE else value


def _numbers(context: click.Context, option: click.Parameter, value: str | None) -> tuple[float, ...] | None:
    """Numbers with commas between them."""
    try:
        return None if value is None else tuple(float(part) for part in value.split(",") if part)
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a list of numbers such as 0.5,0.75.") from None
