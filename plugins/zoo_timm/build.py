"""Build timm's models with fresh weights. Nothing is downloaded."""

import warnings
from typing import Any

import timm
from torch import nn

from zoo_timm.index import read_index
from zoo_timm.specs import RATES


def build(*, name: str, num_classes: int, in_channels: int, **params: Any) -> nn.Module:
    """The timm model `name`, initialised as timm does: float32 `[N, in_channels, H, W]` to logits `[N, num_classes]`.

    Args:
        name: as in `timm.list_models()`.
        num_classes: K, at least 1.
        in_channels: C, at least 1.
        params: passed to `timm.create_model`, for example `drop_path_rate=0.1`.

    Raises:
        ValueError: a count below 1, a rate outside 0 to 1, or the installed timm has no such model.
    """
    for count, value in (("num_classes", num_classes), ("in_channels", in_channels)):
        if value < 1:
            raise ValueError(f"{count} must be at least 1, not {value}")
    for rate in RATES.keys() & params.keys():
        if not 0 <= params[rate] < 1:
            raise ValueError(f"{rate} must be at least 0 and below 1, not {params[rate]}")
    check_version(name)
    network: nn.Module = timm.create_model(
        name, pretrained=False, num_classes=num_classes, in_chans=in_channels, **params
    )
    return network


def check_version(name: str) -> None:
    """Warn if the index is of another version of timm than the installed one.

    Raises:
        ValueError: the installed timm has no model `name`.
    """
    indexed = read_index()["timm"]
    if indexed == timm.__version__:
        return
    remedy = "`python -m zoo_timm.catalogue` makes an index of the installed version"
    if not timm.is_model(name):
        raise ValueError(f"timm {timm.__version__} has no model {name}: it is in the index of {indexed}; {remedy}")
    warnings.warn(
        f"timm {timm.__version__} is installed, and the names, sizes and parameters that zoo lists are of {indexed}; "
        f"{remedy}.",
        stacklevel=2,
    )
