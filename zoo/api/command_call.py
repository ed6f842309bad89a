"""The types of the Python functions behind the commands `export` and `verify`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from zoo.contract.callback import Callback
from zoo.contract.evidence import Export, Verification
from zoo.contract.exporting.options import ExportOptions
from zoo.contract.formats import ExportFormat
from zoo.models.load import Model
from zoo.registry.registry import Entry, Registry


class ExportCall(Protocol):
    """The `call` of the command `export`."""

    def __call__(
        self,
        registry: Registry,
        model: Model,
        formats: Sequence[Entry[ExportFormat]],
        output: Path,
        data_root: Path,
        options: ExportOptions,
        callback: Callback,
    ) -> Export:
        """Export `model` to the folder `output`."""


class VerifyCall(Protocol):
    """The `call` of the command `verify`."""

    def __call__(
        self,
        registry: Registry,
        path: Path,
        *,
        against: Model | str | None,
        formats: Sequence[str],
        strict: bool,
        devices: Sequence[str],
        data_root: Path,
        callback: Callback,
        expect_digest: str | None,
        key: Path | None,
        seed: int | None,
        precision: str | None,
        min_coverage: float | None,
        trust: bool,
    ) -> Verification:
        """Verify an export folder, or a file against a model."""
