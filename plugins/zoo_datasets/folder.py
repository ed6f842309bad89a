"""The data set `folder`: a folder of images for each class.

Two layouts are read:

- `ROOT/train/CLASS/…` and `ROOT/test/CLASS/…`. `val`, `valid` or `validation` stands in for `test` where there is no
  `test`. Where there is neither, the images of `train` are split as below. Capitals do not matter in these names.
- `ROOT/CLASS/…`, split 80 to 20 within each class: the images are ranked by the SHA-256 of their path below the
  folder of classes, and the first fifth is the test split: rounded, at least one, and none of a class that has one
  image. So the split is the same on every machine, and adding a class moves no image of another.

Images may lie in folders within their class folder. Links are followed, and each folder is read once; a link that is
named like an image and leads nowhere is an image that cannot be read. Names that start with a dot are passed over;
so are files that are no images by their names, which are counted in a note.
Class names and paths are compared in Unicode form NFC and in code-point order, since file systems differ in how they
store accents and in what order they list.
"""

import hashlib
import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL.Image import Image

from zoo.contract.errors import DataError
from zoo.data.images import open_image
from zoo_datasets.arrays import check_split
from zoo_datasets.paths import PathList

EXTENSIONS = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".jp2", ".png", ".bmp", ".gif", ".webp", ".avif", ".tif", ".tiff"),
        *(".ppm", ".pgm", ".pbm", ".pnm"),
    }
)
SPLIT_FOLDERS = ("train", "test", "val", "valid", "validation")  # the last three, the first of them, for a test
LAYOUT = "Make a folder for each class, with its images in it: ROOT/CLASS/… or ROOT/train/CLASS/… and ROOT/test/CLASS/…"


@dataclass(frozen=True, eq=False)
class ImageFolder:
    """A map-style data set of (image, class index).

    Args:
        files: the images' paths, class by class.
        targets: their class indices.
        classes: the class names in the order of their indices, which is code-point order.
        notes: how the folder was understood, where that is not plain.
    """

    files: PathList
    targets: tuple[int, ...]
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Image, int]:
        """The image as the file stores it (its own size and mode; the first frame), and its class index.

        Raises:
            DataError: the file is gone, damaged, or no image.
        """
        return open_image(self.files[index]), self.targets[index]


def load(root: Path, split: str, download: bool) -> ImageFolder:
    """One split of a folder of images.

    Args:
        root: the folder, laid out as the module says.
        split: "train" or "test".
        download: not used; there is nothing to fetch.

    Raises:
        DataError: the folder is missing or not laid out so, has fewer than two classes, a class has no image, or
            the test folder has a class that the train folder lacks.
    """
    check_split(split)
    train, test, notes = _find_splits(root)
    classes, others = _class_folders(train), Counter[str]()
    if len(classes) < 2:
        raise DataError(f"The folder {train} holds only one class, {next(iter(classes))}.", LAYOUT)
    if test is None:
        images = ((name, _images(path, others)) for name, path in classes.items())
        chosen = ((name, _part(below, classes[name].name, split), len(below)) for name, below in images)
    else:
        tested = _class_folders(test)
        unknown = [name for name in tested if name not in classes]
        if unknown:
            raise DataError(
                f"The folder {test} has the class {unknown[0]}, which {train} lacks.",
                "Give both folders the same classes.",
            )
        here = classes if split == "train" else tested
        chosen = ((name, below, 2) for name, path in here.items() for below in [_images(path, others)])
        classes = {**classes, **here}
    index = {name: position for position, name in enumerate(classes)}
    files, targets, most = PathList(root), list[int](), 0
    for name, below, count in chosen:  # one class at a time: there may be very many images
        files.extend(classes[name].relative_to(root), below)
        targets += [index[name]] * len(below)
        most = max(most, count)
    if most < 2:
        raise DataError(f"No class in {train} has two images, so none is left to test on.", "Add images.")
    return ImageFolder(files, tuple(targets), tuple(classes), (*notes, *_passed_over(others, root)))


