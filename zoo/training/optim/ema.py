"""The moving average of a model's weights, which often classifies better than the weights themselves."""

import copy

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class ModelEma:
    """An exponential moving average of the parameters and floating-point buffers of a model, as a model.

    BatchNorm's statistics are averaged along with the weights, so that they fit them; counters are copied. The decay
    rises with the steps, `(1 + step) / (10 + step)` at most, so that the fresh weights are soon forgotten.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(module).requires_grad_(False).eval()
        self._decay = decay
        pairs = list(zip(_tensors(self.module), _tensors(module), strict=True))
        self._kept = [(ours, theirs) for ours, theirs in pairs if ours.is_floating_point()]
        self._copied = [(ours, theirs) for ours, theirs in pairs if not ours.is_floating_point()]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the model's present weights, after step number `step`, from 1."""
        decay = min(self._decay, (1 + step) / (10 + step))
        if self._kept:
            ours, theirs = zip(*self._kept, strict=True)
            get_ema_multi_avg_fn(decay)(list(ours), list(theirs), 0)  # type: ignore[no-untyped-call]
        for copy_, original in self._copied:
            copy_.copy_(original)


def _tensors(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]
