"""`labels.txt` of an export folder: the class names, one a line, in the order of the logits."""

from collections.abc import Sequence
from pathlib import Path

from zoo.contract.errors import DifferenceError
from zoo.contract.evidence import Manifest
from zoo.files.regular import read_regular
from zoo_export.bundle.names_of_files import LABELS

LIMIT = 1 << 26  # bytes


def write_labels(folder: Path, labels: Sequence[str]) -> None:
    """Write `labels.txt` if `can_be_listed`."""
    if can_be_listed(labels):
        (folder / LABELS).write_text(labels_text(labels), encoding="utf-8", newline="\n")


def can_be_listed(labels: Sequence[str]) -> bool:
    """Whether each label is one line: not if one has a line break, which cards of other origin may hold."""
    return labels_text(labels).splitlines() == list(labels)


def check_labels(folder: Path, manifest: Manifest) -> None:
    """Compare `labels.txt` with the manifest; folders of earlier releases have none.

    Raises:
        DifferenceError: it lists other labels.
    """
    if LABELS in manifest.files and read_regular(folder / LABELS, LIMIT) != labels_text(manifest.labels).encode():
        raise DifferenceError(
            f"{folder / LABELS} does not list the labels of the manifest.",
            "Do not use it. Export the model again, or copy the folder again from where it came.",
        )


def labels_text(labels: Sequence[str]) -> str:
    """One label a line."""
    return "".join(f"{label}\n" for label in labels)
