"""Fields of a recipe that require, exclude or do nothing with others."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from zoo.contract.errors import UsageError
from zoo.training.optim.optimizers import OPTIMIZERS
from zoo.training.optim.schedules import SCHEDULES
from zoo.training.recipe.field import TYPES, Field

if TYPE_CHECKING:
    from zoo.training.recipe.recipe import Recipe


def checked_values(recipe: "Recipe", fields: Mapping[str, Field]) -> dict[str, Any]:
    """The values of the fields as their declared types; `UsageError` where a type or a range is wrong."""
    values = {}
    for name, declaration in fields.items():
        value = getattr(recipe, name)
        if not declaration.has_type(value):
            raise UsageError(
                f"{name} = {value!r:.80} has the wrong type: it must be {TYPES[declaration.type]}.",
                "Correct its type.",
            )
        if not declaration.in_range(value):
            raise UsageError(
                f"{name} = {value!r} is out of range: it must be {declaration.range}.",
                f"Correct it; `zoo train --help` explains {declaration.flag}.",
            )
        values[name] = declaration.as_declared(value)
    return values


def refuse_inconsistent(recipe: "Recipe", fields: Mapping[str, Field]) -> None:
    """Raise `UsageError` where a field requires another, excludes another, or has no effect with another."""
    for name, declaration in fields.items():
        if declaration.requires and declaration.is_on(getattr(recipe, name)):
            _require(recipe, declaration, fields[declaration.requires])
    _refuse_frozen_layers_settings(recipe)
    _refuse_unused_schedule_fields(recipe, fields)


def schedule_fields(fields: Mapping[str, Field]) -> tuple[str, ...]:
    """The names of the fields that belong to the schedule."""
    return tuple(name for name, declaration in fields.items() if declaration.goes_with == "sched")


def _require(recipe: "Recipe", declaration: Field, other: Field) -> None:
    if not other.is_on(getattr(recipe, other.name)):
        raise UsageError(
            f"`{declaration.flag}` requires `{other.flag}`.",
            f"Add {other.flag} {other.metavar or '0.1'}, or leave out {declaration.flag}.",
        )


def _refuse_frozen_layers_settings(recipe: "Recipe") -> None:
    flag = "--layer-decay" if recipe.layer_decay != 1 else f"--opt {recipe.opt}"
    if recipe.freeze and (recipe.layer_decay != 1 or OPTIMIZERS[recipe.opt].hidden_only):
        raise UsageError(
            f"`--freeze` trains only the head, and `{flag}` is for the layers below it.",
            f"Leave out --freeze or {flag}.",
        )


def _refuse_unused_schedule_fields(recipe: "Recipe", fields: Mapping[str, Field]) -> None:
    for name in schedule_fields(fields):
        value, flag = getattr(recipe, name), fields[name].flag
        if name not in SCHEDULES[recipe.sched].fields and value and value != fields[name].default:
            users = " or ".join(row.name for row in SCHEDULES.values() if name in row.fields)
            raise UsageError(
                f"{name} = {value!r} has no effect with `--sched {recipe.sched}`.",
                f"Leave out {flag}, or use --sched {users}.",
            )
