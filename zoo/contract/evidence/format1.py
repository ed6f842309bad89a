"""Read manifests of format 1, which zoo 0.1.0 wrote: rename their keys to those of format 2. No number changes."""

from collections.abc import Mapping
from typing import Any

from zoo.contract.evidence.certificate import Certificate
from zoo.contract.evidence.manifest import Manifest
from zoo.contract.formats import MODEL

OLD = 1
PRECISIONS = {"float32": "fp32", "float16": "fp16"}
NOT_WEIGHTS = ("what", "share", "unwatched", "probe_weights_seed")


def upgraded(manifest: dict[str, Any]) -> dict[str, Any]:
    """A manifest of format 1 as one of format 2; any other is returned as it is.

    Raises:
        AttributeError, LookupError, TypeError, ValueError: it is malformed.
    """
    if manifest["format"] != OLD:
        return manifest
    rest = {key: value for key, value in manifest.items() if key not in ("formats", "precision")}
    formats = manifest.get("formats", {})
    return {
        **rest,
        "format": Manifest.FORMAT,
        "precision": PRECISIONS[manifest.get("precision", "float32")],
        "input": _renamed(manifest["input"], {"smallest": "min_size"}),
        "artifacts": {
            name: {"files": _roles(file, manifest["files"]), "format": formats.get(name, name)}
            for name, file in manifest["artifacts"].items()
        },
        "certificate": _certificate(manifest["certificate"]),
    }


def _roles(file: str, files: Mapping[str, Any]) -> dict[str, str]:
    """The files of an artifact, which was one file and what its format wrote beside it under a further suffix."""
    beside = {name.removeprefix(f"{file}."): name for name in files if name.startswith(f"{file}.")}
    return {MODEL: file, **beside}


def _certificate(old: Mapping[str, Any]) -> dict[str, Any]:
    single = old.get("float32")
    names = {"images": "image_names", "floor": "rounding_error", "budget": "tolerance", "floors": "rounding_errors"}
    return {
        "version": Certificate.VERSION,
        "verdict": old["verdict"],
        "definitions": {"truth": old["truth"], "rounding_error": old["floor"]},
        "tolerance_factor": old["k"],
        "override": old["override"],
        "weights": old["weights"],
        "architecture": old["architecture"],
        "environment": old["environment"],
        "real_images": old["real_images"],
        "seed": old["seed"],
        "probe_recipe": old["made_of"],
        "probes": [_renamed(probe, names) for probe in old["probes"]],
        "coverage": None if old["sensitivity"] is None else _coverage(old["sensitivity"]),
        "artifacts": {
            name: {**record, "comparisons": _comparisons(record["comparisons"])}
            for name, record in old["artifacts"].items()
        },
        "prior_check": None if single is None else _prior_check(single),
    }


def _prior_check(old: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "precision": "fp32",
        "note": old["what"],
        "rounding_errors": {probe["name"]: probe["floor"] for probe in old["probes"]},
        "comparisons": {name: _comparisons(rows) for name, rows in old["artifacts"].items()},
    }


def _coverage(old: Mapping[str, Any]) -> dict[str, Any]:
    uncovered, fraction = old["unwatched"], old["share"]
    return {
        "fraction": fraction,
        "tensors": round(len(uncovered) / (1 - fraction)) if uncovered else None,
        "uncovered": uncovered,
        "by_weights": {_weights(name): share for name, share in old.items() if name not in NOT_WEIGHTS},
        "probe_weights_seed": old["probe_weights_seed"],
    }


def _comparisons(old: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    names = {"floor": "rounding_error", "budget": "tolerance"}
    return [{**_renamed(row, names), "weights": _weights(row["weights"])} for row in old]


def _weights(old: str) -> str:
    """`own weights` is now `own_weights`, and `probe weights 2` is `probe_weights_2`."""
    return old.replace(" ", "_")


def _renamed(old: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names.get(key, key): value for key, value in old.items()}
