"""The Python function behind a command, which a plugin declares as its `call`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from zoo.contract.callback import Callback
from zoo.contract.errors import PluginError
from zoo.contract.evidence import Export, Verification
from zoo.contract.exporting.options import ExportOptions
from zoo.contract.formats import ExportFormat
from zoo.contract.specs import Command
from zoo.models.load import Model
from zoo.registry.refs import resolve
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


def call_of(registry: Registry, command: str) -> Any:
    """The Python function of a command.

    Raises:
        UnknownName: no plugin provides the command.
        PluginError: it declares no function.
    """
    entry = registry.find(Command, command)
    if not entry.spec.call:
        raise PluginError(
            f"The command {command} of {entry.plugin.distribution} has no Python function.",
            f"Use `zoo {command}`, or another plugin.",
        )
    return resolve(entry, entry.spec.call)
