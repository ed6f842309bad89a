"""Defaults of a recipe that depend on its optimizer and on whether it starts from stored weights."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from zoo.training.optim.optimizers import OPTIMIZERS
from zoo.training.recipe.field import Field

if TYPE_CHECKING:
    from zoo.training.recipe.recipe import Recipe

# Of the fresh head of a fine-tuned model. Architectures initialise heads for training from scratch: the weights of
# timm's efficientnets have a standard deviation of 0.29 with four classes, which ruins what they are put on. This
# value is from the fine-tuning of Liu et al. 2022 (ConvNeXt), where BiT and ViT have 0.
HEAD_INIT_SCALE = 0.001
FINE_TUNING_LR = 0.3  # of the optimizer's default learning rate, where all of a model starts from stored weights
FINE_TUNING = f"{FINE_TUNING_LR:g} times that when fine-tuning, unless --freeze"


def derived_fields(fields: Mapping[str, Field]) -> tuple[str, ...]:
    """The names of the fields whose default depends on others."""
    return tuple(name for name, field in fields.items() if field.goes_with in ("opt", "initial_checkpoint"))


def default_of(declaration: Field, recipe: "Recipe") -> Any:
    """The default of a field, with the optimizer and the initial weights of this recipe."""
    fine_tuned = bool(recipe.initial_checkpoint)
    if declaration.name == "lr" and fine_tuned and not recipe.freeze:
        return FINE_TUNING_LR * OPTIMIZERS[recipe.opt].lr
    if declaration.goes_with == "opt":
        return getattr(OPTIMIZERS[recipe.opt], declaration.name)
    if declaration.name == "head_init_scale" and fine_tuned:
        return HEAD_INIT_SCALE
    if declaration.goes_with == "initial_checkpoint" and not fine_tuned:
        return declaration.off
    return declaration.default
