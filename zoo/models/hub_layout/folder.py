"""A folder of timm's layout as weights: as it is where it has a card of zoo, else converted into the user's cache."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch

from zoo.contract.errors import UnknownName, WeightsError
from zoo.contract.pretrained import PretrainedWeights
from zoo.contract.specs import Architecture
from zoo.files.card import Card, read_card
from zoo.files.claim import claimed
from zoo.files.folders import SUFFIX
from zoo.files.header import read_header, refused
from zoo.files.regular import is_regular
from zoo.models.build import build_model
from zoo.models.hub_layout.config import PREFIX, HubConfig
from zoo.models.hub_layout.folder_files import converted_path, has_card, read_folder_config, sha256_of
from zoo.models.stored.foreign import store_foreign
from zoo.registry.hub.folders import CONFIG, WEIGHTS
from zoo.registry.registry import Entry, Registry


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
    path = converted_path(folder)
    with claimed(path, wait=True):
        if not is_regular(path):
            convert(registry, folder, path, source=path.name.removesuffix(SUFFIX), force=True)
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
    config, _ = read_folder_config(folder)
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
        file_sha256=sha256_of(folder / WEIGHTS),
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
