"""The golden vectors: every probe's images and truth, so that the check can be repeated anywhere."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zoo.contract.errors import DifferenceError, ExportError
from zoo.contract.evidence import Probe
from zoo_export.truth.backend import Backend

NAME = "golden.npz"


def write_golden(path: Path, probes: Sequence[Probe]) -> None:
    """Write `P.input` float32 `[N, C, H, W]` and `P.truth` float64 `[N, K]` for every probe P."""
    arrays: dict[str, Any] = {}
    for probe in probes:
        arrays[f"{probe.name}.input"] = probe.images
        arrays[f"{probe.name}.truth"] = probe.truth
    np.savez(path, **arrays)


def read_golden(path: Path, probes: Sequence[Probe]) -> list[Probe]:
    """The probes of a certificate with the arrays that `write_golden` wrote.

    Raises:
        DifferenceError: the arrays of a probe are missing or malformed.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return [
                probe.with_arrays(
                    np.asarray(arrays[f"{probe.name}.input"], np.float32),
                    np.asarray(arrays[f"{probe.name}.truth"], np.float64),
                )
                for probe in probes
            ]
    except Exception as error:  # a damaged archive raises many kinds
        raise DifferenceError(
            f"{path} does not hold the probes that the certificate names ({error}).", "Export the model again."
        ) from None


def stored_at(probes: Sequence[Probe], backend: Backend) -> list[Probe]:
    """The same probes with the rounding errors that the certificate stores for `backend`.

    Raises:
        ExportError: it stores none, as the export was not judged there.
    """
    if backend.device == "cpu":
        return list(probes)
    try:
        return [probe.at(probe.rounding_errors[backend.label]) for probe in probes]
    except KeyError:
        raise ExportError(
            f"The certificate has no rounding error for {backend.label}.",
            "Add --strict, which measures it with the weights, or export with that --provider.",
        ) from None
