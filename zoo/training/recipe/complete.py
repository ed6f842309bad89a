"""Complete a recipe with what its names stand for: the parameters of its initial weights, each of its declared type."""

from dataclasses import replace
from typing import Any

from zoo.contract.params import check_params
from zoo.contract.specs import Architecture, Loss
from zoo.files.card import read_card
from zoo.models.stored.pretrained import locate_weights
from zoo.registry.image_folders import find_data
from zoo.registry.registry import Registry
from zoo.training.initial_weights import split_init
from zoo.training.recipe.recipe import Recipe


def complete_recipe(registry: Registry, recipe: Recipe, *, download: bool = False) -> Recipe:
    """The recipe with all parameters that its architecture is built with, and with texts converted to numbers.

    The architecture is built as its initial weights were, except for the parameters that the recipe sets. A new run
    calls this; a resumed one has such a recipe already.

    Args:
        download: download initial weights that a plugin provides, if they are not on this machine.

    Raises:
        UnknownName: no plugin provides the architecture, data set or loss, or they declare no such parameter.
        DataError: the data set is a path, and there is no folder.
        UsageError: a parameter has the wrong type, or is not among the choices.
        WeightsError: the initial weights are damaged.
    """
    spec = registry.find(Architecture, recipe.architecture).spec
    find_data(registry, recipe.data)
    loss = registry.find(Loss, recipe.loss).spec
    params = {**params_of_weights(registry, recipe.initial_checkpoint, spec.name, download=download), **recipe.params}
    return replace(recipe, params=check_params(spec, params), loss_params=check_params(loss, recipe.loss_params))


def params_of_weights(
    registry: Registry, initial_checkpoint: str, architecture: str, *, download: bool = False
) -> dict[str, Any]:
    """The parameters that the initial weights were built with; empty if they are of another architecture, or none."""
    if not initial_checkpoint:
        return {}
    card, _ = read_card(locate_weights(registry, split_init(initial_checkpoint)[0], download=download))
    return dict(card.params) if card.architecture == architecture else {}
