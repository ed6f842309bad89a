"""What a MODEL can be, on the command line and in the Python API. This file alone tells the kinds apart."""

import re
from enum import Enum
from pathlib import Path

from zoo.contract.names import is_owner, owner_name
from zoo.contract.specs import Architecture, Collection
from zoo.files.folders import is_weights
from zoo.registry.exports import is_export
from zoo.registry.hub.folders import LOCAL, is_hub_folder
from zoo.registry.hub.repositories import SCHEME
from zoo.registry.registry import Registry

FACTORY = re.compile(r"(?P<where>[^:\0]+\.py|[^\W\d]\w*(\.[^\W\d]\w*)*):(?P<attribute>[^\W\d]\w*(\.[^\W\d]\w*)*)")


class ModelKind(Enum):
    """What a text names. The text is not known to lead anywhere, except to an export or a hub folder."""

    EXPORT = "an export folder or an exported file"
    HUB_REPOSITORY = "hf-hub:OWNER/NAME, a repository of the Hugging Face Hub"
    HUB_FOLDER = "a folder with config.json and model.safetensors, or local-dir:FOLDER"
    FACTORY = "package.module:factory or file.py:factory"
    WEIGHTS = "an ARCH.TAG or the path of a weights file"
    ARCHITECTURE = "an architecture, whose weights are fresh"

    @property
    def stored(self) -> bool:
        """Whether there are weights, which fix classes, channels, image size and parameters."""
        return self in (ModelKind.HUB_REPOSITORY, ModelKind.HUB_FOLDER, ModelKind.WEIGHTS)


def model_kind(registry: Registry, name: str) -> ModelKind:
    """What `name` is as a MODEL.

    Exports and folders that are there come before names, except that an architecture comes before a folder of its
    name: `./resnet18` or `local-dir:resnet18` is the folder.
    """
    if name.startswith(SCHEME):
        return ModelKind.HUB_REPOSITORY
    if name.startswith(LOCAL):
        return ModelKind.HUB_FOLDER
    if is_export(registry, Path(name)):
        return ModelKind.EXPORT
    if _is_factory(registry, name):
        return ModelKind.FACTORY
    if name and is_hub_folder(Path(name)) and ("/" in name or not registry.entries(Architecture, name)):
        return ModelKind.HUB_FOLDER
    return ModelKind.WEIGHTS if is_weights(name) else ModelKind.ARCHITECTURE


def _is_factory(registry: Registry, name: str) -> bool:
    """Whether `name` is written as a factory, and its first part is no plugin, as in `classic:lenet5`."""
    match = FACTORY.fullmatch(name)
    if match is None:
        return False
    if match["where"].endswith(".py"):
        return True
    owner = owner_name(name)
    return not any(
        owner == each.name or is_owner(owner, each.distribution, each.name)
        for each in registry.plugins
        if any(isinstance(spec, Architecture | Collection) for spec in each.specs)
    )
