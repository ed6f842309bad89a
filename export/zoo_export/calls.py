"""The Python functions behind `zoo export` and `zoo verify`, which `zoo.export` and `zoo.verify` call."""

from collections.abc import Sequence
from pathlib import Path

from zoo.contract.callback import Callback
from zoo.contract.errors import UsageError
from zoo.contract.evidence import PASS, UNVERIFIED, Export, Override, Verification
from zoo.contract.formats import ExportFormat
from zoo.contract.precisions import Precision
from zoo.files.atomic import refuse_existing
from zoo.models.load import Model, open_model
from zoo.registry.registry import Registry
from zoo_export.against import verify_file
from zoo_export.artifacts import default_formats
from zoo_export.failures.unverified import warning, warnings_of
from zoo_export.options import ExportOptions
from zoo_export.pipeline import export_model
from zoo_export.probes.sizes import smallest_size
from zoo_export.verify import verify_folder


def export(
    registry: Registry,
    model: Model,
    output: Path,
    *,
    formats: Sequence[str],
    precision: str,
    dynamic_size: bool,
    devices: Sequence[str],
    verify: bool,
    atol: float | None,
    rtol: float | None,
    save_failure: Path | None,
    data_root: Path,
    force: bool,
    callback: Callback,
) -> Export:
    """Export `model` to the folder `output`; see `zoo.export` for the arguments.

    Raises:
        UsageError: options exclude each other.
        ZooError: as `zoo_export.pipeline.export_model`.
    """
    entries = [registry.find(ExportFormat, name) for name in formats or default_formats(registry)]
    registry.find(Precision, precision)
    if not verify and (atol is not None or rtol is not None or save_failure is not None or tuple(devices) != ("cpu",)):
        raise UsageError(
            "--no-verify excludes --atol, --rtol, --save-failure and --provider.",
            "Leave out --no-verify, or leave out the others.",
        )
    refuse_existing(output, force)
    override = None if atol is None and rtol is None else Override(atol or 0.0, rtol or 0.0)
    options = ExportOptions(
        verify=verify,
        override=override,
        save=save_failure,
        force=force,
        devices=tuple(devices),
        precision=precision,
        smallest=smallest_size(registry, model) if dynamic_size else None,
    )
    if text := warning(PASS if verify else UNVERIFIED, override):
        callback.on_message(text, warning=True)
    exported = export_model(
        registry, model, entries, output, data_root, force=force, options=options, callback=callback
    )
    for text in warnings_of(exported.manifest)[1:]:  # the first was shown before the work began
        callback.on_message(text, warning=True)
    return exported


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
) -> Verification:
    """Verify an export folder, or a file against a model; see `zoo.verify` for the arguments.

    Raises:
        UsageError: options exclude each other.
        ZooError: as `zoo_export.verify.verify_folder` and `zoo_export.against.verify_file`.
    """
    if path.is_file():
        if against is None or strict or formats:
            raise UsageError(
                f"{path} is a file, not an export folder.",
                "Use --against MODEL; --strict and --format are for folders.",
            )
        model = against if isinstance(against, Model) else open_model(registry, against)
        return verify_file(registry, path, model, data_root, devices)
    verification = verify_folder(registry, path, formats, strict=strict, against=against, devices=devices)
    if verification.manifest is not None and not strict:
        for text in warnings_of(verification.manifest):
            callback.on_message(text, warning=True)
    return verification
