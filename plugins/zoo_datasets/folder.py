"""The data set `folder`: a folder of images for each class.

There are two layouts:

- `ROOT/train/CLASS/…` and `ROOT/test/CLASS/…`. Without `test`, the folder `val`, `valid` or `validation` is used.
  Without any of them, the images of `train` are split as below. These names are case-insensitive. Without `train`,
  there is a test split only.
- `ROOT/CLASS/…`, split 80 to 20 within each class: the images are sorted by the SHA-256 of `CLASS/…`, and the first
  fifth is the test split. The fifth is rounded, and at least one image; a class with a single image has no test
  image. So the split is the same on every machine, and does not change when a class is added.

Class folders may contain subfolders. Symbolic links are followed, and each folder is read once. A broken link with
the name of an image counts as a corrupt image. Names that start with a dot are ignored. So are files without the
extension of an image; a note has their number.
Class names and paths are compared in Unicode form NFC and code-point order, because file systems differ in how they
store accents and order names.
"""

import hashlib
import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL.Image import Image

from zoo.contract.errors import DataError, MissingSplit
from zoo.contract.names import names_alike, unusable
from zoo.data.images import open_image
from zoo.registry.image_folders import EXTENSIONS
from zoo_datasets.arrays import check_split
from zoo_datasets.paths import CompactPaths

SPLIT_FOLDERS = ("train", "test", "val", "valid", "validation")  # the test split is the first of the last four
LAYOUT = "Put the images of each class into a folder: ROOT/CLASS/…, or ROOT/train/CLASS/… and ROOT/test/CLASS/…"


@dataclass(frozen=True, eq=False)
class ImageFolder:
    """A map-style data set of (image, class index).

    Args:
        files: the paths of the images, sorted by class.
        targets: their class indices.
        classes: the class names in code-point order; the position is the class index.
        notes: remarks for the user, such as how the images were split.
    """

    files: CompactPaths
    targets: tuple[int, ...]
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Image, int]:
        """Return the image in its own size and mode (the first frame of an animation), and its class index.

        Raises:
            DataError: the file is missing, damaged, or not an image.
        """
        return open_image(self.files[index]), self.targets[index]


def load(root: Path, split: str, download: bool) -> ImageFolder:
    """Load one split of a folder of images.

    Args:
        root: the folder, in one of the layouts above.
        split: "train" or "test".
        download: not used.

    Raises:
        DataError: the folder is missing or has another layout, a class has no image, or the test folder has a class
            that the train folder does not have.
        MissingSplit: there are no images of this split.
    """
    check_split(split)
    train, test, notes = _find_splits(root)
    whole = train or test
    if whole is None or (train is None and split == "train"):
        raise MissingSplit(f"The folder {root} has {test.name if test else 'nothing'} but no train folder.", LAYOUT)
    classes, others = _class_folders(whole), Counter[str]()
    if train is None:
        chosen = ((name, _images(path, others), 2) for name, path in classes.items())
    elif test is None:
        images = ((name, _images(path, others)) for name, path in classes.items())
        chosen = ((name, _part(below, classes[name].name, split), len(below)) for name, below in images)
    else:
        tested = _class_folders(test)
        unknown = [name for name in tested if name not in classes]
        if unknown:
            raise DataError(
                f"The folder {test} has the class {unknown[0]}, but {train} does not.",
                "Use the same class folders in both.",
            )
        here = classes if split == "train" else tested
        chosen = ((name, below, 2) for name, path in here.items() for below in [_images(path, others)])
        classes = {**classes, **here}
    index = {name: position for position, name in enumerate(classes)}
    files, targets, most = CompactPaths(root), list[int](), 0
    for name, below, count in chosen:  # one class at a time, to save memory
        files.extend(classes[name].relative_to(root), below)
        targets += [index[name]] * len(below)
        most = max(most, count)
    if most < 2 and split == "test":
        raise MissingSplit(f"No class in {whole} has two images, so there are no test images.", "Add images.")
    alike = [f"classes whose names are almost the same: {pair}" for pair in names_alike(tuple(classes))]
    return ImageFolder(files, tuple(targets), tuple(classes), (*notes, *_note_of_other_files(others, root), *alike))


def _note_of_other_files(others: "Counter[str]", root: Path) -> list[str]:
    if not others:
        return []
    kinds = ", ".join(f"{count:,} {suffix or 'without an extension'}" for suffix, count in others.most_common(5))
    more = ", …" if len(others) > 5 else ""
    return [f"files in the class folders of {root} without the extension of an image are ignored: {kinds}{more}"]


