"""What `zoo verify` and `zoo.verify` do: repeat the check of an export folder, or check a file against a model."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from zoo.contract.callback import Callback
from zoo.contract.errors import ExportError, UsageError
from zoo.contract.evidence import PASS, UNVERIFIED, Verification
from zoo.files.expected_digest import check_digest
from zoo.files.folders import SUFFIX
from zoo.files.regular import is_regular
from zoo.files.weights import load_weights
from zoo.models.load import Model
from zoo.registry.registry import Registry
from zoo_export.bundle.provenance import sha256
from zoo_export.failures.unverified import warnings_of
from zoo_export.precisions.in_use import find_precision
from zoo_export.probes.fresh import new_seed
from zoo_export.signatures.check import check_signature
from zoo_export.verification.file import verify_file
from zoo_export.verification.folder import verify_folder
from zoo_export.verification.truth_model import open_against


def verify(
    registry: Registry,
    path: Path,
    *,
    against: Model | str | None,
    formats: Sequence[str],
    strict: bool,
    devices: Sequence[str],
    data_root: Path,
    callback: Callback,
    seed: int | None = None,
    key: Path | None = None,
    trust: bool = False,
    expect_digest: str | None = None,
    precision: str | None = None,
    min_coverage: float | None = None,
) -> Verification:
    """Verify an export folder, or a file against a model; see `zoo.verify` for the arguments.

    Raises:
        UsageError: options exclude each other, or a number is out of range.
        ExportError: `path` is missing.
        ZooError: as `check_signature`, `verify_folder`, `verify_file` and `load_weights`.
    """
    if not os.path.lexists(path):
        raise ExportError(f"There is no file or folder {path}.", "Check the path.")
    if min_coverage is not None and not 0 <= min_coverage <= 1:
        raise UsageError(f"--min-coverage {min_coverage:g} is no fraction.", "Use a number from 0 to 1, such as 0.75.")
    if key is not None:
        signed_by = check_signature(path, key)
        if path.name.endswith(SUFFIX):
            compared = bool(against or strict or formats or precision or min_coverage is not None)
            return _signed_weights(path, signed_by, expect_digest, compared=compared)
        if against is None and is_regular(path):
            if strict or formats or precision or seed is not None or min_coverage is not None:
                raise UsageError(
                    f"The signature of {path} holds, and there is no model to compare the file with.",
                    "Use --against MODEL, or leave out --strict, --format, --precision, --min-coverage and --seed.",
                )
            return _signed_file(path, signed_by, expect_digest, callback)
        verification = verify(
            registry,
            path,
            against=against,
            formats=formats,
            strict=strict,
            devices=devices,
            data_root=data_root,
            callback=callback,
            seed=seed,
            trust=trust,
            expect_digest=expect_digest,
            precision=precision,
            min_coverage=min_coverage,
        )
        return replace(verification, signed_by=signed_by)
    if seed is not None and not 0 <= seed < 2**32:
        raise UsageError(f"--seed {seed} is not a seed.", "Use an integer from 0 to 4294967295.")
    chosen = new_seed() if seed is None else seed
    if is_regular(path):
        if path.name.endswith(SUFFIX):
            raise UsageError(
                f"{path} is a weights file.", f"Use `zoo weights verify {path}`, or check its signature with --key."
            )
        if against is None:
            raise UsageError(
                f"{path} is a single file, and there is no model to compare it with.",
                "Use --against MODEL, or --key PUBLIC.pem to check its signature alone.",
            )
        if formats:
            raise UsageError(f"{path} is a single file, and --format is for export folders.", "Leave out --format.")
        if expect_digest is not None:
            check_digest(expect_digest, f"sha256:{sha256(path)}", str(path))
        model = against if isinstance(against, Model) else open_against(registry, against)
        verification = verify_file(
            registry,
            path,
            model,
            data_root,
            devices,
            seed=chosen,
            strict=strict,
            trust=trust,
            precision=None if precision is None else find_precision(registry, precision),
            min_coverage=min_coverage,
            callback=callback,
        )
    else:
        for option, value in (("--precision", precision), ("--min-coverage", min_coverage)):
            if value is not None:
                raise UsageError(
                    f"{path} is no single file, and {option} is for single files.",
                    f"Leave out {option}: the manifest of an export folder records it.",
                )
        verification = verify_folder(
            registry,
            path,
            formats,
            strict=strict or against is not None,
            against=against,
            devices=devices,
            data_root=data_root,
            seed=chosen,
            trust=trust,
            expect_digest=expect_digest,
            callback=callback,
        )
        if verification.manifest is not None:
            for text in warnings_of(verification.manifest, overridden=not verification.strict):
                callback.on_message(text, warning=True)
    for text in verification.warnings:
        callback.on_message(text, warning=True)
    return verification


def _signed_file(path: Path, signed_by: str, expect_digest: str | None, callback: Callback) -> Verification:
    """What is known of an exported file whose signature holds, where no model is there to compare it with."""
    if expect_digest is not None:
        check_digest(expect_digest, f"sha256:{sha256(path)}", str(path))
    text = f"The signature of {path} holds; its numbers were not compared. Use --against MODEL to compare them."
    callback.on_message(text, warning=True)
    return Verification(path, path.name, UNVERIFIED, {}, warnings=(text,), signed_by=signed_by)


def _signed_weights(path: Path, signed_by: str, expect_digest: str | None, *, compared: bool) -> Verification:
    """Check a weights file as `zoo weights verify` does."""
    if compared:
        raise UsageError(
            f"{path} is a weights file.",
            "--against, --strict, --format, --precision and --min-coverage are for exports: leave them out.",
        )
    load_weights(path, expect_digest)
    return Verification(path, path.name.removesuffix(SUFFIX), PASS, {}, signed_by=signed_by)
