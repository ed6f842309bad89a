"""The fields of a recipe as tables: of all of them for the documentation, of one recipe for its report."""

from collections.abc import Mapping
from typing import Any

from zoo.training.optim.optimizers import OPTIMIZERS
from zoo.training.optim.schedules import SCHEDULES
from zoo.training.recipe.field import TYPES, Field
from zoo.training.recipe.recipe import FIELDS, SCHEDULE_FIELDS


def default_text(declaration: Field) -> str:
    """The default in words, such as `0.001 for adamw, 0.05 for sgd`; empty where the field must be set."""
    if declaration.goes_with == "opt":
        values = ", ".join(f"{getattr(row, declaration.name):g} for {row.name}" for row in OPTIMIZERS.values())
        return "; ".join(filter(None, (values, declaration.unset)))
    if declaration.unset:
        return declaration.unset
    if declaration.type is bool:
        return "on" if declaration.default else "off"
    if declaration.type is tuple:
        return ",".join(map(str, declaration.default))
    if declaration.type is dict or declaration.default in (None, ""):
        return "none" if declaration.choices else ""
    return f"{declaration.default:g}" if declaration.type is float else str(declaration.default)


def markdown_table() -> str:
    """A table of every field, in GitHub's Markdown: its name in a recipe file, its flag, values, default and help."""
    rows = [
        (
            f"`{name}`",
            _flags(declaration),
            declaration.range or TYPES[declaration.type],
            default_text(declaration) or "–",
            " ".join(filter(None, (declaration.help, declaration.note))),
        )
        for name, declaration in FIELDS.items()
    ]
    headings = ("Field", "Flag", "Values", "Default", "What it does")
    lines = (headings, ("---",) * len(headings), *rows)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def recipe_rows(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that a report shows, by name: those that did something in this run.

    Args:
        recipe: as `Recipe.to_dict` gives it, or a part of it.
    """
    schedule = SCHEDULES.get(recipe.get("sched", ""))
    unused = set(SCHEDULE_FIELDS) - set(schedule.fields if schedule else ())
    return {
        name: recipe[name]
        for name, declaration in FIELDS.items()
        if name in recipe and name not in unused and declaration.in_report and declaration.is_on(recipe[name])
    }


def _flags(declaration: Field) -> str:
    if declaration.name == "architecture":
        return "`ARCHITECTURE`"
    flags = [declaration.short, declaration.flag]
    if declaration.type is bool:
        flags.append(declaration.negative_flag)
    return ", ".join(f"`{flag}`" for flag in flags if flag)
