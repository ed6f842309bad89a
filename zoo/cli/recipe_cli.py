"""From the options of `zoo train` to a recipe: flags over the values of a file or a card."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.registry.registry import Registry
    from zoo.training.recipe.recipe import Recipe


def recipe_from_options(registry: "Registry", options: dict[str, Any], *, download: bool = False) -> "Recipe":
    """The recipe of the options of `zoo train`.

    Args:
        options: `recipe` and `like`, paths or `None`; `smoothing` and `drop_path`, numbers or `None`; and every field
            of a recipe, `None` or empty where it is not on the command line.
        download: download initial weights that a plugin provides, if they are not on this machine.

    Raises:
        ZooError: a name is unknown, a value is out of range, or two values exclude each other.
    """
    from zoo.contract.errors import UsageError
    from zoo.contract.params import split_params
    from zoo.training.recipe.complete import complete_recipe
    from zoo.training.recipe.overrides import with_overrides
    from zoo.training.recipe.recipe import Recipe

    file, like, smoothing = options.pop("recipe"), options.pop("like"), options.pop("smoothing")
    drop_path = options.pop("drop_path")
    if file is not None and like is not None:
        raise UsageError("`--recipe` and `--like` exclude each other.", "Leave one of them out.")
    texts = {name: options.pop(name) for name in ("params", "loss_params")}
    texts["loss_params"] = _with_smoothing(texts["loss_params"], smoothing)
    fields = with_overrides(_values(registry, file, like), options)
    for name, flag in (("architecture", "ARCHITECTURE"), ("data", "--data")):
        if name not in fields:
            raise UsageError(f"{flag} is missing.", f"Add {flag}, or a --recipe that sets {name}.")
    texts["params"] = _with_drop_path(registry, fields["architecture"], texts["params"], drop_path)
    for name, declared in texts.items():
        fields[name] = {**fields.get(name, {}), **split_params(declared)}
    return complete_recipe(registry, Recipe(**fields), download=download)


def _values(registry: "Registry", file: Path | None, like: str | None) -> dict[str, Any]:
    from zoo.files.card import read_card
    from zoo.models.stored.files import stored_file
    from zoo.training.recipe.file import read_recipe_file, recipe_of_card

    if file is not None:
        return read_recipe_file(file)
    if like is not None:
        path = stored_file(registry, like)
        return recipe_of_card(read_card(path)[0].recipe, path)
    return {}


def _with_smoothing(loss_params: tuple[str, ...], smoothing: float | None) -> tuple[str, ...]:
    from zoo.cli.recipe_options import SMOOTHING
    from zoo.contract.errors import UsageError

    if smoothing is None:
        return loss_params
    if any(text.partition("=")[0] == SMOOTHING for text in loss_params):
        raise UsageError(
            f"`--smoothing` and `--loss-param {SMOOTHING}=` set the same parameter.", "Leave one of them out."
        )
    return (*loss_params, f"{SMOOTHING}={smoothing}")


def _with_drop_path(
    registry: "Registry", architecture: str, params: tuple[str, ...], drop_path: float | None
) -> tuple[str, ...]:
    """`params` with the rate of stochastic depth, by the name that the architecture has for it.

    Raises:
        UsageError: the architecture has no such parameter, or `params` sets it, too.
    """
    from zoo.contract.errors import UsageError
    from zoo.contract.params import DROP_PATH
    from zoo.contract.specs import Architecture

    if drop_path is None:
        return params
    spec = registry.find(Architecture, architecture).spec
    name = next((each for each in DROP_PATH if each in spec.params), None)
    if name is None:
        raise UsageError(
            f"`--drop-path` does not fit {spec.name}, which has no parameter for stochastic depth.",
            f"Leave --drop-path out; `zoo show {spec.name}` lists the parameters.",
        )
    if any(text.partition("=")[0] == name for text in params):
        raise UsageError(f"`--drop-path` and `-p {name}=` set the same parameter.", "Leave one of them out.")
    return (*params, f"{name}={drop_path}")
