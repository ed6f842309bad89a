"""Recipes from outside, a TOML file or a card: every name and every type is checked before anything is done."""

import tomllib
from collections.abc import Mapping
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from zoo.contract.errors import UsageError, WeightsError
from zoo.training.recipe.recipe import VERSION, Recipe

OLD_NAMES = {  # of fields, in recipes of versions 1 and 2
    "image_size": "img_size",
    "init": "initial_checkpoint",
    "accumulate": "grad_accum_steps",
    "optimizer": "opt",
    "clip": "clip_grad",
    "schedule": "sched",
    "milestones": "decay_milestones",
    "gamma": "decay_rate",
    "ema": "model_ema_decay",
    "trivial_augment": "aa",
    "erase": "reprob",
    "compile": "torchcompile",
}


def read_recipe_file(path: Path) -> dict[str, Any]:
    """The fields that a TOML file sets, checked.

    Raises:
        UsageError: it cannot be read, is no TOML, or names a field or value that a recipe does not have.
    """
    try:
        given = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise UsageError(f"The recipe {path} could not be read: {error.strerror}.", "Check the path.") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"{path} is not a TOML file: {error}", "Write one field a line, such as: epochs = 20"
        ) from None
    return check_fields(given, str(path))


def recipe_of_card(recipe: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The fields of the recipe that the card of `path` records, checked.

    Raises:
        WeightsError: it records none, or one that this zoo does not know.
    """
    if not recipe:
        raise WeightsError(
            f"The card of {path} records no recipe, so there is nothing to train like.",
            "Say ARCHITECTURE and --data instead, or name weights that `zoo train` made.",
        )
    try:
        return check_fields({"version": 1, **recipe}, f"the card of {path}")
    except UsageError as error:
        raise WeightsError(error.cause, "Use the release of zoo-kit that made it; its card names that.") from None


def check_fields(given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """`given` without its version, once every name and type is known to be a recipe's.

    Raises:
        UsageError: a name or type is not, or the version is not one that this zoo knows.
    """
    version = given.get("version", VERSION)
    if type(version) is not int or not 0 < version <= VERSION:
        raise UsageError(
            f"{where} has a recipe of version {version!r}, and this zoo knows versions up to {VERSION}.",
            "Use the release of zoo-kit that it was written for.",
        )
    if version < 3:
        given = renamed(given)
    hints = get_type_hints(Recipe)
    checked = {}
    for name, value in given.items():
        if name == "version":
            continue
        if name not in hints:
            bare = name.replace("-", "_")  # as on the command line
            bare = OLD_NAMES.get(bare, bare)
            close = [bare] if bare in hints else get_close_matches(name, hints, n=1)
            raise UsageError(
                f"{where} names {name!r}, which is no field of a recipe.",
                f"Did you mean {close[0]}?" if close else f"The fields are: {', '.join(hints)}.",
            )
        if not _fits(value, hints[name]):
            raise UsageError(f"{name} = {value!r} in {where} is not {_asked(hints[name])}.", "Correct its type.")
        checked[name] = tuple(value) if isinstance(value, list) else value
    if version == 1 and checked.get("amp"):
        checked["amp"] = None
    return checked


def renamed(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe of version 1 or 2 under the names that its fields have now. A recipe of today is left as it is."""
    fields_now = {OLD_NAMES.get(name, name): value for name, value in recipe.items()}
    if isinstance(fields_now.get("aa"), bool):
        fields_now["aa"] = "trivial" if fields_now["aa"] else ""
    return fields_now


def to_recipe(given: Mapping[str, Any], where: str) -> Recipe:
    """The recipe of the fields, as `Recipe.to_dict` or a file gives them.

    Raises:
        UsageError: as `check_fields`, or the architecture or the data set is not named.
    """
    checked = check_fields(given, where)
    for entry in fields(Recipe)[:2]:
        if entry.name not in checked:
            raise UsageError(f"{where} does not name the {entry.name}.", f"Add a line: {entry.name} = ...")
    return Recipe(**checked)


def _fits(value: Any, hint: Any) -> bool:
    kinds = _kinds(hint)
    if isinstance(value, list | tuple):
        return tuple in kinds and all(_fits(item, float) for item in value)
    if isinstance(value, bool):
        return bool in kinds
    return isinstance(value, tuple(kinds)) or (isinstance(value, int) and float in kinds)


def _kinds(hint: Any) -> set[type]:
    origin = get_origin(hint)
    if origin is Literal:
        return {str}
    if origin is tuple:
        return {tuple}
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        return {dict}
    return {hint} if isinstance(hint, type) else set(get_args(hint))


_WORDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    tuple: "a list of numbers",
    dict: "a table",
}


def _asked(hint: Any) -> str:
    return " or ".join(_WORDS[kind] for kind in _WORDS if kind in _kinds(hint) - {NoneType})
