"""Where an export comes from: which weights, which plugins, which machine. No path, user or host name is in it."""

import hashlib
import platform
from pathlib import Path
from typing import Any

import torch

from zoo.contract.errors import UnknownName
from zoo.files.card import Card
from zoo.files.folders import SUFFIX
from zoo.files.regular import open_regular
from zoo.files.weights import module_digest
from zoo.models.load import Model
from zoo.models.stored.identity import architecture_of as find_architecture
from zoo.registry.registry import Entry, Registry


def sha256(path: Path) -> str:
    """The sha256 of a file, in hex."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def weights_of(model: Model) -> dict[str, Any]:
    """The digest of the tensors that are exported, and the sha256 and name of the file that they came from, if one.

    Fresh weights have the name of their architecture: whoever opens that has the same weights.
    """
    own = model.card.architecture if model.fresh else None
    return {
        "digest": model.card.digest or module_digest(model.module) or None,
        "file_sha256": None if model.path is None else sha256(model.path),
        "name": own if model.path is None else model.path.name.removesuffix(SUFFIX),
    }


def plugin_of(entry: Entry[Any]) -> dict[str, str]:
    """Which plugin provides a spec."""
    return {"distribution": entry.plugin.distribution, "version": entry.plugin.version, "name": entry.spec.name}


def architecture_of(registry: Registry, card: Card) -> dict[str, str]:
    """Which plugin the architecture comes from, as installed; as the card says for a module that no plugin built."""
    try:
        return plugin_of(find_architecture(registry, card))
    except UnknownName:
        return {"distribution": card.plugin, "version": card.plugin_version, "name": card.architecture}


def environment() -> dict[str, Any]:
    """What decides rounding, besides versions."""
    return {
        "system": platform.system(),
        "machine": platform.machine(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }
