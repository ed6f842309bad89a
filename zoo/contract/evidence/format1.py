"""Read manifests of format 1, which zoo 0.1.0 wrote: rename their keys to those of format 2. No number changes."""

from collections.abc import Mapping
from typing import Any

from zoo.contract.evidence.certificate import Certificate
from zoo.contract.evidence.manifest import Manifest
from zoo.contract.formats import MODEL
from zoo.contract.reading import Field, fields

OLD = 1
PRECISIONS = {"float32": "fp32", "float16": "fp16"}
NOT_WEIGHTS = ("what", "share", "unwatched", "probe_weights_seed")


def upgraded(manifest: dict[str, Any]) -> dict[str, Any]:
    """A manifest of format 1 as one of format 2; any other is returned as it is.

    Raises:
        Malformed: a field is missing, or of a type that it cannot be read from.
    """
    old = fields(manifest)
    if old["format"].value != OLD:
        return manifest
    rest = {key: value for key, value in manifest.items() if key not in ("formats", "precision")}
    formats, precision = old.get("formats"), old.get("precision")
    names = {name: each.text(1_000) for name, each in formats.entries().items()} if formats else {}
    files = old["files"].entries()
    return {
        **rest,
        "format": Manifest.FORMAT,
        "precision": PRECISIONS[precision.choice(list(PRECISIONS)) if precision else "float32"],
        "input": _renamed(old["input"], {"smallest": "min_size"}),
        "artifacts": {
            name: {"files": _roles(file.text(255), files), "format": names.get(name, name)}
            for name, file in old["artifacts"].entries().items()
        },
        "certificate": _certificate(old["certificate"]),
    }


def _roles(file: str, files: Mapping[str, Any]) -> dict[str, str]:
    """The files of an artifact, which was one file and what its format wrote beside it under a further suffix."""
    beside = {name.removeprefix(f"{file}."): name for name in files if name.startswith(f"{file}.")}
    return {MODEL: file, **beside}


def _certificate(old: Field) -> dict[str, Any]:
    names = {"images": "image_names", "floor": "rounding_error", "budget": "tolerance", "floors": "rounding_errors"}
    single = old.get("float32")
    return {
        "version": Certificate.VERSION,
        "verdict": old["verdict"].value,
        "definitions": {"truth": old["truth"].value, "rounding_error": old["floor"].value},
        "tolerance_factor": old["k"].value,
        "override": old["override"].value,
        "weights": old["weights"].value,
        "architecture": old["architecture"].value,
        "environment": old["environment"].value,
        "real_images": old["real_images"].value,
        "seed": old["seed"].value,
        "probe_recipe": old["made_of"].value,
        "probes": [_renamed(probe, names) for probe in old["probes"].items()],
        "coverage": old["sensitivity"].optional(_coverage),
        "artifacts": {
            name: {**_renamed(record, {}), "comparisons": _comparisons(record["comparisons"])}
            for name, record in old["artifacts"].entries().items()
        },
        "prior_check": single.optional(_prior_check) if single else None,
    }


def _prior_check(old: Field) -> dict[str, Any]:
    return {
        "precision": "fp32",
        "note": old["what"].value,
        "rounding_errors": {probe["name"].text(1_000): probe["floor"].value for probe in old["probes"].items()},
        "comparisons": {name: _comparisons(rows) for name, rows in old["artifacts"].entries().items()},
    }


def _coverage(old: Field) -> dict[str, Any]:
    uncovered, fraction = [name.text() for name in old["unwatched"].items()], old["share"].number(0, 1)
    return {
        "fraction": fraction,
        "tensors": round(len(uncovered) / max(1 - fraction, 1e-9)) if uncovered else None,
        "uncovered": uncovered,
        "by_weights": {_weights(name): each.value for name, each in old.entries().items() if name not in NOT_WEIGHTS},
        "probe_weights_seed": old["probe_weights_seed"].value,
    }


def _comparisons(old: Field) -> list[dict[str, Any]]:
    names = {"floor": "rounding_error", "budget": "tolerance"}
    return [{**_renamed(row, names), "weights": _weights(row["weights"].text(100))} for row in old.items()]


def _weights(old: str) -> str:
    """`own weights` is now `own_weights`, and `probe weights 2` is `probe_weights_2`."""
    return old.replace(" ", "_")


def _renamed(old: Field, names: Mapping[str, str]) -> dict[str, Any]:
    return {names.get(key, key): each.value for key, each in old.entries().items()}
