"""Images by path: a folder in place of the name of a data set, and the files that folders and patterns mean."""

import glob
import os
import re
from collections.abc import Iterable
from pathlib import Path

from zoo.contract.errors import DataError, UnknownName, UsageError
from zoo.contract.specs import Dataset
from zoo.registry.registry import Registry

EXTENSIONS = frozenset(  # of images, in lower case
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".jp2", ".png", ".bmp", ".gif", ".webp", ".avif", ".tif", ".tiff"),
        *(".ppm", ".pgm", ".pbm", ".pnm"),
    }
)
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
        if not data or not path.is_dir():
            if data and (os.sep in data or path.exists()):
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


def find_images(paths: Iterable[Path]) -> list[Path]:
    """The image files that paths mean: a file itself, of a folder all images in it, and what matches a pattern.

    Folders are read with the folders in them; names that begin with a dot, and files without the extension of an image,
    are left out. A pattern such as `photos/*.jpg` is one that no file or folder has as its name. A file that does not
    exist is returned as it is.

    Raises:
        DataError: a folder has no image, or a pattern matches nothing.
    """
    files: list[Path] = []
    for path in paths:
        if os.path.lexists(path) or not glob.has_magic(str(path)):
            files += _images_in(path) if path.is_dir() else [path]
            continue
        matches = [Path(match) for match in sorted(glob.glob(str(path), recursive=True))]  # noqa: PTH207
        if not matches:
            raise DataError(f"No file matches {path}.", "Check the pattern.")
        for match in matches:
            files += _images_in(match) if match.is_dir() else [match]
    return files


def _images_in(folder: Path) -> list[Path]:
    files = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        files += [
            Path(parent, name)
            for name in sorted(names)
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in EXTENSIONS  # noqa: PTH122
        ]
    if not files:
        raise DataError(f"The folder {folder} has no images.", f"Add images ({', '.join(sorted(EXTENSIONS))}).")
    return files