def _passed_over(others: "Counter[str]", root: Path) -> list[str]:
    if not others:
        return []
    kinds = ", ".join(f"{count:,} {suffix or 'without a suffix'}" for suffix, count in others.most_common(5))
    more = ", …" if len(others) > 5 else ""
    return [f"files in the class folders of {root} that are no images by their names are left alone: {kinds}{more}"]


def _find_splits(root: Path) -> tuple[Path, Path | None, tuple[str, ...]]:
    """The folder of classes to train on, the one to test on (`None` where the first is to be split), and notes."""
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "does not exist"
        raise DataError(f"The data root {root} {what}.", "Name the folder of images with --data-root.")
    folders = {path.name: path for path in _listing(root) if path.is_dir()}
    if not folders:
        raise DataError(f"The folder {root} has no class folders.", LAYOUT)
    named = {path.name.lower(): path for path in folders.values()} | folders  # one in small letters goes first
    named = {name: path for name, path in named.items() if name in SPLIT_FOLDERS}
    only_splits = {path.name.lower() for path in folders.values()} <= {*SPLIT_FOLDERS}
    if "train" not in named and only_splits:
        raise DataError(f"The folder {root} has {' and '.join(sorted(folders))} but no train folder.", LAYOUT)
    # "train" is a class like any other (the vehicle) where it holds images and lies beside other classes
    split = f"a fifth of each class in {root} is kept for testing, chosen by the names of the files"
    if "train" not in named or not (only_splits or any(path.is_dir() for path in _listing(named["train"]))):
        return root, None, (split,)
    train = named.pop("train")
    tests = [named.pop(name) for name in SPLIT_FOLDERS if name in named]
    alone = [path.name for path in folders.values() if path not in (train, *tests[:1])]
    notes = [f"{', '.join(alone)} in {root}: left alone"] if alone else []
    if not tests:
        return train, None, (split, *notes)
    return train, tests[0], tuple(notes)


def _class_folders(parent: Path) -> Mapping[str, Path]:
    """Class name to class folder, in the order of the class indices."""
    folders: dict[str, Path] = {}
    for path in (path for path in _listing(parent) if path.is_dir()):
        if _nfc(path.name) in folders:
            raise DataError(
                f"Two folders in {parent} have the name {_nfc(path.name)}, with accents stored in two ways.",
                "Put their images into one of them, or rename one.",
            )
        folders[_nfc(path.name)] = path
    if not folders:
        raise DataError(f"The folder {parent} has no class folders.", LAYOUT)
    return dict(sorted(folders.items()))


def _images(folder: Path, others: "Counter[str]") -> list[str]:
    """The images of one class, as paths below its folder, in the order of these; suffixes of what is none are counted
    in `others`."""
    above = set(folder.resolve().parents)  # a link to one of these would bring in the other classes
    found = sorted(_walk(folder, "", above, others), key=_nfc)
    if not found:
        raise DataError(
            f"The class folder {folder} holds no images.",
            f"Put images into it ({', '.join(sorted(EXTENSIONS))}), or remove it.",
        )
    return found


def _walk(folder: Path, below: str, seen: set[Path], others: "Counter[str]") -> Iterator[str]:
    real = folder.resolve()
    if real in seen:  # a link to a folder that was read already, or to one above
        return
    seen.add(real)
    try:
        with os.scandir(folder) as entries:
            listed = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda one: one.name)
    except OSError as error:
        raise _unreadable(folder, error) from error
    for entry in listed:
        suffix = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122
        if suffix in EXTENSIONS and _is_file_or_leads_nowhere(entry):
            yield below + entry.name
        elif os.path.isdir(entry.path):  # noqa: PTH112  (a link in a circle is answered, not raised)
            yield from _walk(folder / entry.name, f"{below}{entry.name}/", seen, others)
        else:
            others[suffix] += 1


def _is_file_or_leads_nowhere(entry: os.DirEntry[str]) -> bool:
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
    """What lies in `folder` and is not hidden, in the order of names."""
    try:
        return sorted((path for path in folder.iterdir() if not path.name.startswith(".")), key=lambda path: path.name)
    except OSError as error:
        raise _unreadable(folder, error) from error


def _unreadable(folder: Path, error: OSError) -> DataError:
    return DataError(f"The folder {folder} cannot be read ({error.strerror}).", "Check its permissions.")
