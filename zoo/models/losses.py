"""From the name of a loss to a function of logits and class indices or scores."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from zoo.contract.errors import PluginError
from zoo.contract.params import check_params
from zoo.contract.specs import Loss
from zoo.models.targets import convert_target
from zoo.registry.refs import resolve
from zoo.registry.registry import Entry

LossFunction = Callable[[Tensor, Tensor], Tensor]


def build_loss(
    entry: Entry[Loss], params: Mapping[str, Any] | None = None, device: torch.device | None = None
) -> LossFunction:
    """Build a loss that takes logits `[N, K]` and class indices int64 `[N]` or scores `[N, K]`, and gives a scalar.

    Args:
        device: what it holds, such as weights, is put there if it is an `nn.Module`: else each step would wait.

    Raises:
        PluginError: the plugin's code raised, or its loss gave something that is no scalar tensor.
    """
    arguments = check_params(entry.spec, params or {})
    build = resolve(entry, entry.spec.build)
    who = f"The loss {entry.spec.name} of {entry.plugin.distribution}"
    try:
        function = build(**arguments)
        if isinstance(function, nn.Module) and device is not None:
            function.to(device)
    except Exception as error:
        raise PluginError(
            f"{who} could not be built: {type(error).__name__}: {error}", "Check the values given with --loss-param."
        ) from error

    def loss(logits: Tensor, target: Tensor) -> Tensor:
        converted = convert_target(target, entry.spec.target, logits.shape[1])
        try:
            value = function(logits, converted)
        except Exception as error:
            raise PluginError(f"{who} raised {type(error).__name__}: {error}", "Check its parameters.") from error
        if not isinstance(value, Tensor) or value.ndim != 0:
            raise PluginError(f"{who} gave something that is no scalar tensor.", f"Correct {entry.spec.build}.")
        return value

    return loss
