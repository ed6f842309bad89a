"""Build torchvision's classifiers with fresh weights. Nothing is downloaded."""

from math import sqrt
from typing import Any

import torch
from torch import nn
from torchvision.models import get_model

from zoo_torchvision.plugin import RATES

# Auxiliary heads would make the output a tuple in training mode. `init_weights=True` is torchvision's default, the
# truncated normal initialisation; passing it silences a warning.
SETTINGS: dict[str, dict[str, Any]] = {
    "googlenet": {"aux_logits": False, "init_weights": True},
    "inception_v3": {"aux_logits": False, "init_weights": True},
}


def build(*, name: str, num_classes: int, in_channels: int, **params: Any) -> nn.Module:
    """The torchvision classifier `name`, initialised as torchvision does: float32 `[N, in_channels, H, W]` to
    logits `[N, num_classes]`, also in training mode.

    Args:
        name: as in `torchvision.models.list_models(module=torchvision.models)`.
        num_classes: K, at least 1.
        in_channels: C, at least 1. If it is not 3, the first convolution is replaced; see `_replace_first_conv`.
        params: passed to torchvision's builder, for example `dropout=0.2`. Its `image_size` is called `img_size` here.

    Raises:
        ValueError: a count below 1, a rate outside 0 to 1, or no such model.
    """
    for count, value in (("num_classes", num_classes), ("in_channels", in_channels)):
        if value < 1:
            raise ValueError(f"{count} must be at least 1, not {value}")
    for rate in RATES.keys() & params.keys():
        if not 0 <= params[rate] <= 1:  # torchvision accepts some of these, and fails in the first training step
            raise ValueError(f"{rate} must be from 0 to 1, not {params[rate]}")
    if "img_size" in params:
        params["image_size"] = params.pop("img_size")
    arguments = {**SETTINGS.get(name, {}), **params}
    network: nn.Module = get_model(name, weights=None, num_classes=num_classes, **arguments)
    if in_channels != 3:
        _replace_first_conv(network, in_channels)
    return network


def _replace_first_conv(network: nn.Module, channels: int) -> None:
    """Replace the first convolution with 3 input channels by one with `channels`.

    Its weights are sampled from those that torchvision initialised, times sqrt(3 / channels). This keeps the
    distribution, and the variance of the output for independent channels. The bias is kept.
    """
    path, old = next(
        (path, module)
        for path, module in network.named_modules()
        if isinstance(module, nn.Conv2d) and module.in_channels == 3
    )
    new = nn.Conv2d(
        channels,
        old.out_channels,
        (old.kernel_size[0], old.kernel_size[1]),
        stride=(old.stride[0], old.stride[1]),
        padding=old.padding if isinstance(old.padding, str) else (old.padding[0], old.padding[1]),
        dilation=(old.dilation[0], old.dilation[1]),
        groups=old.groups,
        bias=old.bias is not None,
        padding_mode=old.padding_mode,
        device=old.weight.device,
        dtype=old.weight.dtype,
    )
    with torch.no_grad():
        drawn = torch.randint(old.weight.numel(), new.weight.shape, device=old.weight.device)
        new.weight.copy_(old.weight.flatten()[drawn] * sqrt(3 / channels))
    new.bias = old.bias
    parent, _, attribute = path.rpartition(".")
    setattr(network.get_submodule(parent), attribute, new)
