"""The exponential moving average of a model's weights, which often classifies better than the weights themselves."""

import copy

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class ModelEma:
    """An exponential moving average of the parameters and floating-point buffers of a model, as a model.

    The running statistics of BatchNorm are averaged too, so that they fit the weights; counters are copied. The decay
    rises with the step, `(1 + step) / (10 + step)` at most, so that the initial weights soon stop to count.

    The arithmetic is PyTorch's. The class is not `torch.optim.swa_utils.AveragedModel`, because that would wait for
    the device at every update: it moves its step counter to the device, or reads it from there.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(module).requires_grad_(False).eval()
        self._decay = decay
        pairs = list(zip(_tensors(self.module), _tensors(module), strict=True))
        self._averaged = [(ema, current) for ema, current in pairs if ema.is_floating_point()]
        self._copied = [(ema, current) for ema, current in pairs if not ema.is_floating_point()]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the model's current weights, after step number `step`, counted from 1."""
        decay = min(self._decay, (1 + step) / (10 + step))
        if self._averaged:
            ema, current = zip(*self._averaged, strict=True)
            get_ema_multi_avg_fn(decay)(list(ema), list(current), 0)  # type: ignore[no-untyped-call]
        for ema_tensor, current_tensor in self._copied:
            ema_tensor.copy_(current_tensor)


def _tensors(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]
