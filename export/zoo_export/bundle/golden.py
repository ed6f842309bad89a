"""The golden vectors: every probe's images and truth, and raw images, so that the check can be repeated anywhere."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile

import numpy as np

from zoo.contract.errors import DifferenceError, ExportError
from zoo.contract.evidence import Probe
from zoo.files.regular import open_regular
from zoo_export.probes.probe_recipe import input_digest
from zoo_export.truth.backend import Backend

NAME = "golden.npz"


def write_golden(path: Path, probes: Sequence[Probe], images: Mapping[str, Any]) -> None:
    """Write `P.input` float32 `[N, C, H, W]` and `P.truth` float64 `[N, K]` for every probe P.

    Args:
        images: arrays by name, which come first: raw images and what preprocessing makes of them.
    """
    arrays = dict(images)
    for probe in probes:
        arrays[f"{probe.name}.input"] = probe.images
        arrays[f"{probe.name}.truth"] = probe.truth
    np.savez(path, **arrays)


def read_golden(path: Path, probes: Sequence[Probe]) -> list[Probe]:
    """The probes of a certificate with the arrays that `write_golden` wrote.

    Nothing is allocated that the file does not hold: no array is compressed, and each is as large as its header says.

    Raises:
        DifferenceError: the arrays of a probe are missing or malformed; or they are compressed, which `write_golden`
            never does, so that they could have any size.
    """
    try:
        with open_regular(path) as file, ZipFile(file) as archive:
            return [_with_arrays(probe, archive) for probe in probes]
    except Exception as error:  # a damaged archive raises many kinds
        raise DifferenceError(
            f"{path} does not hold the probes that the certificate names ({error}).", "Export the model again."
        ) from None


def _with_arrays(probe: Probe, archive: ZipFile) -> Probe:
    images = read_array(archive, f"{probe.name}.input", np.dtype(np.float32), (probe.n, None, None, None))
    truth = read_array(archive, f"{probe.name}.truth", np.dtype(np.float64), (probe.n, None))
    read = probe.with_arrays(images, truth)
    if input_digest(read) != probe.sha256:
        raise ValueError(f"{probe.name}.input is not what its sha256 is of")
    return read


def read_array(archive: ZipFile, name: str, dtype: "np.dtype[Any]", shape: tuple[int | None, ...]) -> Any:
    """A finite array of an archive, of a dtype and a shape, in which `None` stands for any size from 1.

    Raises:
        ValueError, LookupError: it is missing, compressed, or of another dtype or shape.
    """
    entry = archive.getinfo(f"{name}.npy")
    if entry.compress_type != ZIP_STORED:
        raise ValueError(f"{name} is compressed")
    with archive.open(entry) as file:
        np.lib.format.read_magic(file)
        stored, fortran, kind = np.lib.format.read_array_header_1_0(file)
        fits = len(stored) == len(shape) and all(a > 0 and b in (a, None) for a, b in zip(stored, shape, strict=True))
        if not fits or kind != dtype or math.prod(stored) * dtype.itemsize > entry.file_size:
            raise ValueError(f"{name} is {kind} {list(stored)}")
        content = np.frombuffer(file.read(entry.file_size), dtype)
    array = content.reshape(stored, order="F" if fortran else "C").copy()  # which can be written, as torch wants it
    if not np.isfinite(array).all():
        raise ValueError(f"{name} has values that are not finite")
    return array


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
