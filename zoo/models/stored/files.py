"""From a name to a file that is here already, read without torch."""

from pathlib import Path

from zoo.contract.errors import UsageError, WeightsError
from zoo.files.regular import is_regular
from zoo.models.hub_layout.folder_files import converted_path, has_card
from zoo.registry.hub.folders import WEIGHTS, hub_folder
from zoo.registry.hub.repositories import SCHEME, parse_repository
from zoo.registry.model_kind import ModelKind, model_kind
from zoo.registry.pretrained import find_file, pretrained_path, provided_weights
from zoo.registry.registry import Registry


def stored_file(registry: Registry, name: str) -> Path:
    """The weights file that `name` means, among the files that are here: nothing is fetched or converted.

    Args:
        name: `ARCH.TAG`, a path, a folder in timm's layout, `local-dir:FOLDER`, or `hf-hub:OWNER/NAME`.

    Raises:
        UnknownName, WeightsError: there is none.
        UsageError: it is an export.
    """
    if model_kind(registry, name) is ModelKind.EXPORT:
        raise UsageError(f"{name} is an export, not a weights file.", "Name the weights that it was exported from.")
    if name.startswith(SCHEME):
        path, get = parse_repository(name).cached, f"zoo summary {name} --download"
    elif (folder := hub_folder(name)) is not None:
        if has_card(folder):
            return folder / WEIGHTS
        path, get = converted_path(folder), f"zoo summary {name}"
    elif (provided := provided_weights(registry, name)) is not None:
        path, get = pretrained_path(*provided), f"zoo summary {name} --download"
    else:
        return find_file(registry, name)
    if not is_regular(path):
        raise WeightsError(
            f"The weights {name} were not used on this machine yet, so there is no file of them with a card.",
            f"Get one with `{get}`.",
        )
    return path
