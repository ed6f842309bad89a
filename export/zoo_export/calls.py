"""The Python function behind `zoo verify`, which `zoo.verify` calls."""

from collections.abc import Sequence
from pathlib import Path

from zoo.contract.callback import Callback
from zoo.contract.errors import UsageError
from zoo.contract.evidence import Verification
from zoo.models.load import Model, open_model
from zoo.registry.registry import Registry
from zoo_export.against import verify_file
from zoo_export.failures.unverified import warnings_of
from zoo_export.verify import verify_folder


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
