"""Build the manifest of an export folder, and write it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import zoo_runtime
from zoo.contract.errors import ExportError
from zoo.contract.evidence import Artifact, Certificate, FileRecord, Manifest, TensorSpec
from zoo.contract.exporting.artifact import Capture
from zoo.contract.reading import parse_json
from zoo.files.environment import PACKAGES, versions
from zoo.registry.exports import MANIFEST
from zoo_export.bundle.provenance import sha256
from zoo_export.capture import BATCH, INPUT, OUTPUT

NAME = MANIFEST


def build_manifest(
    capture: Capture,
    artifacts: Mapping[str, Artifact],
    certificate: Certificate,
    packages: Sequence[str] = (),
    min_size: int | None = None,
) -> Manifest:
    """The manifest without `files` and `digest`, which `write_manifest` adds.

    Args:
        artifacts: by format.
        packages: that the formats need, whose versions are recorded.
        min_size: the smallest height and width of an image, if these are dynamic.
    """
    card = capture.card
    return Manifest(
        name=capture.name,
        verdict=certificate.verdict,
        card=card.to_dict(),
        input=TensorSpec(INPUT, "float32", tuple(capture.input_shape), min_size),
        output=TensorSpec(OUTPUT, "float32", (BATCH, len(card.classes))),
        preprocess=card.preprocess,
        labels=tuple(card.classes),
        precision=capture.precision,
        artifacts=dict(artifacts),
        versions=versions((*PACKAGES, *packages)),
        certificate=certificate,
    )


def write_manifest(folder: Path, manifest: Manifest) -> Manifest:
    """Add the hash of every file in `folder` and the manifest's own digest, and write it.

    Returns:
        The manifest as written.

    Raises:
        ExportError: it could not be read again, such as one with more classes than a manifest may have.
    """
    files = sorted(path for path in folder.iterdir() if path.name != NAME)
    manifest = replace(manifest, files={path.name: FileRecord(sha256(path), path.stat().st_size) for path in files})
    manifest = replace(manifest, digest=zoo_runtime.manifest_digest(manifest.to_dict()))
    text = json.dumps(manifest.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
    try:
        Manifest.from_dict(parse_json(text.encode()))
    except ValueError as error:
        raise ExportError(
            f"The manifest of {manifest.name} could not be read again: {error}.", "Correct the model's description."
        ) from None
    (folder / NAME).write_text(text + "\n", encoding="utf-8")
    return manifest
