"""The golden vectors: every probe's input and truth, so that the proof can be replayed anywhere."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zoo.errors import DifferenceError
from zoo_export.parity.probes import Probe
from zoo_export.parity.reference import Reference

NAME = "golden.npz"


def write_golden(path: Path, references: Sequence[Reference]) -> None:
    """Write `P.input` float32 `[N, C, H, W]` and `P.truth` float64 `[N, K]` for every probe P."""
    arrays: dict[str, Any] = {}
    for reference in references:
        arrays[f"{reference.probe.name}.input"] = reference.probe.images
        arrays[f"{reference.probe.name}.truth"] = reference.truth
    np.savez(path, **arrays)


def read_golden(path: Path, certificate: Mapping[str, Any]) -> list[Reference]:
    """Read what `write_golden` wrote; the floors come from the certificate.

    Raises:
        DifferenceError: a probe that the certificate names is not there, or malformed.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return [
                Reference(
                    Probe(probe["name"], np.asarray(arrays[f"{probe['name']}.input"], np.float32)),
                    np.asarray(arrays[f"{probe['name']}.truth"], np.float64),
                    float(probe["floor"]),
                )
                for probe in certificate["probes"]
            ]
    except Exception as error:  # a damaged archive raises many kinds
        raise DifferenceError(
            f"{path} does not hold what the certificate names ({error}).", "Export the model again."
        ) from None
