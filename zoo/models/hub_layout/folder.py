"""A folder of timm's layout as weights: as it is where it has a card of zoo, else converted into the user's cache."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch

from zoo.contract.errors import UnknownName, WeightsError
from zoo.contract.pretrained import PretrainedWeights
from zoo.contract.specs import Architecture
from zoo.files.card import KEY, Card, read_card
from zoo.files.claim import claimed
from zoo.files.folders import SUFFIX, pretrained_folder
from zoo.files.header import read_header, refused
from zoo.files.regular import is_folder, is_regular, open_regular, read_regular
from zoo.models.build import build_model
from zoo.models.foreign import store_foreign
from zoo.models.hub_layout import CONFIG, WEIGHTS
from zoo.models.hub_layout.config import PREFIX, HubConfig, read_config
from zoo.registry.registry import Entry, Registry

MAX_CONFIG = 1 << 24  # bytes


def is_hub_folder(path: Path) -> bool:
    """Whether `path` is a folder of timm's layout."""
    return is_folder(path) and is_regular(path / CONFIG) and is_regular(path / WEIGHTS)


def has_card(folder: Path) -> bool:
    """Whether the weights in a folder carry a card of zoo.

    Raises:
        WeightsError: the file is damaged.
    """
    return KEY in read_header(folder / WEIGHTS).metadata


def open_hub_folder(registry: Registry, folder: Path) -> Path:
    """The weights file of a folder: its own if it has a card, else one in the user's cache, which is made once.

    Raises:
        WeightsError: a file is damaged, or the weights are not of the architecture that `config.json` names.
        UnknownName: no plugin provides that architecture.
        OutputError: the cache cannot be written.
    """
    if has_card(folder):
        read_card(folder / WEIGHTS)
        return folder / WEIGHTS
    config, content = _read_config(folder)
    key = hashlib.sha256(content + _sha256(folder / WEIGHTS).encode()).hexdigest()[:16]
    name = folder.resolve().name.replace(SUFFIX, "")
    path = pretrained_folder() / f"{config.architecture.rpartition('/')[2]}.{key}" / f"{name}{SUFFIX}"
    with claimed(path, wait=True):
        if not is_regular(path):
            convert(registry, folder, path, source=name, force=True)
    return path


def convert(
    registry: Registry, folder: Path, path: Path, *, source: str, command: str = "", force: bool = False
) -> Card:
    """Write the weights of a folder, which have no card, to `path`, with a card that says where they came from.

    Raises:
        WeightsError: a file is damaged, or the weights are not of the architecture that `config.json` names.
        UnknownName: no plugin provides that architecture.
        OutputError: `path` exists and `force` is not set, or it cannot be written.
    """
    config, _ = _read_config(folder)
    try:
        entry = registry.find(Architecture, PREFIX + config.architecture)
    except UnknownName:
        raise UnknownName(
            f"{folder / CONFIG} names the architecture {config.architecture!r}, and no plugin provides "
            f"{PREFIX}{config.architecture}.",
            "Run `pip install zoo-kit[timm]`, which provides timm's architectures.",
        ) from None
    read_header(folder / WEIGHTS)
    try:
        tensors = safetensors.torch.load_file(folder / WEIGHTS)
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise refused(folder / WEIGHTS, f"safetensors cannot read it ({error})") from None
    weights = PretrainedWeights(
        tensors=tensors,
        classes=config.labels,
        preprocess=config.preprocess,
        source=source,
        file_sha256=_sha256(folder / WEIGHTS),
        params=_declared(entry, config),
        licence=config.licence,
    )
    return store_foreign(weights, entry, path, command=command, force=force)


def _declared(entry: Entry[Architecture], config: HubConfig) -> Mapping[str, Any]:
    """The arguments of a file that the architecture declares. Others must be those that it has anyway.

    timm records arguments such as `global_pool` in every file that it writes.

    Raises:
        WeightsError: an argument is another one, which would change what the model computes.
    """
    declared = {name: value for name, value in config.params.items() if name in entry.spec.params}
    others = {name: value for name, value in config.params.items() if name not in declared}
    if others:
        module = build_model(
            entry, num_classes=len(config.labels), in_channels=config.preprocess.channels, params=declared
        )
    for name, value in others.items():
        own = getattr(module, name, None)
        if value != getattr(own, "pool_type", own):
            raise WeightsError(
                f"{CONFIG} sets {name} to {value!r:.100}, which {entry.spec.name} does not take.",
                "Use weights of the architecture as it is by default.",
            )
    return declared


def _read_config(folder: Path) -> tuple[HubConfig, bytes]:
    try:
        content = read_regular(folder / CONFIG, MAX_CONFIG)
        return read_config(content), content
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise WeightsError(
            f"{folder / CONFIG} cannot be used: {reason}.", "Use a folder that timm or `zoo push` wrote."
        ) from None


def _sha256(path: Path) -> str:
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
