"""Compare the README of an export folder with the one that zoo writes for its manifest."""

from pathlib import Path

from zoo.contract.errors import DifferenceError, ExportError, ZooError
from zoo.contract.evidence import Manifest
from zoo.files.regular import open_regular
from zoo.registry.refs import resolve
from zoo.registry.registry import Registry
from zoo.version import __version__
from zoo_export.artifacts import artifact_paths, recorded_format
from zoo_export.bundle.names_of_files import README
from zoo_export.bundle.readme import readme
from zoo_export.precisions.in_use import find_precision

LIMIT = 1 << 20  # bytes


def check_readme(registry: Registry, folder: Path, manifest: Manifest) -> list[str]:
    """What readers of a folder are told to do must be what zoo tells them.

    Returns:
        A warning where it could not be compared: another release wrote it, or the plugin of a format is not installed.

    Raises:
        DifferenceError: it is another text.
    """
    if README not in manifest.files:
        return []
    writer = manifest.versions.get("zoo-kit", "")
    if writer != __version__:
        return [f"{README} was not compared: it is of zoo-kit {writer or '(unknown)'}, and this is {__version__}."]
    try:
        text = _expected(registry, folder, manifest)
    except ZooError as error:
        return [f"{README} was not compared: {error.cause}"]
    with open_regular(folder / README, LIMIT) as file:
        if file.read() == text.encode():
            return []
    raise DifferenceError(
        f"{folder / README} is not what zoo writes for this manifest.",
        "Do not do what it says: it may have been written to deceive you.",
    )


def _expected(registry: Registry, folder: Path, manifest: Manifest) -> str:
    rules = find_precision(registry, manifest.precision).rules
    sections = []
    for artifact in manifest.artifacts.values():
        entry = recorded_format(registry, artifact.format)
        if entry.spec.readme:
            paths = artifact_paths(entry, folder / artifact.file)
            try:
                sections.append(resolve(entry, entry.spec.readme)(paths))
            except ZooError:
                raise
            except Exception as error:
                raise ExportError(f"the format {entry.spec.name} raised {type(error).__name__}.", "") from error
    comparisons = {name: record.comparisons for name, record in manifest.certificate.artifacts.items()}
    return readme(manifest, comparisons, sections, rules)
