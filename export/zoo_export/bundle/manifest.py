"""The manifest: everything that a deployer needs to know of an export folder, and what proves it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import zoo_runtime
from zoo.contract.formats import Capture
from zoo.files.environment import PACKAGES, versions
from zoo_export.bundle.provenance import sha256
from zoo_export.capture import BATCH, INPUT, OUTPUT

FORMAT = 1
NAME = "manifest.json"


def build_manifest(
    capture: Capture,
    artifacts: Mapping[str, str],
    certificate: Mapping[str, Any],
    packages: Sequence[str] = (),
) -> dict[str, Any]:
    """The manifest without `files` and `digest`, which `write_manifest` adds.

    Args:
        artifacts: format name to the name of its main file.
        packages: that the formats need, whose versions are recorded.
    """
    card = capture.card
    return {
        "format": FORMAT,
        "name": capture.name,
        "verdict": certificate["verdict"],
        "card": card.to_dict(),
        "input": {"name": INPUT, "dtype": "float32", "shape": capture.input_shape},
        "output": {"name": OUTPUT, "dtype": "float32", "shape": [BATCH, len(card.classes)]},
        "preprocess": card.preprocess.to_dict(),
        "labels": list(card.classes),
        "precision": capture.precision,
        "artifacts": dict(artifacts),
        "versions": versions((*PACKAGES, *packages)),
        "certificate": dict(certificate),
    }


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Add the hash of every file in `folder` and the manifest's own digest, and write it."""
    files = sorted(path for path in folder.iterdir() if path.name != NAME)
    manifest["files"] = {path.name: {"sha256": sha256(path), "bytes": path.stat().st_size} for path in files}
    manifest["digest"] = zoo_runtime.manifest_digest(manifest)
    text = json.dumps(manifest, indent=2, ensure_ascii=False, allow_nan=False)
    (folder / NAME).write_text(text + "\n", encoding="utf-8")
