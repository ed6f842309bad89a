"""Tell exports from other paths: export folders by their manifest, artifacts by the suffixes of the formats."""

from pathlib import Path

from zoo.contract.errors import ExportError
from zoo.contract.formats import ExportFormat
from zoo.files.regular import is_regular, kind_of
from zoo.registry.registry import Registry

MANIFEST = "manifest.json"


def is_export(registry: Registry, path: Path) -> bool:
    """Whether `path` is an export folder, or a file that a format writes."""
    if is_regular(path):
        return any(entry.spec.paths_of(path) is not None for entry in registry.entries(ExportFormat))
    return is_regular(path / MANIFEST)


def refuse_missing_artifact(registry: Registry, name: str) -> None:
    """Refuse a name with the suffix of an artifact, of which there is no regular file.

    Raises:
        ExportError: naming the file.
    """
    path = Path(name)
    if any(entry.spec.paths_of(path) is not None for entry in registry.entries(ExportFormat)):
        if kind := kind_of(path):
            raise ExportError(f"{name[:1000]} is {kind}, not a regular file.", "Name an exported file.")
        raise ExportError(f"There is no file {name[:1000]}.", "Check the path.")
