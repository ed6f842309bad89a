"""Whether an export folder holds what its manifest lists and nothing else, and whether its runtime is zoo's own."""

from pathlib import Path

import zoo_runtime
from zoo.contract.errors import DifferenceError
from zoo.contract.evidence import Manifest
from zoo.registry.exports import MANIFEST
from zoo_export.bundle.names_of_files import RUNTIME
from zoo_export.bundle.provenance import sha256
from zoo_export.signatures.names import SIGNATURE

RELEASED = {"4f7e3306393868e86db39027611b34ec3ce7215c8ff07802b6adb4ef78ac8580": "0.1.0"}  # sha256 of its runtime
BESIDE = frozenset({MANIFEST, SIGNATURE})  # files that a manifest does not list


def refuse_unlisted(folder: Path, manifest: Manifest) -> None:
    """Refuse what the manifest does not list: Python would import a `numpy.py` that lies beside a script.

    Raises:
        DifferenceError: a file is not listed, or there is a folder, a link or something else that is no file.
    """
    for path in sorted(folder.iterdir()):
        if path.is_symlink():
            raise _strange(folder, path, "a link")
        if path.is_dir():
            raise _strange(folder, path, "a folder")
        if not path.is_file():
            raise _strange(folder, path, "no regular file")
        if path.name not in manifest.files and path.name not in BESIDE:
            raise _strange(folder, path, "a file that the manifest does not list")


def other_runtime(folder: Path, manifest: Manifest) -> str:
    """A warning if the folder's runtime is that of another release; empty if it is the one of this zoo, or none.

    Raises:
        DifferenceError: it is of no release that this zoo knows.
    """
    if RUNTIME not in manifest.files:
        return ""
    digest = sha256(folder / RUNTIME)
    if digest == sha256(Path(zoo_runtime.__file__)):
        return ""
    if digest in RELEASED:
        return f"{RUNTIME} is that of zoo-kit {RELEASED[digest]}."
    raise DifferenceError(
        f"{folder / RUNTIME} is not the one of this zoo, nor of a release that it knows.",
        f"Do not run it. Verify the folder with the zoo-kit that wrote it (the manifest says "
        f"{manifest.versions.get('zoo-kit', 'none')!r}), or export the model again.",
    )


def _strange(folder: Path, path: Path, what: str) -> DifferenceError:
    cache = path.name == "__pycache__"
    return DifferenceError(
        f"{folder} holds {path.name!r}, which is {what}.",
        "Delete it: Python writes it when zoo_runtime is imported."
        if cache
        else "Delete it if it is yours; do not run or import anything in the folder before.",
    )