def _find_splits(root: Path) -> tuple[Path | None, Path | None, tuple[str, ...]]:
    """Return the folders of the training and of the test classes, and notes.

    Without the second, the first is to be split; without the first, there are no training images.
    """
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "does not exist"
        raise DataError(f"The data root {root} {what}.", "Pass the folder of images as --data.")
    folders = {path.name: path for path in _listing(root) if path.is_dir()}
    if not folders:
        raise DataError(f"The folder {root} has no class folders.", LAYOUT)
    named = {path.name.lower(): path for path in folders.values()} | folders  # a lower-case name takes precedence
    named = {name: path for name, path in named.items() if name in SPLIT_FOLDERS}
    only_splits = {path.name.lower() for path in folders.values()} <= {*SPLIT_FOLDERS}
    if "train" not in named and only_splits:
        test, *others = (named[name] for name in SPLIT_FOLDERS if name in named)
        ignored = (f"ignored in {root}: {', '.join(path.name for path in others)}",) if others else ()
        return None, test, (f"all images in {test} are the test split", *ignored)
    # "train" is a class (the vehicle) if it contains images and there are other class folders
    split = f"a fifth of each class in {root} is the test split, chosen by a hash of the file names"
    if "train" not in named or not (only_splits or any(path.is_dir() for path in _listing(named["train"]))):
        return root, None, (split,)
    train = named.pop("train")
    tests = [named.pop(name) for name in SPLIT_FOLDERS if name in named]
    alone = [path.name for path in folders.values() if path not in (train, *tests[:1])]
    notes = [f"ignored in {root}: {', '.join(alone)}"] if alone else []
    if not tests:
        return train, None, (split, *notes)
    return train, tests[0], tuple(notes)


def _class_folders(parent: Path) -> Mapping[str, Path]:
    """Return the folder of each class, in the order of the class indices."""
    folders: dict[str, Path] = {}
    for path in (path for path in _listing(parent) if path.is_dir()):
        if reason := unusable(path.name):
            raise DataError(
                f"The class folder {os.fsencode(path.name)!r} in {parent} has {reason} in its name.",
                "Rename it: the name of the class is stored with the weights.",
            )
        if _nfc(path.name) in folders:
            raise DataError(
                f"Two folders in {parent} have the name {_nfc(path.name)}, in two Unicode forms.",
                "Move the images into one of them, or rename one.",
            )
        folders[_nfc(path.name)] = path
    if not folders:
        raise DataError(f"The folder {parent} has no class folders.", LAYOUT)
    return dict(sorted(folders.items()))


def _images(folder: Path, others: "Counter[str]") -> list[str]:
    """Return the images of one class as sorted paths relative to its folder, and count other files by extension."""
    above = set(folder.resolve().parents)  # a link to one of these would add the images of other classes
    images = sorted(_walk(folder, "", above, others), key=_nfc)
    if not images:
        raise DataError(
            f"The class folder {folder} has no images.",
            f"Add images ({', '.join(sorted(EXTENSIONS))}), or remove the folder.",
        )
    return images


def _walk(folder: Path, below: str, seen: set[Path], others: "Counter[str]") -> Iterator[str]:
    real = folder.resolve()
    if real in seen:  # a link to a folder that was already read, or to a parent
        return
    seen.add(real)
    try:
        with os.scandir(folder) as entries:
            listed = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda one: one.name)
    except OSError as error:
        raise _unreadable(folder, error) from error
    for entry in listed:
        suffix = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122
        if suffix in EXTENSIONS and _is_file_or_broken_link(entry):
            yield below + entry.name
        elif os.path.isdir(entry.path):  # noqa: PTH112  (returns False for a circular link)
            yield from _walk(folder / entry.name, f"{below}{entry.name}/", seen, others)
        else:
            others[suffix] += 1


def _is_file_or_broken_link(entry: os.DirEntry[str]) -> bool:
    if entry.is_symlink():
        return os.path.isfile(entry.path) or not os.path.exists(entry.path)  # noqa: PTH110, PTH113
    return entry.is_file()


def _part(images: list[str], folder: str, split: str) -> list[str]:
    ranked = sorted(images, key=lambda below: _digest(_nfc(f"{folder}/{below}")))
    count = max((len(images) + 2) // 5, 1) if len(images) > 1 else 0  # a fifth, rounded
    test = set(ranked[:count])
    return [below for below in images if (below in test) == (split == "test")]


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogateescape")).digest()


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _listing(folder: Path) -> list[Path]:
    """Return the entries of `folder` that are not hidden, sorted by name."""
    try:
        return sorted((path for path in folder.iterdir() if not path.name.startswith(".")), key=lambda path: path.name)
    except OSError as error:
        raise _unreadable(folder, error) from error


def _unreadable(folder: Path, error: OSError) -> DataError:
    return DataError(f"The folder {folder} cannot be read ({error.strerror}).", "Check its permissions.")
