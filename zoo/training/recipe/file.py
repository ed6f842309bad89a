"""Recipes from outside, a TOML file or a card: names and types are checked before anything is done."""

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from zoo.contract.errors import UsageError, WeightsError
from zoo.contract.names import bare_name
from zoo.files.card import Card
from zoo.files.toml import read_toml
from zoo.registry.image_folders import FOLDER
from zoo.training.optim.optimizers import OPTIMIZERS
from zoo.training.recipe.field import TYPES
from zoo.training.recipe.recipe import FIELDS, VERSION, Recipe

SMOOTHING = ("smoothing", "label_smoothing")  # what people call it; `zoo train` has the flag --smoothing
RENAMED = 3  # the version of recipes from which on fields have their present names
BEFORE_4 = {"batch_size": 128, "drop_last": True}  # what recipes of versions 1 to 3 do where they do not say it
BEFORE_5 = {"head_init_scale": 1.0, "freeze_bn": False}  # and those of versions 1 to 4
NEW_NAMES = {declaration.old: name for name, declaration in FIELDS.items() if declaration.old}


def read_recipe_file(path: Path) -> dict[str, Any]:
    """The fields that a TOML file sets, checked.

    Raises:
        UsageError: it cannot be read, is not TOML, or has a name or value that a recipe does not have.
    """
    try:
        content = read_toml(path)
    except OSError as error:
        raise UsageError(f"The recipe {path} could not be read: {error.strerror}.", "Check the path.") from None
    except ValueError as error:
        raise UsageError(
            f"{path} is not a TOML file: {error}", "Write one field a line, for example: epochs = 20"
        ) from None
    return check_fields(content, str(path))


def recipe_of_card(recipe: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The fields of the recipe that the card of `path` records, checked.

    Raises:
        WeightsError: it records none, or one that this zoo does not know.
    """
    if not recipe:
        raise WeightsError(
            f"The card of {path} records no recipe, so its training cannot be repeated.",
            "Pass ARCHITECTURE and --data instead, or weights that `zoo train` made.",
        )
    try:
        return check_fields({"version": 1, **recipe}, f"the card of {path}")
    except UsageError as error:
        raise WeightsError(error.cause, "Use the release of zoo-kit that made it; its card names that.") from None


def command_of_card(card: Card) -> str:
    """Return the command that repeats the training of a card, with the flags of this release.

    A card without a recipe, or with one of a newer release, returns the command that it records.
    """
    try:
        return to_recipe({"version": 1, **card.recipe}, "the card").command()
    except UsageError:
        return card.command


def check_fields(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The values without their version, once every name and type is known to be a recipe's.

    Recipes of versions 1 and 2 may use the names that fields had then. Older ones have the defaults of then.

    Args:
        where: what to call the file in errors.

    Raises:
        UsageError: a name or type is not a recipe's, or this zoo does not know the version.
    """
    version = values.get("version", VERSION)
    if type(version) is not int or not 0 < version <= VERSION:
        raise UsageError(
            f"{where} has a recipe of version {version!r}, and this zoo knows versions 1 to {VERSION}.",
            "Use the release of zoo-kit that it was written for.",
        )
    if version < RENAMED:
        values = with_new_names(values)
    if version < 4:
        turned = {"exif_orientation": False} if bare_name(str(values.get("data"))) == FOLDER else {}
        values = {**BEFORE_4, **turned, **values}
    if version < 5:
        values = {**BEFORE_5, **values}
        if values.get("initial_checkpoint") and values.get("lr") is None and values.get("opt", "adamw") in OPTIMIZERS:
            values["lr"] = OPTIMIZERS[values.get("opt", "adamw")].lr
    checked = {}
    for name, value in values.items():
        if name == "version":
            continue
        if name not in FIELDS:
            raise UsageError(f"{where} sets {name!r}, which is not a field of a recipe.", _suggestion(name))
        if not FIELDS[name].has_type(value):
            raise UsageError(
                f"{name} = {value!r:.80} in {where} has the wrong type: it must be {TYPES[FIELDS[name].type]}.",
                "Correct its type.",
            )
        checked[name] = tuple(value) if isinstance(value, list) else value
    if version == 1 and checked.get("amp"):
        checked["amp"] = None
    return checked


def with_new_names(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe of version 1 or 2 under the names that its fields have now."""
    renamed = {}
    for name, value in recipe.items():
        new = NEW_NAMES.get(name, name)
        if isinstance(value, bool) and new in FIELDS:
            value = FIELDS[new].old_values.get(value, value)
        renamed[new] = value
    return renamed


def to_recipe(values: Mapping[str, Any], where: str) -> Recipe:
    """The recipe of the values that `Recipe.to_dict` or a file gives.

    Raises:
        UsageError: as `check_fields`; or the architecture or the data set is missing, or a value is out of range.
    """
    checked = check_fields(values, where)
    for name in ("architecture", "data"):
        if name not in checked:
            raise UsageError(f"{where} does not set {name}.", f"Add a line: {name} = ...")
    return Recipe(**checked)


def _suggestion(name: str) -> str:
    """What to write instead of a name that is no field: a flag, a field's old name, or a misspelt one."""
    if name in SMOOTHING:
        return 'It is a parameter of the loss: set loss_params to {"label_smoothing": 0.1}.'
    flags = {declaration.flag.removeprefix("--"): field for field, declaration in FIELDS.items()}
    known = {**NEW_NAMES, **flags, **{field: field for field in FIELDS}}
    spelt = next((each for each in (name, name.replace("-", "_")) if each in known), None)
    close = [known[spelt]] if spelt else get_close_matches(name, FIELDS, n=1)
    if spelt in NEW_NAMES:
        return f"Use {close[0]}, or add `version = 2`, with which the names of zoo 0.1.0 are read."
    return f"Did you mean {close[0]}?" if close else f"The fields are: {', '.join(FIELDS)}."
