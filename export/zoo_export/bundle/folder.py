"""Read an export folder: its manifest, and whether its files are those that were written. Needs no torch."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import zoo_runtime
from zoo.contract.errors import DifferenceError, ExportError
from zoo.contract.evidence import Manifest
from zoo.contract.evidence.format1 import upgraded
from zoo.contract.reading import Malformed
from zoo.files.card import COVERED, Card
from zoo.files.expected_digest import check_digest


@contextmanager
def explain_runtime_errors(folder: Path) -> Iterator[None]:
    """Turn the runtime's errors, which know nothing of zoo, into zoo's own."""
    try:
        yield
    except zoo_runtime.Difference as error:
        raise DifferenceError(f"{folder}: {error.cause}", error.next_step) from None
    except zoo_runtime.Error as error:
        raise ExportError(error.cause, error.next_step) from None


def read_folder(folder: Path, expect_digest: str | None = None) -> Manifest:
    """The manifest of an export folder, its digest and every file's hash checked. Reads what zoo 0.1.0 wrote, too.

    Args:
        expect_digest: what the manifest's digest must be.

    Raises:
        ExportError: it is not an export folder.
        DifferenceError: a file is missing or is not what the manifest says, or the digest is another.
    """
    if not os.path.lexists(folder):
        raise ExportError(
            f"There is no file or folder {folder}.", "Check the path, or write a folder with `zoo export`."
        )
    with explain_runtime_errors(folder):
        data = zoo_runtime.check_files(folder, upgraded)
    try:
        manifest = Manifest.from_dict(data)
        _check_card(manifest)
    except ValueError as error:
        raise DifferenceError(
            f"{folder}: manifest.json is not what was written: {error}.", zoo_runtime.RESTORE
        ) from None
    check_digest(expect_digest, manifest.digest, str(folder))
    return manifest


def uncovered_card(manifest: Manifest) -> str:
    """A warning if the digest of the weights covers the tensors alone, and not the card; empty otherwise."""
    if Card.from_dict(manifest.card).format >= COVERED:
        return ""
    return (
        f"The card of {manifest.name} is not covered by a digest (made by 0.1.0), which is of its tensors."
    )


def _check_card(manifest: Manifest) -> None:
    """Raise `ValueError` unless the card is one, and of a model with the labels and preprocessing of the manifest."""
    card = Card.from_dict(manifest.card)
    if (card.classes, card.preprocess) != (manifest.labels, manifest.preprocess):
        raise Malformed("labels or preprocess are not those of the card")
