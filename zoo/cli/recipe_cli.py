"""From a command line to the recipe it asks for: a file's or a card's, over which flags win."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.registry.registry import Registry
    from zoo.training.recipe.recipe import Recipe

GOES_WITH = {  # what a recipe says of its own choice, and means nothing beside another
    "architecture": ("params",),
    "loss": ("loss_params",),
    "opt": ("lr", "weight_decay", "momentum"),
}


def asked_recipe(registry: "Registry", options: dict[str, Any]) -> "Recipe":
    """The recipe that the options of `zoo train` ask for.

    Args:
        options: `recipe` and `like`, paths or `None`, and every field of a recipe, `None` or empty where not given.

    Raises:
        ZooError: it names what is not there, or what does not go together.
    """
    from zoo.contract.errors import UsageError
    from zoo.contract.params import check_params, parse_params
    from zoo.contract.specs import Architecture, Dataset, Loss
    from zoo.training.recipe.recipe import Recipe

    file, like = options.pop("recipe"), options.pop("like")
    if file is not None and like is not None:
        raise UsageError("--recipe and --like each say a whole recipe.", "Say one of them.")
    given = _given(file, like)
    params = {name: options.pop(name) for name in ("params", "loss_params")}
    given = _without_others(given, options)
    fields = {**given, **{name: value for name, value in options.items() if value is not None}}
    for name, flag in (("architecture", "ARCHITECTURE"), ("data", "--data")):
        if name not in fields:
            raise UsageError(f"The {name} to train is not said.", f"Say {flag}, or a --recipe that names it.")
    registry.find(Dataset, fields["data"])
    if fields.get("initial_checkpoint") and "params" not in fields:
        fields["params"] = _params_of(
            fields["initial_checkpoint"], registry.find(Architecture, fields["architecture"]).spec.name
        )
    for name, spec in (
        ("params", registry.find(Architecture, fields["architecture"]).spec),
        ("loss_params", registry.find(Loss, fields.get("loss", Recipe.loss)).spec),
    ):
        fields[name] = {**check_params(spec, fields.get(name, {})), **parse_params(spec, params[name])}
    return Recipe(**fields)


def _given(file: Path | None, like: str | None) -> dict[str, Any]:
    from zoo.files.card import read_card
    from zoo.files.folders import find_weights
    from zoo.training.recipe.file import read_recipe_file, recipe_of_card

    if file is not None:
        return read_recipe_file(file)
    if like is not None:
        path = find_weights(like)
        return recipe_of_card(read_card(path)[0].recipe, path)
    return {}


def _without_others(given: dict[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """What a file or card says, without what goes with a choice of its own where a flag makes another."""
    from zoo.training.recipe.recipe import OF_SCHEDULES

    def differs(name: str) -> bool:
        return said[name] is not None and _bare(given.get(name, said[name])) != _bare(said[name])

    gone = {name for choice, names in GOES_WITH.items() if differs(choice) for name in names}
    if differs("sched"):
        gone |= {name for name, schedules in OF_SCHEDULES.items() if said["sched"] not in schedules}
    return {name: value for name, value in given.items() if name not in gone}


def _bare(name: str) -> str:
    """A name without the plugin that may be said before it."""
    return name.rpartition(":")[2]


def _params_of(init: str, architecture: str) -> dict[str, Any]:
    """The parameters that weights to begin from were built with, if they are of that architecture."""
    from zoo.files.card import read_card
    from zoo.files.folders import find_weights
    from zoo.training.initial_weights import split_init

    card, _ = read_card(find_weights(split_init(init)[0]))
    return dict(card.params) if card.architecture == architecture else {}
