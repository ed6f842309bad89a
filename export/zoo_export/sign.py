"""What `zoo sign` and `zoo.sign` do: check that a file or folder is whole, and sign it."""

from pathlib import Path

from zoo.files.atomic import refuse_existing
from zoo.files.folders import SUFFIX
from zoo.files.regular import is_regular
from zoo.files.weights import load_weights
from zoo.registry.registry import Registry
from zoo_export.bundle.files_of_folder import refuse_unlisted
from zoo_export.bundle.folder import read_folder
from zoo_export.signatures.contents import refuse_irregular
from zoo_export.signatures.make import make_signature
from zoo_export.signatures.names import signature_path


def sign(registry: Registry, path: Path, key: Path, *, password: str | None = None, force: bool = False) -> Path:
    """Sign a weights file, an exported file or an export folder; see `zoo.sign` for the arguments.

    Raises:
        ExportError: there is no such file, or the folder is not an export folder.
        DifferenceError: a file of the folder is not what its manifest says, or is not in it.
        WeightsError: the weights file is damaged.
        ZooError: as `make_signature`.
    """
    refuse_existing(signature_path(path), force)
    if path.is_dir():
        refuse_unlisted(path, read_folder(path))
    elif not is_regular(path):
        refuse_irregular(path)
    elif path.name.endswith(SUFFIX):
        load_weights(path)
    return make_signature(path, key, password, force=force)
