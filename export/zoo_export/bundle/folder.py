"""Read an export folder: its manifest, and whether its files are those that were written. Needs no torch."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import zoo_runtime
from zoo.contract.errors import DifferenceError, ExportError
from zoo.contract.evidence import Manifest
from zoo.contract.evidence.format1 import upgraded
from zoo.contract.reading import Malformed
from zoo.files.card import COVERED, Card
from zoo.files.expected_digest import check_digest
from zoo.files.regular import is_regular, kind_of
from zoo.registry.exports import MANIFEST
from zoo.registry.hub.folders import WEIGHTS, is_hub_folder
from zoo_export.bundle.names_of_files import refuse_other_names


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
    kind = kind_of(folder) or ("a file" if is_regular(folder) else "a link that leads nowhere")
    if kind != "a folder":
        raise ExportError(f"{folder} is {kind}, not an export folder.", "Name an export folder, or an exported file.")
    if not os.path.lexists(folder / MANIFEST):
        raise ExportError(
            f"{folder} is a folder without a {MANIFEST}, so it is no export folder.",
            f"Its weights file is {folder / WEIGHTS}; `zoo export {folder}` exports it."
            if is_hub_folder(folder)
            else "Check the path, or write a folder with `zoo export`.",
        )
    manifests = []

    def read(data: dict[str, Any]) -> dict[str, Any]:
        data = upgraded(data)
        if data["format"] == Manifest.FORMAT:  # zoo_runtime refuses others
            manifests.append(parse_manifest(data))
        return data

    with explain_runtime_errors(folder):
        zoo_runtime.check_files(folder, read)
    (manifest,) = manifests
    check_digest(expect_digest, manifest.digest, str(folder))
    return manifest


def uncovered_card(manifest: Manifest) -> str:
    """A warning if the digest of the weights covers the tensors alone, and not the card; empty otherwise."""
    if Card.from_dict(manifest.card).format >= COVERED:
        return ""
    return f"The card of {manifest.name} is not covered by a digest (made by 0.1.0), which is of its tensors."


def parse_manifest(data: Mapping[str, Any]) -> Manifest:
    """The manifest of format 2 that `data` is, its card checked too.

    Raises:
        Malformed: a `ValueError`: as `Manifest.from_dict` and `Card.from_dict`, the card is of another model, or the
            manifest lists a file that no export writes.
    """
    manifest = Manifest.from_dict(data)
    refuse_other_names(manifest)
    card = Card.from_dict(manifest.card)
    if (card.classes, card.preprocess) != (manifest.labels, manifest.preprocess):
        raise Malformed("labels or preprocess are not those of the card")
    return manifest
