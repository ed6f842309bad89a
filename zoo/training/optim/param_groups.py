"""The parameter groups of a model, and the optimizers over them."""

from collections.abc import Mapping
from typing import Any

from torch import nn
from torch.optim import Optimizer as TorchOptimizer

from zoo.contract.errors import UsageError
from zoo.training.optim.optimizers import OPTIMIZERS
from zoo.training.recipe.recipe import Recipe

SCALE = "scale"  # key of a group: the factor of its learning rate
NOT_DECAYED = ("bias", "embed", "token")  # in the last part of the name of a parameter that is added, not multiplied
FUSED = ("cpu", "cuda", "mps")  # device types with fused optimizers


def make_optimizers(
    module: nn.Module, recipe: Recipe, scales: Mapping[int, float] | None = None, head: frozenset[str] = frozenset()
) -> list[TorchOptimizer]:
    """The optimizers over all parameters that require a gradient. Weight decay applies to `weights` only.

    There is one optimizer, or two where the recipe's is for hidden weights only: hidden weights are all but the first
    and the last, which read the image and write the logits, and AdamW takes the other parameters.

    Args:
        scales: `id` of each parameter to the factor of its learning rate; `None` for 1.
        head: names of the parameters that write the logits; empty for the last weight.

    Raises:
        UsageError: the optimizer is for hidden weights only, and the model has none.
    """
    assert recipe.lr is not None and recipe.weight_decay is not None and recipe.momentum is not None
    named = {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}
    trained = list(named.values())
    matrices = weights(named)
    decayed = {id(parameter) for parameter in matrices}
    row, adamw = OPTIMIZERS[recipe.opt], OPTIMIZERS["adamw"]
    hidden = _hidden(named, matrices, head, row.name) if row.hidden_only else []
    taken = {id(parameter) for parameter in hidden}
    groups: list[dict[str, Any]] = [
        {"params": [p for p in matrices if id(p) not in taken], "weight_decay": recipe.weight_decay},
        {"params": [p for p in trained if id(p) not in decayed], "weight_decay": 0.0},
    ]
    groups = [scaled for group in groups for scaled in _scaled(group, scales)]
    settings: dict[str, Any] = {
        "lr": recipe.lr,
        "weight_decay": recipe.weight_decay,
        "momentum": recipe.momentum,
        "fused": all(p.device.type in FUSED and p.is_floating_point() for p in trained),
    }
    if row.adamw_lr_scale is None:
        return [row.build(groups, **settings)] if groups else []
    for group in groups:
        group[SCALE] = group.get(SCALE, 1.0) * row.adamw_lr_scale
    beside = [adamw.build(groups, **{**settings, "momentum": adamw.momentum})] if groups else []
    hidden_groups = _scaled({"params": hidden, "weight_decay": recipe.weight_decay}, scales)
    return [*beside, row.build(hidden_groups, **settings)]


def _hidden(
    named: Mapping[str, nn.Parameter], matrices: list[nn.Parameter], head: frozenset[str], optimizer: str
) -> list[nn.Parameter]:
    last = {id(named[name]) for name in head if name in named} or {id(weight) for weight in matrices[-1:]}
    hidden = [weight for weight in matrices if id(weight) not in last][1:]
    if not hidden:
        raise UsageError(
            f"`--opt {optimizer}` trains hidden weights, and this model has none between its first and last layer.",
            "Use --opt adamw or --opt sgd.",
        )
    return hidden


def weights(named: Mapping[str, nn.Parameter]) -> list[nn.Parameter]:
    """The parameters that map the values of one layer to the next, in their order.

    They have at least two dimensions larger than 1. Biases, norms and scales of branches have fewer; tables of
    attention biases and embeddings of positions and tokens are recognised by the last part of their name.

    Args:
        named: parameters by name.
    """
    return [
        parameter
        for name, parameter in named.items()
        if sum(side > 1 for side in parameter.shape) > 1
        and not any(word in name.rpartition(".")[2].lower() for word in NOT_DECAYED)
    ]


def set_lr(optimizers: list[TorchOptimizer], lr: float) -> None:
    """Set the learning rate of every group, times the group's scale."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = lr * group.get(SCALE, 1.0)


def _scaled(group: dict[str, Any], scales: Mapping[int, float] | None) -> list[dict[str, Any]]:
    """`group` split by the scale of its parameters; no group if it is empty."""
    if not group["params"] or scales is None:
        return [group] if group["params"] else []
    return [
        {**group, "params": [p for p in group["params"] if scales[id(p)] == scale], SCALE: scale}
        for scale in sorted({scales[id(p)] for p in group["params"]})
    ]
