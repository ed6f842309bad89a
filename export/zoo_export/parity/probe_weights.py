"""Probe weights: a second set of weights for the same graph, with which signal reaches every layer.

Untrained weights can hide damage: a head of zeros, a residual branch scaled by 1e-6, BatchNorm statistics that no
image has met. The same export is then checked once more with weights drawn so that every parameter matters.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode

from zoo_export.parity.probes import Probe

SEED = 20_210_301
TINY = 0.3  # of the scale at which signal is kept; below it a parameter is drawn afresh
TINY_VECTOR = 0.05  # likewise, for scales and biases
GATES = {torch.sigmoid, torch.Tensor.sigmoid, nn.functional.sigmoid, nn.functional.hardsigmoid}
WIDENED = 2.0  # times the variance of a channel and the mean one of its layer
SPREAD = 2.0  # standard deviations that a drawn BatchNorm bias may have; with more, channels fall silent
NEARLY_CLOSED = -1.25  # to twice that, before the sigmoid; a hard one is closed at -3


@torch.no_grad()
def draw_probe_weights(module: nn.Module, probes: list[Probe]) -> None:
    """Change `module` (evaluation mode, float32, CPU) in place, the same way every time.

    Matrices and kernels that are zero or tiny get the scale that keeps a signal's size; vectors of one value get
    values spread around it, and zeros become small numbers. BatchNorm's statistics are then estimated afresh on
    the probes, and the biases drawn for convolutions and linear layers are moved so that every channel is above
    zero somewhere: behind a ReLU, a channel that never is would hide all damage to it. At last every value is moved
    to where rounding it to float16 shows most.
    """
    generator = torch.Generator().manual_seed(SEED)
    changed = set[nn.Parameter]()
    for _, parameter in sorted(module.named_parameters()):
        drawn = _drawn(parameter, generator)
        if drawn is not None:
            parameter.copy_(drawn)
            changed.add(parameter)
    layers = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias in changed]
    noise = np.concatenate([probe.images for probe in probes if probe.name.startswith("noise")])
    awaken = _Awaken(layers, generator)
    settle = partial(_settle, changed)
    hooks = [*awaken.hooks, *(norm.register_forward_pre_hook(settle) for norm in _norms(module))]
    try:
        with awaken:
            module(torch.from_numpy(noise))  # all in one batch, so that every layer's signal fits them
    finally:
        for hook in hooks:
            hook.remove()
    statistics = (
        buffer for norm in _norms(module) for buffer in (norm.running_mean, norm.running_var) if buffer is not None
    )
    for tensor in (*module.parameters(), *statistics):
        if tensor.dtype == torch.float32 and tensor.ndim:
            _put_between_halves(tensor, generator)


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
        return parameter * (0.7 + 0.35 * noise)  # below 1, as rounding errors grow with it
    return noise


class _Awaken(TorchFunctionMode):
    """Moves the bias of each of `layers` at its first call, so that what follows lets damage through.

    In general each channel's mean gets barely positive: a ReLU behind it is neither dead nor the identity. Where an
    image gives one value a channel, as in a squeeze-and-excitation block or a head, noise images are too much alike
    for their spread to be a measure; the size of the values is. A layer whose output goes into a sigmoid is a gate,
    and a gate that is nearly closed is what it is most sensitive at: there its factor follows the bias in proportion.
    """

    def __init__(self, layers: list[nn.Conv2d | nn.Linear], generator: torch.Generator) -> None:
        super().__init__()
        self.generator, self.waiting = generator, set(layers)
        self.latest: tuple[nn.Conv2d | nn.Linear, Tensor] | None = None
        self.hooks = [layer.register_forward_hook(self._called) for layer in layers]

    def _called(self, layer: nn.Conv2d | nn.Linear, given: object, output: Tensor) -> Tensor:
        if layer not in self.waiting or layer.bias is None:
            return output
        self.waiting.remove(layer)
        values = _by_channel(layer, output)
        share = torch.rand(values.shape[1], generator=self.generator)
        size = values.std(0, unbiased=False) / 2 if len(values) > len(output) else values.square().mean().sqrt()
        moved = _move(layer, output, share * size)
        self.latest = layer, moved
        return moved

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if self.latest is not None and args and args[0] is self.latest[1] and func in GATES:
            layer, output = self.latest
            means = NEARLY_CLOSED * (1 + torch.rand(_by_channel(layer, output).shape[1], generator=self.generator))
            args = (_move(layer, output, means), *args[1:])
        return func(*args, **(kwargs or {}))


def _by_channel(layer: nn.Module, output: Tensor) -> Tensor:
    """`[positions of all images, channels]`."""
    return (output if isinstance(layer, nn.Linear) else output.movedim(-3, -1)).flatten(0, -2)


def _move(layer: nn.Conv2d | nn.Linear, output: Tensor, means: Tensor) -> Tensor:
    """Change the bias so that the channels have these means, and give the output that comes of it."""
    shift = means - _by_channel(layer, output).mean(0)
    assert layer.bias is not None
    layer.bias += shift
    return output + (shift if isinstance(layer, nn.Linear) else shift[:, None, None])


def _put_between_halves(tensor: Tensor, generator: torch.Generator) -> None:
    """Move every value, by less than 2^-10 of it, to the middle between two float16 numbers.

    Rounding it to float16 (or TF32, which has as many digits) then makes the largest error that it can make, in one
    direction for a whole output channel, so that the errors add up instead of cancelling.
    """
    middles = torch.tensor([0x0FFF, 0x1001], dtype=torch.int32)  # just below and just above: rounded down, and up
    chosen = middles[torch.randint(2, tensor.shape[:1], generator=generator)].view(-1, *[1] * (tensor.ndim - 1))
    between = ((tensor.contiguous().view(torch.int32) & ~0x1FFF) | chosen).view(torch.float32)
    tensor.copy_(torch.where((tensor == 0) | ~tensor.isfinite(), tensor, between))


def _norms(module: nn.Module) -> list[_BatchNorm]:
    return [layer for layer in module.modules() if isinstance(layer, _BatchNorm) and layer.running_mean is not None]


@torch.no_grad()
def _settle(changed: set[nn.Parameter], norm: _BatchNorm, given: tuple[Tensor, ...]) -> None:
    """A forward pre-hook that gives a BatchNorm the mean of what it is called with, and more than its variance.

    A bias that was drawn, -1 to 1, becomes up to two standard deviations of what the norm gives: a ReLU behind it is
    then neither closed for a channel nor always open, where no damage to what it reads or to itself would show.

    With the variance itself, rounding errors grow from layer to layer until those of the first layers drown what
    the last ones do (in mobilenet_v2 to 4e-4 of the logits), most of all where a ReLU has all but silenced a channel.
    """
    assert norm.running_mean is not None and norm.running_var is not None
    axes = [axis for axis in range(given[0].ndim) if axis != 1]
    variance = given[0].var(axes, unbiased=False)
    norm.running_mean.copy_(given[0].mean(axes))
    norm.running_var.copy_(WIDENED * (variance + variance.mean()))
    if norm.bias in changed:
        norm.bias.mul_(SPREAD * norm.weight.abs() * (variance / (norm.running_var + norm.eps)).sqrt())
