"""Some values of a recipe over those of a file or a card."""

from collections.abc import Mapping
from typing import Any

from zoo.contract.names import bare_name
from zoo.training.optim.schedules import SCHEDULES
from zoo.training.recipe.recipe import FIELDS


def with_overrides(values: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """`values` with `overrides` in their place.

    Where an override makes another choice of architecture, loss, optimizer or schedule, the values that belong to the
    choice before are left out, so they go back to their defaults.

    Args:
        values: fields of a recipe, as `read_recipe_file` and `recipe_of_card` give them.
        overrides: fields of a recipe; `None` leaves a field as it is.
    """
    chosen = {name: value for name, value in overrides.items() if value is not None}
    replaced = {name for name in chosen if name in values and _differ(values[name], chosen[name])}
    kept = {
        name: value
        for name, value in values.items()
        if FIELDS[name].goes_with not in replaced
        or (FIELDS[name].goes_with == "sched" and name in SCHEDULES[chosen["sched"]].fields)
    }
    return {**kept, **chosen}


def _differ(before: Any, after: Any) -> bool:
    """Whether two values of a field differ. The owner of a name is not compared."""
    if isinstance(before, str) and isinstance(after, str):
        return bare_name(before) != bare_name(after)
    return bool(before != after)
