"""The golden vectors: every probe's input and truth, so that the proof can be replayed anywhere."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from zoo.contract.errors import DifferenceError, ExportError
from zoo_export.parity.backend import Backend
from zoo_export.parity.reference import Reference
from zoo_export.probes.probes import Probe

NAME = "golden.npz"


def write_golden(path: Path, references: Sequence[Reference]) -> None:
    """Write `P.input` float32 `[N, C, H, W]` and `P.truth` float64 `[N, K]` for every probe P."""
    arrays: dict[str, Any] = {}
    for reference in references:
        arrays[f"{reference.probe.name}.input"] = reference.probe.images
        arrays[f"{reference.probe.name}.truth"] = reference.truth
    np.savez(path, **arrays)


def read_golden(path: Path, certificate: Mapping[str, Any]) -> list[Reference]:
    """Read what `write_golden` wrote; the rounding errors, those on the CPU, come from the certificate.

    Raises:
        DifferenceError: a probe that the certificate names is not there, or malformed.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return [
                Reference(
                    Probe(probe["name"], np.asarray(arrays[f"{probe['name']}.input"], np.float32)),
                    np.asarray(arrays[f"{probe['name']}.truth"], np.float64),
                    float(probe["rounding_error"]),
                )
                for probe in certificate["probes"]
            ]
    except Exception as error:  # a damaged archive raises many kinds
        raise DifferenceError(
            f"{path} does not hold what the certificate names ({error}).", "Export the model again."
        ) from None


def stored_at(references: Sequence[Reference], certificate: Mapping[str, Any], setting: Backend) -> list[Reference]:
    """The same references with the rounding errors that the certificate has for `setting`.

    Raises:
        ExportError: it has none, as the export was not judged there.
    """
    if setting.device == "cpu":
        return list(references)
    try:
        rounding_errors = [float(probe["rounding_errors"][setting.label]) for probe in certificate["probes"]]
    except (KeyError, TypeError, ValueError):
        raise ExportError(
            f"The certificate does not say what PyTorch's own rounding error on {setting.label} is.",
            "Say --strict too, which measures it with the weights, or export with that --provider.",
        ) from None
    return [
        replace(reference, rounding_error=rounding_error)
        for reference, rounding_error in zip(references, rounding_errors, strict=True)
    ]
