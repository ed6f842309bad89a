"""Tell exports from other paths: export folders by their manifest, artifacts by the suffixes of the formats."""

from pathlib import Path

from zoo.contract.formats import ExportFormat
from zoo.registry.registry import Registry

MANIFEST = "manifest.json"


def is_export(registry: Registry, path: Path) -> bool:
    """Whether `path` is an export folder, or a file that a format writes."""
    if path.is_file():
        return any(entry.spec.paths_of(path) is not None for entry in registry.entries(ExportFormat))
    return (path / MANIFEST).is_file()
