"""The golden vectors: every probe's images and truth, so that the check can be repeated anywhere."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipInfo

import numpy as np

from zoo.contract.errors import DifferenceError, ExportError
from zoo.contract.evidence import Probe
from zoo.files.regular import open_regular
from zoo_export.truth.backend import Backend

NAME = "golden.npz"
MAX_BYTES = 2**31  # of one array; those of a check on images of 1024² have a twentieth of that


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
        DifferenceError: the arrays of a probe are missing or malformed; or they are compressed, which `write_golden`
            never does, so that they could have any size.
    """
    try:
        with open_regular(path) as file, np.load(file, allow_pickle=False) as arrays:
            _refuse_large(arrays.zip.infolist())
            return [_with_arrays(probe, arrays) for probe in probes]
    except Exception as error:  # a damaged archive raises many kinds
        raise DifferenceError(
            f"{path} does not hold the probes that the certificate names ({error}).", "Export the model again."
        ) from None


def _refuse_large(members: Sequence[ZipInfo]) -> None:
    """Refuse what could take more memory than the file has bytes."""
    for member in members:
        if member.compress_type != ZIP_STORED or not member.file_size <= min(MAX_BYTES, member.compress_size):
            raise ValueError(f"{member.filename!r:.80} is compressed, or has more than {MAX_BYTES} bytes")


def _with_arrays(probe: Probe, arrays: Mapping[str, Any]) -> Probe:
    images, truth = (arrays[f"{probe.name}.{kind}"] for kind in ("input", "truth"))
    fit = images.dtype == np.float32 and truth.dtype == np.float64 and images.ndim == 4 and truth.ndim == 2
    if not fit or not len(images) == len(truth) == probe.n or not np.isfinite(truth).all():
        raise ValueError(f"the arrays of {probe.name} do not fit it")
    return probe.with_arrays(images, truth)


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
