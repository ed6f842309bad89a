"""Optimizers over a model's parameters: torch.optim, with the choices that a recipe names."""

from collections.abc import Mapping
from typing import Any

from torch import nn
from torch.optim import SGD, AdamW
from torch.optim import Optimizer as TorchOptimizer

from zoo.contract.errors import UsageError
from zoo.training.optim.muon import WholeMuon
from zoo.training.recipe.recipe import Recipe

SCALE = "scale"  # of a group: what its learning rate is multiplied by
BESIDE_MUON = 0.05  # times the learning rate of Muon, whose steps have another size, is that of AdamW beside it
ADDED = ("bias", "embed", "token")  # in the names of parameters that are added to values, and multiply none
FUSED = ("cpu", "cuda", "mps")  # devices that have optimizers of one kernel


def make_optimizers(
    module: nn.Module, recipe: Recipe, scales: Mapping[int, float] | None = None, head: frozenset[str] = frozenset()
) -> list[TorchOptimizer]:
    """The optimizers over all parameters that require a gradient. Of these, `weights` are decayed, and the rest is not.

    There is one, or two for `muon`, which takes the hidden weights: all but the first and the last, which read the
    image and write the logits. AdamW, which has the rest then, takes a twentieth of the learning rate.

    Args:
        scales: `id` of each parameter to what its learning rate is multiplied by; `None` for 1.
        head: names of the parameters that write the logits; where none is said, that is the last weight.

    Raises:
        UsageError: `muon` is asked for, and there is nothing hidden.
    """
    assert recipe.lr is not None and recipe.weight_decay is not None and recipe.momentum is not None
    named = {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}
    trained = list(named.values())
    wide = weights(named)
    decayed = {id(parameter) for parameter in wide}
    hidden = _hidden(named, wide, head) if recipe.opt == "muon" else []
    taken = {id(parameter) for parameter in hidden}
    groups: list[dict[str, Any]] = [
        {"params": [p for p in wide if id(p) not in taken], "weight_decay": recipe.weight_decay},
        {"params": [p for p in trained if id(p) not in decayed], "weight_decay": 0.0},
    ]
    groups = [scaled for group in groups for scaled in _scaled(group, scales)]
    fused = all(p.device.type in FUSED and p.is_floating_point() for p in trained)
    if recipe.opt == "sgd":
        nesterov = recipe.momentum > 0
        return [SGD(groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=nesterov, fused=fused)]
    beta = recipe.momentum if recipe.opt == "adamw" else 0.9
    made: list[TorchOptimizer] = [AdamW(groups, lr=recipe.lr, betas=(beta, 0.999), fused=fused)] if groups else []
    if hidden:
        for group in made[0].param_groups if made else ():
            group[SCALE] = group.get(SCALE, 1.0) * BESIDE_MUON
        groups = _scaled({"params": hidden}, scales)
        made.append(WholeMuon(groups, lr=recipe.lr, weight_decay=recipe.weight_decay, momentum=recipe.momentum))
    return made


def _hidden(named: Mapping[str, nn.Parameter], wide: list[nn.Parameter], head: frozenset[str]) -> list[nn.Parameter]:
    last = {id(named[name]) for name in head if name in named} or {id(weight) for weight in wide[-1:]}
    hidden = [weight for weight in wide if id(weight) not in last][1:]
    if not hidden:
        raise UsageError(
            "Muon is for hidden weights, and this model has none between the image and the logits.",
            "Say --opt adamw or --opt sgd.",
        )
    return hidden


def weights(named: Mapping[str, nn.Parameter]) -> list[nn.Parameter]:
    """Those of a model's parameters, by name and in their order, that map one layer's values to the next.

    They have more than one dimension of more than 1. Biases, norms and the scales of branches have not; tables of
    attention biases, embeddings of positions and tokens do, and are told by the last part of their name.
    """
    return [
        parameter
        for name, parameter in named.items()
        if sum(side > 1 for side in parameter.shape) > 1
        and not any(word in name.rpartition(".")[2].lower() for word in ADDED)
    ]


def set_lr(optimizers: list[TorchOptimizer], lr: float) -> None:
    """Let the next step of all of them be taken at this learning rate, scaled where a parameter's is."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = lr * group.get(SCALE, 1.0)


def _scaled(group: dict[str, Any], scales: Mapping[int, float] | None) -> list[dict[str, Any]]:
    """`group` by the scale of its parameters; none where it is empty."""
    if not group["params"] or scales is None:
        return [group] if group["params"] else []
    return [
        {**group, "params": [p for p in group["params"] if scales[id(p)] == scale], SCALE: scale}
        for scale in sorted({scales[id(p)] for p in group["params"]})
    ]
