"""A path in place of the name of a data set: a folder of images."""

import os
import re
from pathlib import Path

from zoo.contract.errors import DataError, UnknownName, UsageError
from zoo.contract.specs import Dataset
from zoo.registry.registry import Registry

FOLDER = "folder"  # the data set that reads a folder of images
NOT_IN_NAMES = re.compile("[^a-z0-9]+")


def find_data(registry: Registry, data: str, root: Path | None = None) -> tuple[str, Path | None]:
    """The name of the data set that `data` means, and the folder that it is read from.

    The name of a data set takes precedence over a folder of that name, which can be written as `./NAME`.

    Args:
        data: the name of a data set, or the path of a folder of images.
        root: the folder of the data sets; `None` for the default.

    Returns:
        `data` and `root`; or `folder` and the path.

    Raises:
        UnknownName: there is neither such a data set nor such a folder.
        DataError: `data` is a path, and there is no folder.
        UsageError: `data` is a path, and `root` is set too.
    """
    path = Path(data).expanduser()
    try:
        registry.find(Dataset, data)
    except UnknownName as error:
        if not path.is_dir():
            if os.sep in data or path.exists():
                what = "is not a folder" if path.exists() else "does not exist"
                raise DataError(f"The data {data} {what}.", "Name a data set, or a folder of images.") from None
            raise UnknownName(error.cause, f"{error.next_step} Or name a folder of images by its path.") from None
    else:
        return data, root
    if root is not None:
        raise UsageError(f"`--data {data}` is a folder, so `--data-root` has no effect.", "Leave out --data-root.")
    return FOLDER, path


def tag_of(path: Path) -> str:
    """A tag for weights that were trained on this folder: its name in the characters of a tag."""
    return NOT_IN_NAMES.sub("_", path.resolve().name.lower()).strip("_")[:60] or FOLDER
