"""The manifest: everything that a deployer needs to know of an export folder, and what proves it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import zoo_runtime
from zoo.environment import PACKAGES, versions
from zoo_export.capture import BATCH, INPUT, OUTPUT, Capture
from zoo_export.parity.check import Check, watched
from zoo_export.parity.judge import BUDGET, Comparison

FORMAT = 1
NAME = "manifest.json"
FLOAT32, FLOAT16 = "float32", "float16"


def build_manifest(
    capture: Capture,
    artifacts: Mapping[str, str],
    checks: Sequence[Check],
    comparisons: Mapping[str, Sequence[Comparison]],
    real: str,
) -> dict[str, Any]:
    """The manifest without `files` and `digest`, which `write_manifest` adds.

    Args:
        artifacts: format name to file name.
        comparisons: format name to what was judged.
        checks: what the artifacts were checked with, the model's own weights first.
        real: which real images were among the probes, or why none were.
    """
    card = capture.card
    return {
        "format": FORMAT,
        "name": capture.name,
        "card": card.to_dict(),
        "input": {"name": INPUT, "dtype": "float32", "shape": capture.input_shape},
        "output": {"name": OUTPUT, "dtype": "float32", "shape": [BATCH, len(card.classes)]},
        "preprocess": card.preprocess.to_dict(),
        "labels": list(card.classes),
        "precision": FLOAT32,
        "artifacts": dict(artifacts),
        "versions": {**versions(PACKAGES), "onnxruntime": _onnxruntime()},
        "certificate": {
            "truth": "the untouched model, evaluated in float64",
            "floor": "largest deviation from truth of float32 evaluations that differ in rounding alone",
            "k": BUDGET,
            "real_images": real,
            "probes": [
                {
                    "name": reference.probe.name,
                    "n": len(reference.truth),
                    "peak": reference.peak,
                    "floor": reference.floor,
                    "budget": BUDGET * reference.floor,
                    **_elsewhere(checks[0], index),
                }
                for index, reference in enumerate(checks[0].references)
            ],
            "sensitivity": {
                "what": "share of the parameters of which a 1 % change would have been noticed",
                "share": watched(checks).share,
                "unwatched": list(watched(checks).unwatched),
                **{check.weights: check.sensitivity.share for check in checks},
            },
            "artifacts": {name: [comparison.to_dict() for comparison in found] for name, found in comparisons.items()},
        },
    }


def add_proof(manifest: dict[str, Any], check: Check, proof: Mapping[str, Sequence[Comparison]]) -> None:
    """Make it the manifest of a half export, and add what proves the same graphs in float32.

    Args:
        check: in float32, with the model's own weights.
        proof: format name to what was judged in float32.
    """
    certificate = manifest["certificate"]
    manifest["precision"] = FLOAT16
    certificate["floor"] = "largest deviation from truth of float16 evaluations that differ in rounding alone"
    certificate["sensitivity"]["what"] += ", in float32"
    certificate["float32"] = {
        "what": "the same operators in float32, judged first and not kept",
        "probes": [{"name": told.probe.name, "floor": told.floor} for told in check.references],
        "artifacts": {name: [comparison.to_dict() for comparison in found] for name, found in proof.items()},
    }


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Add the hash of every file in `folder` and the manifest's own digest, and write it."""
    files = sorted(path for path in folder.iterdir() if path.name != NAME)
    manifest["files"] = {path.name: {"sha256": _sha256(path), "bytes": path.stat().st_size} for path in files}
    manifest["digest"] = zoo_runtime.manifest_digest(manifest)
    text = json.dumps(manifest, indent=2, ensure_ascii=False, allow_nan=False)
    (folder / NAME).write_text(text + "\n", encoding="utf-8")


def _elsewhere(check: Check, index: int) -> dict[str, Any]:
    """The floors of a probe on other providers than the CPU, by name, if any were asked for."""
    floors = {
        setting.provider: found[index].floor for setting, found in check.elsewhere.items() if setting.provider != "cpu"
    }
    return {"floors": floors} if floors else {}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _onnxruntime() -> str:
    import onnxruntime

    return str(onnxruntime.__version__)
