"""Probe weights: a second set of weights for the same graph, with which signal reaches every layer.

Untrained weights can hide damage: a head of zeros, a residual branch scaled by 1e-6, BatchNorm statistics that no
image has met. The same export is then checked again with weights drawn so that every parameter matters.
"""

import math
from collections.abc import Set
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from zoo.contract.evidence import Probe
from zoo_export.probes.probe_scaling import ScaleProbes

SEED = 20_210_301
TINY = 0.3  # of the scale at which signal is kept; below it a parameter is drawn again
TINY_VECTOR = 0.05  # likewise, for scales and biases
QUIET = 0.25  # the largest value of a drawn bias; more would drown what differs between the places of an image
LOUD = 1.0  # likewise, of what is no bias: in convnext's scale of a branch, less would hide the branch
BIAS_TABLE = 2.0  # the spread of a table of biases that attention adds to its logits: of a few patches, not of all
LOUDER = 4.0  # times
WIDENED = 2.0  # times the variance of a channel and the mean one of its layer
SPREAD = 2.0  # standard deviations that a drawn BatchNorm bias may have; with more, channels fall silent


@torch.no_grad()
def draw_probe_weights(module: nn.Module, probes: list[Probe], louder: Set[str] = frozenset()) -> bool:
    """Change `module` (evaluation mode, float32, CPU) in place, the same way every time.

    Matrices and kernels that are zero or tiny get the scale that keeps a signal's size; vectors of one value get
    values spread around it, and zeros become small numbers, so that what differs between images is not drowned; a
    table of biases that attention adds to its logits is drawn so that it favours a few places. BatchNorm's statistics
    are then estimated afresh on the probes, and the biases drawn for convolutions and linear layers are moved so that
    every channel is above zero somewhere: behind a ReLU, a channel that never is would hide all damage to it. At last
    every value is moved to where rounding it to float16 shows most.

    Args:
        louder: names of the parameters that are made larger, as no earlier check covers them.

    Returns:
        Whether the weights and the logits are finite: else the weights are of no use.
    """
    generator = torch.Generator().manual_seed(SEED)
    changed = set[nn.Parameter]()
    settled = {norm.bias for norm in _norms(module)}
    for name, parameter in sorted(module.named_parameters()):
        is_bias = "bias" in name.rpartition(".")[2]
        if is_bias and parameter.ndim == 2:
            drawn: Tensor | None = BIAS_TABLE * torch.randn(parameter.shape, generator=generator)
        else:
            drawn = _drawn(parameter, generator, QUIET if is_bias and parameter not in settled else LOUD)
        if drawn is not None:
            parameter.copy_(drawn)
            changed.add(parameter)
        if name in louder:
            parameter.mul_(LOUDER)
    layers = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias in changed]
    noise = np.concatenate([probe.images for probe in probes if probe.name.startswith("noise")])
    settle = partial(_settle, changed)
    hooks = [norm.register_forward_pre_hook(settle) for norm in _norms(module)]
    scaling = ScaleProbes(layers, [norm for norm in _norms(module) if norm.bias in changed], generator)
    try:
        with scaling:
            logits = module(torch.from_numpy(noise))  # all in one batch, so that every layer's signal fits them
    finally:
        for hook in [*hooks, *scaling.hooks]:
            hook.remove()
    statistics = (
        buffer for norm in _norms(module) for buffer in (norm.running_mean, norm.running_var) if buffer is not None
    )
    for tensor in (*module.parameters(), *statistics):
        if tensor.dtype == torch.float32 and tensor.ndim:
            _put_between_halves(tensor, generator)
    return bool(logits.isfinite().all()) and all(bool(each.isfinite().all()) for each in module.parameters())


def _drawn(parameter: Tensor, generator: torch.Generator, largest: float) -> Tensor | None:
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
    return largest * noise


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
def _settle(changed: set[nn.Parameter], norm: _BatchNorm, inputs: tuple[Tensor, ...]) -> None:
    """A forward pre-hook that gives a BatchNorm the mean of what it is called with, and more than its variance.

    A bias that was drawn, -1 to 1, becomes up to two standard deviations of what the norm gives: a ReLU behind it is
    then neither closed for a channel nor always open, where no damage to what it reads or to itself would show.

    With the variance itself, rounding errors grow from layer to layer until those of the first layers drown what
    the last ones do (in mobilenet_v2 to 4e-4 of the logits), most of all where a ReLU has all but silenced a channel.
    """
    assert norm.running_mean is not None and norm.running_var is not None
    axes = [axis for axis in range(inputs[0].ndim) if axis != 1]
    variance = inputs[0].var(axes, unbiased=False)
    norm.running_mean.copy_(inputs[0].mean(axes))
    norm.running_var.copy_(WIDENED * (variance + variance.mean()))
    if norm.bias in changed:
        norm.bias.mul_(SPREAD * norm.weight.abs() * (variance / (norm.running_var + norm.eps)).sqrt())
