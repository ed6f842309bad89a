"""How a TorchScript archive is built: read from its records, as the loader does, without loading a module."""

import hashlib
import re
from typing import Any

import numpy as np

from zoo.contract.exporting.artifact import Array, Paths
from zoo.contract.exporting.inspection import Structure
from zoo.files.regular import open_regular
from zoo_export.formats.pytorch_archive import TEXT_LIMIT, Archive, refusing
from zoo_export.formats.torchscript.archive import OWN, VERSIONS


def structure(paths: Paths) -> Structure:
    """Read the source and the tensors that are stored in the archive.

    What it calls is counted on the graph, see `counts`.

    Raises:
        ExportError: it is no archive, or one that two readers see differently.
    """
    with refusing(paths.main.name), open_regular(paths.main) as file:
        archive = Archive(file, TEXT_LIMIT)
        kept = {name: archive.read(name) for name in archive.names if not _is_the_writers(name)}
    source = {name: text.decode("utf-8", "replace") for name, text in kept.items() if name.endswith(".py")}
    versions = {name: text.decode("utf-8", "replace") for name, text in kept.items() if name in VERSIONS}
    return Structure(
        graph=_sha(source | versions),  # the version decides what some operators mean
        values=_sha(kept),
        tensors=tuple(_numbers(kept[name]) for name in sorted(kept) if re.fullmatch(r"\w+/\d+", name)),
    )


def _is_the_writers(name: str) -> bool:
    """Whether a record says nothing of the module: debug notes, and what the archive's writer adds itself."""
    return name.endswith(".debug_pkl") or name in OWN


def _numbers(record: bytes) -> Array:
    """The bytes of a tensor, of a dtype that the record does not say, as if it were float32."""
    content: Array = np.frombuffer(record[: len(record) // 4 * 4], "<f4")
    return content


def _sha(records: dict[str, Any]) -> str:
    sha = hashlib.sha256()
    for name, content in sorted(records.items()):
        data = content if isinstance(content, bytes) else content.encode()
        sha.update(f"{name} {len(data)}\n".encode() + data)
    return sha.hexdigest()
