"""Parameters of which no value changes the logits, such as a bias that a softmax takes out again.

An error in one of them is none. A branch that no image of the check enters looks alike, and an error in it may matter.
So only parameters of layers that always compute with them count, and only if the output of the layer affects the
logits, while the parameter does not, whatever its value.
"""

import copy
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from zoo.contract.evidence import Probe, Truth
from zoo.contract.evidence.coverage import CHANGE
from zoo.evaluation.attributes import keep_attributes
from zoo_export.truth.float64 import logits_in_float64

LAYERS = (nn.Linear, _ConvNd, nn.LayerNorm, nn.GroupNorm, _BatchNorm)
CHANGES = (0.1, 1.0)  # of the values, beside their own size: errors that are far larger than 1 %
SAME = 1e-9  # of the largest logit: the difference of two float64 evaluations that differ by rounding
MOST = 64  # parameters that are changed one by one


def without_effect(checks: Sequence[tuple[nn.Module, Sequence[Probe]]], names: Iterable[str]) -> frozenset[str]:
    """Which of the parameters `names` change no logit of any probe in float64, although their layers do.

    Args:
        checks: the model with several sets of weights, float32, in evaluation mode, on the CPU, each with its probes
            and their truth. It is in the last set that the layers have to affect the logits; the model's own weights
            may hide them.
    """
    module, probes = checks[-1]
    owners = {name: module.get_submodule(name.rpartition(".")[0]) for name in names}
    layers = {name: owner for name, owner in owners.items() if isinstance(owner, LAYERS)}
    affecting = _affecting(module, probes[0], set(layers.values()))
    candidates = {name for name, owner in layers.items() if owner in affecting}
    for each, its_probes in checks:
        changed = copy.deepcopy(each)

        def same(some: Iterable[str], changed: nn.Module = changed, probes: Sequence[Probe] = its_probes) -> bool:
            return all(_is_same(changed, probes, some, size) for size in CHANGES)

        if candidates and not same(candidates):
            candidates = {name for name in sorted(candidates)[:MOST] if same([name])}
    return frozenset(candidates)


def _affecting(module: nn.Module, probe: Probe, layers: set[nn.Module]) -> set[nn.Module]:
    """The layers in whose output errors of 1 % of each value, of random signs, exceed the tolerance."""
    outputs: dict[nn.Module, list[Tensor]] = {layer: [] for layer in layers}

    def keep(layer: nn.Module, inputs: object, output: Tensor) -> Tensor:
        output = output if output.requires_grad else output.detach().requires_grad_()
        outputs[layer].append(output)
        return output

    hooks = [layer.register_forward_hook(keep) for layer in layers]
    try:
        with keep_attributes(module), torch.enable_grad():
            logits = module(torch.from_numpy(probe.images[:1]))
            signs = torch.randint(0, 2, logits.shape, generator=torch.Generator().manual_seed(0)) * 2.0 - 1
            kept = [output for each in outputs.values() for output in each]
            gradients = iter(torch.autograd.grad((logits * signs).sum(), kept, allow_unused=True) if kept else ())
    finally:
        for hook in hooks:
            hook.remove()
    allowed = probe.tolerance**2 * probe.truth.shape[1]
    affecting = set[nn.Module]()
    for layer, each in outputs.items():
        for output, gradient in zip(each, gradients, strict=False):
            if gradient is not None and (CHANGE * float((gradient * output.detach()).norm())) ** 2 > allowed:
                affecting.add(layer)
    return affecting


def _is_same(module: nn.Module, probes: Sequence[Probe], names: Iterable[str], size: float) -> bool:
    """Whether the logits stay the same where the parameters `names` of `module` are others for a moment."""
    parameters = dict(module.named_parameters())
    generator = torch.Generator().manual_seed(0)
    before = {name: parameters[name].detach().clone() for name in names}
    try:
        with torch.no_grad():
            for name, value in before.items():
                spread = size * (value.abs().mean() + 1)
                parameters[name].copy_(value + spread * torch.randn(value.shape, generator=generator))
            with keep_attributes(module):
                truths, _ = logits_in_float64(module, [torch.from_numpy(probe.images) for probe in probes])
    finally:
        with torch.no_grad():
            for name, value in before.items():
                parameters[name].copy_(value)
    return all(_close(truth, probe.truth) for truth, probe in zip(truths, probes, strict=True))


def _close(one: Truth, other: Truth) -> bool:
    return bool(np.abs(one - other).max(initial=0.0) <= SAME * np.abs(other).max(initial=0.0))
