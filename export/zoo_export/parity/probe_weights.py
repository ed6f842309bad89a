"""Probe weights: a second set of weights for the same graph, with which signal reaches every layer.

Untrained weights can hide damage: a head of zeros, a residual branch scaled by 1e-6, BatchNorm statistics that no
image has met. The same export is then checked once more with weights drawn so that every parameter matters.
"""

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from zoo_export.parity.probes import Probe

SEED = 20_210_301
TINY = 0.3  # of the scale at which signal is kept; below it a parameter is drawn afresh
TINY_VECTOR = 0.05  # likewise, for scales and biases


@torch.no_grad()
def draw_probe_weights(module: nn.Module, probes: list[Probe]) -> None:
    """Change `module` (evaluation mode, float32, CPU) in place, the same way every time.

    Matrices and kernels that are zero or tiny get the scale that keeps a signal's size; vectors of one value get
    values spread around it, and zeros become small numbers. BatchNorm's statistics are then estimated afresh on
    the probes, and the biases drawn for convolutions and linear layers are moved so that every channel is above
    zero somewhere: behind a ReLU, a channel that never is would hide all damage to it.
    """
    generator = torch.Generator().manual_seed(SEED)
    changed = set[nn.Parameter]()
    for _, parameter in sorted(module.named_parameters()):
        drawn = _drawn(parameter, generator)
        if drawn is not None:
            parameter.copy_(drawn)
            changed.add(parameter)
    layers = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias in changed]
    hooks = [layer.register_forward_hook(_Awaken(generator)) for layer in layers]
    try:
        _estimate_statistics(module, probes)
    finally:
        for hook in hooks:
            hook.remove()


def _drawn(parameter: Tensor, generator: torch.Generator) -> Tensor | None:
    size = float(parameter.abs().mean())
    kernel = parameter.ndim >= 2 and min(parameter.shape[:2]) > 1
    if kernel:
        keeps = 1 / math.sqrt(parameter[0].numel())
        if size > TINY * keeps:
            return None
        return torch.randn(parameter.shape, generator=generator) * keeps
    spread = float(parameter.std()) if parameter.numel() > 1 else 0.0
    if spread > 0.1 * size and size > TINY_VECTOR:
        return None
    noise = 2 * torch.rand(parameter.shape, generator=generator) - 1
    if size > TINY_VECTOR:  # a scale, such as BatchNorm's weight of ones
        return parameter * (1 + noise / 2)
    return noise


class _Awaken:
    """A forward hook that, at a layer's first call, moves its bias so that each channel's mean is barely positive."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator, self.done = generator, False

    def __call__(self, layer: nn.Conv2d | nn.Linear, given: object, output: Tensor) -> Tensor:
        if self.done or layer.bias is None:
            return output
        self.done = True
        last = isinstance(layer, nn.Linear)
        values = (output if last else output.movedim(-3, -1)).flatten(0, -2)
        share = torch.rand(values.shape[1], generator=self.generator) / 2
        shift = share * values.std(0, unbiased=False) - values.mean(0)
        layer.bias += shift
        return output + (shift if last else shift[:, None, None])


def _estimate_statistics(module: nn.Module, probes: list[Probe]) -> None:
    """Give BatchNorm the statistics of the noise probes, all in one batch, so that every layer's signal fits them."""
    norms = [layer for layer in module.modules() if isinstance(layer, _BatchNorm) and layer.running_mean is not None]
    noise = np.concatenate([probe.images for probe in probes if probe.name.startswith("noise")])
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 1.0  # the statistics of this batch alone
        layer.train()
    try:
        module(torch.from_numpy(noise))
    finally:
        for layer, momentum in zip(norms, momenta, strict=True):
            layer.momentum = momentum
            layer.eval()
