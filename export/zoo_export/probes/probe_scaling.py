"""Biases that let damage through: no channel dead behind a ReLU, no gate wide open, no clipping out of reach."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode

GATES = {torch.sigmoid, torch.Tensor.sigmoid, nn.functional.sigmoid, nn.functional.hardsigmoid}
NEARLY_CLOSED = -1.25  # to twice that, before the sigmoid; a hard one is closed at -3
CLIPS = {nn.functional.hardtanh, nn.functional.relu6}
SILENT = 1e-6  # a signal below so much of the bias beside it is lost in rounding
DROWNED = 0.1  # of a layer's output: a signal below it is drowned by the bias
CONSTANT = 1e-3  # of a layer's output: a spread below it is none, as of a normalisation of a single channel
CLIPPED = 32  # channels, of which one is moved to where it is clipped: more of them would drown the others' errors


class ScaleProbes(TorchFunctionMode):
    """Moves the bias of each of `layers` and `norms` at its first call, so that what follows lets damage through.

    In general each channel's mean gets barely positive: a ReLU behind it is neither dead nor the identity. Where an
    image gives one value a channel, as in a squeeze-and-excitation block or a head, noise images are too much alike
    for their spread to be a measure; the size of the values is. So it is where they are the same at every place. A
    layer whose output goes into a sigmoid is a gate, and a gate that is nearly closed is what it is most sensitive at:
    there its factor follows the bias in proportion.
    Where a norm's output is clipped from above, as by ReLU6, a few channels are moved to the clip, half beyond it.

    Use it as a context around the call, and remove its `hooks` afterwards.
    """

    def __init__(
        self, layers: Sequence[nn.Conv2d | nn.Linear], norms: Sequence[_BatchNorm], generator: torch.Generator
    ) -> None:
        super().__init__()
        self.generator, self.waiting = generator, {*layers, *norms}
        self.latest: tuple[nn.Module, Tensor] | None = None
        self.hooks = [layer.register_forward_hook(self._called) for layer in layers]
        self.hooks += [norm.register_forward_hook(self._norm_called) for norm in norms]

    def _called(self, layer: nn.Conv2d | nn.Linear, inputs: object, output: Tensor) -> Tensor:
        if layer not in self.waiting:
            return output
        self.waiting.remove(layer)
        values = _by_channel(layer, output)
        fraction = torch.rand(values.shape[1], generator=self.generator)
        moved = _move(layer, output, fraction * _size(layer, values, len(output)) - values.mean(0))
        self.latest = layer, moved
        return moved

    def _norm_called(self, norm: _BatchNorm, inputs: object, output: Tensor) -> None:
        if norm in self.waiting:
            self.waiting.remove(norm)
            self.latest = norm, output

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if self.latest is not None and args and args[0] is self.latest[1]:
            layer, output = self.latest
            if func in GATES and not isinstance(layer, _BatchNorm):
                args = (self._nearly_closed(layer, output), *args[1:])
            elif func in CLIPS and isinstance(layer, _BatchNorm):
                top = kwargs.get("max_val", args[2] if len(args) > 2 else 6.0 if func is nn.functional.relu6 else 1.0)
                args = (self._clipped(layer, output, float(top)), *args[1:])
        return func(*args, **kwargs)

    def _nearly_closed(self, layer: nn.Module, output: Tensor) -> Tensor:
        values = _by_channel(layer, output)
        means = NEARLY_CLOSED * (1 + torch.rand(values.shape[1], generator=self.generator))
        return _move(layer, output, means - values.mean(0))

    def _clipped(self, norm: _BatchNorm, output: Tensor, top: float) -> Tensor:
        shift = top - _by_channel(norm, output).mean(0)
        chosen = torch.randperm(len(shift), generator=self.generator)[: max(1, len(shift) // CLIPPED)]
        moved = torch.zeros_like(shift)
        moved[chosen] = shift[chosen]
        return _move(norm, output, moved)


def _axis(layer: nn.Module) -> int:
    """Where a layer's output has its channels."""
    return -1 if isinstance(layer, nn.Linear) else -3 if isinstance(layer, nn.Conv2d) else 1


def _by_channel(layer: nn.Module, output: Tensor) -> Tensor:
    """`[positions of all images, channels]`."""
    return output.movedim(_axis(layer), -1).flatten(0, -2)


def _size(layer: Any, values: Tensor, images: int) -> Tensor:
    """Around what mean, for each channel of `values` or for all, a layer's output lets damage through.

    The bias is left out where it is drawn so much larger than the signal that reaches the layer that it would drown it.
    It remains where nothing else does: a layer that only ever gets zeros gives its bias.
    """
    unbiased: Tensor = values - layer.bias
    signal, whole = unbiased.square().mean().sqrt(), values.square().mean().sqrt()
    if not signal > SILENT * values.abs().max():
        return whole
    spread = values.std(0, unbiased=False)
    if len(values) > images and bool((spread > CONSTANT * signal).any()):
        return spread / 2
    return signal if signal < DROWNED * whole else whole


def _move(layer: Any, output: Tensor, shift: Tensor) -> Tensor:
    """Add `shift` to the bias, a value for each channel, and give the output that comes of it."""
    layer.bias += shift
    axis = _axis(layer)
    return (output.movedim(axis, -1) + shift).movedim(-1, axis)
