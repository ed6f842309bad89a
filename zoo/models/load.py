"""From what a user types as MODEL to a module, a card, and where both came from."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from zoo.contract.errors import UnknownName, UsageError, WeightsError
from zoo.contract.params import check_params
from zoo.contract.specs import Architecture
from zoo.data.fitting import InputOverrides, fit_alone
from zoo.files.card import Card
from zoo.files.folders import SUFFIX, find_weights, is_weights
from zoo.files.weights import load_into, load_weights
from zoo.models.build import build_model
from zoo.models.identity import architecture_of
from zoo.registry.registry import Registry


@dataclass
class Model:
    """A model on the CPU, in evaluation mode.

    Args:
        name: `ARCH.TAG` of a weights file, or the architecture's name where the weights are fresh.
        path: of the weights file; `None` where the weights are fresh.
    """

    name: str
    module: nn.Module
    card: Card
    path: Path | None


@dataclass(frozen=True, kw_only=True)
class BuildArgs:
    """How a bare architecture is built; `None` takes what its spec says."""

    num_classes: int | None = None
    channels: int | None = None
    image_size: int | None = None
    params: Mapping[str, Any] | None = None


def open_model(registry: Registry, name: str, fresh: BuildArgs | None = None) -> Model:
    """Open `ARCH.TAG`, a path to a weights file, or a bare architecture (with fresh weights of seed 0).

    Raises:
        ZooError: nothing has that name, or it is unsound.
        UsageError: `fresh` says something, and the weights file has decided it already.
    """
    if is_weights(name):
        if fresh is not None and fresh != BuildArgs():
            raise UsageError(
                f"{name} is a weights file, which decides classes, channels, size and parameters.",
                "Leave those options out.",
            )
        return _from_file(registry, find_weights(name))
    return _fresh(registry, name, fresh or BuildArgs())


def _from_file(registry: Registry, path: Path) -> Model:
    weights = load_weights(path)
    card = weights.card
    made = f"It was made with {card.plugin} {card.plugin_version}; use that, where you trust it, or train again."
    try:
        entry = architecture_of(registry, card)
        module = build_model(
            entry, num_classes=len(card.classes), in_channels=card.preprocess.channels, params=card.params
        ).eval()
    except (UsageError, UnknownName) as error:  # what the card says, and not what the user says
        raise WeightsError(f"{path} does not go with what is installed here: {error.cause}", made) from None
    load_into(module, weights, path)
    return Model(path.name.removesuffix(SUFFIX), module, card, path)


def _fresh(registry: Registry, name: str, fresh: BuildArgs) -> Model:
    entry = registry.find(Architecture, name)
    num_classes = entry.spec.num_classes if fresh.num_classes is None else fresh.num_classes
    if num_classes < 1:
        raise UsageError(f"A model cannot have {num_classes} classes.", "Say --num-classes 1 or more.")
    preprocess = fit_alone(entry.spec, InputOverrides(image_size=fresh.image_size, channels=fresh.channels))
    params = check_params(entry.spec, fresh.params or {})
    module = build_model(entry, num_classes=num_classes, in_channels=preprocess.channels, params=params).eval()
    card = Card(
        architecture=entry.spec.name,
        plugin=entry.plugin.distribution,
        entry_point=entry.plugin.name,
        plugin_version=entry.plugin.version,
        params=params,
        classes=tuple(str(index) for index in range(num_classes)),
        preprocess=preprocess,
    )
    return Model(entry.spec.name, module, card, None)
