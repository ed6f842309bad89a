"""Build an architecture as an `nn.Module`."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from zoo.contract.errors import PluginError, UsageError, refuse_out_of_memory
from zoo.contract.params import check_params
from zoo.contract.specs import Architecture
from zoo.contract.wording.author_code import SHOW_TRACEBACK, describe_error
from zoo.registry.refs import resolve
from zoo.registry.registry import Entry


def build_model(
    entry: Entry[Architecture],
    *,
    num_classes: int,
    in_channels: int,
    params: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> nn.Module:
    """Build a model with randomly initialised float32 weights.

    Args:
        num_classes: K of the logits `[N, K]`.
        in_channels: C of the images `[N, C, H, W]`.
        params: keyword arguments that the spec declares.
        seed: for `torch.manual_seed` during the build. The state of the global generator is restored.

    Raises:
        UsageError: the architecture does not accept this number of channels.
        PluginError: the plugin's code raised an exception, or did not return an `nn.Module`.
    """
    spec = entry.spec
    if spec.channels and in_channels not in spec.channels:
        raise UsageError(
            f"The architecture {spec.name} accepts {' or '.join(map(str, spec.channels))} channels, not {in_channels}.",
            f"Use --channels {spec.channels[-1]}.",
        )
    arguments = {**spec.build_args, **check_params(spec, params or {})}
    build = resolve(entry, spec.build)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = build(num_classes=num_classes, in_channels=in_channels, **arguments)
    except (Exception, SystemExit) as error:
        refuse_out_of_memory(error)
        raise PluginError(
            f"The architecture {spec.name} of {entry.plugin.distribution} could not be built: {describe_error(error)}",
            f"Correct its code, or report it to the author of the plugin; {SHOW_TRACEBACK}",
        ) from error
    if not isinstance(module, nn.Module):
        raise PluginError(
            f"The architecture {spec.name} of {entry.plugin.distribution} built a {type(module).__name__}, "
            "not an nn.Module.",
            f"Correct the return value of {spec.build}.",
        )
    return module
