"""Build a loss by name: a function of logits and targets, which it converts to the form that the loss takes."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from zoo.contract.errors import DataError, PluginError, refuse_lost_worker, refuse_out_of_memory
from zoo.contract.params import check_params
from zoo.contract.specs import Loss
from zoo.contract.wording.author_code import SHOW_TRACEBACK, describe_error
from zoo.registry.refs import resolve
from zoo.registry.registry import Entry

LossFunction = Callable[[Tensor, Tensor], Tensor]


def build_loss(
    entry: Entry[Loss], params: Mapping[str, Any] | None = None, device: torch.device | None = None
) -> LossFunction:
    """Build a function of logits `[N, K]` and targets, int64 `[N]` or scores `[N, K]`, that returns a scalar.

    Args:
        device: where to put the loss if it is an `nn.Module`, so that its buffers are not copied in each step.

    Raises:
        PluginError: the plugin's code raised an exception, or the loss did not return a scalar tensor.
    """
    arguments = check_params(entry.spec, params or {})
    build = resolve(entry, entry.spec.build)
    label = f"The loss {entry.spec.name} of {entry.plugin.distribution}"
    try:
        function = build(**arguments)
        if isinstance(function, nn.Module) and device is not None:
            function.to(device)
    except Exception as error:
        refuse_out_of_memory(error)
        raise PluginError(
            f"{label} could not be built: {describe_error(error)}",
            f"Check the values of --loss-param; {SHOW_TRACEBACK}",
        ) from error

    def loss(logits: Tensor, target: Tensor) -> Tensor:
        converted = convert_target(target, entry.spec.target, logits.shape[1])
        try:
            value = function(logits, converted)
        except Exception as error:
            refuse_out_of_memory(error)
            refuse_lost_worker(error)
            raise PluginError(
                f"{label} raised {describe_error(error)}", f"Check its parameters; {SHOW_TRACEBACK}"
            ) from error
        if not isinstance(value, Tensor) or value.ndim != 0:
            raise PluginError(f"{label} did not return a scalar tensor.", f"Correct {entry.spec.build}.")
        return value

    return loss


def convert_target(target: Tensor, form: Literal["index", "scores", "either"], num_classes: int) -> Tensor:
    """Convert class indices, one-hot targets or soft targets to the form that a loss takes.

    Args:
        target: class indices int64 `[N]`, or per-class scores float `[N, K]`, one-hot or soft.
        form: as in `zoo.Loss.target`. `either` returns class indices as they are, and scores as float32.
        num_classes: K.

    Returns:
        int64 `[N]` for `index`, float32 `[N, K]` for `scores`.

    Raises:
        DataError: `form` is `index` and a target is soft.
    """
    if target.ndim == 1:
        if form != "scores":
            return target
        return torch.nn.functional.one_hot(target, num_classes).to(torch.float32)
    if form != "index":
        return target.to(torch.float32)
    top, index = target.max(dim=1)
    if not bool(((top == 1) & (target.sum(dim=1) == 1)).all()):
        raise DataError(
            "This loss takes class indices, and soft targets cannot be converted to them.",
            "Use a loss that takes scores, such as cross_entropy, or one-hot targets.",
        )
    return index
