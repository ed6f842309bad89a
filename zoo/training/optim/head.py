"""Which tensors of a model are its classifier's head: those whose shape depends on the number of classes."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from zoo.contract.errors import PluginError
from zoo.contract.specs import Architecture
from zoo.models.build import build_model
from zoo.registry.registry import Entry


def head_names(
    entry: Entry[Architecture], module: nn.Module, *, num_classes: int, in_channels: int, params: Mapping[str, Any]
) -> frozenset[str]:
    """The names, in `module.state_dict()`, of the tensors whose shape depends on the number of classes.

    Args:
        module: the model built with these arguments. It is compared with one that has one class more.

    Raises:
        PluginError: no parameter depends on the number of classes, or the second model cannot be built.
    """
    other = build_model(entry, num_classes=num_classes + 1, in_channels=in_channels, params=params)
    shapes, others = ({name: value.shape for name, value in built.state_dict().items()} for built in (module, other))
    head = frozenset(name for name, shape in shapes.items() if others.get(name) != shape)
    if not head & {name for name, _ in module.named_parameters()}:
        raise PluginError(
            f"No parameter of {entry.spec.name} depends on the number of classes, so its head cannot be identified.",
            f"Correct what {entry.spec.build} does with num_classes, or train without `--initial-checkpoint`, "
            "`--layer-decay` and `--opt muon`.",
        )
    return head
