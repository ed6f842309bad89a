"""`zoo doctor`: versions, devices, formats, folders and plugins, and which of them work."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.api.terminal import LOADING, announce
from zoo.cli.options import json_option
from zoo.cli.output import print_fields, print_json, print_line

if TYPE_CHECKING:
    from zoo.cli.main import Lazy
    from zoo.contract.formats import ExportFormat
    from zoo.registry.registry import Entry, Registry


@click.command("doctor")
@json_option
@click.pass_obj
def command(lazy: "Lazy", as_json: bool) -> None:
    """Show versions, PyTorch's devices, the devices that each format really runs on, folders and broken plugins."""
    announce(LOADING)
    from zoo.contract.formats import ExportFormat
    from zoo.files.environment import PACKAGES, versions
    from zoo.files.folders import data_root, weights_files, weights_folders
    from zoo.models.devices import available
    from zoo_export.containment.restrictions_here import restrictions_here
    from zoo_export.installation import installation_warnings

    formats = lazy.registry.entries(ExportFormat)
    needed = [package for entry in formats for package in entry.spec.requires]
    report: dict[str, Any] = {
        "versions": versions((*PACKAGES, *needed)),
        "devices": {name: _device(name) for name in available()},
        "formats": {entry.qualified: _runs_on(lazy.registry, entry) for entry in formats},
        "conflicts": list(installation_warnings(formats)),
        "limits_on_artifacts": restrictions_here(),
        "folders": {"data": _folder(data_root()), "weights": [_folder(path) for path in weights_folders()]},
        "weights": list(weights_files()),
        "plugins_left_out": {
            plugin.name: plugin.error or "not allowed by your list of plugins"
            for plugin in lazy.registry.plugins
            if plugin.error or not plugin.allowed
        },
    }
    if as_json:
        print_json(report)
        return
    _print_report(report)


def _device(name: str) -> str:
    import platform

    import torch

    if name == "cuda":
        return ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
    return platform.machine() + (f", {torch.get_num_threads()} threads" if name == "cpu" else "")


def _runs_on(registry: "Registry", entry: "Entry[ExportFormat]") -> dict[str, str]:
    """Device name to `works`, or to why the format does not run there."""
    from zoo.contract.errors import ZooError
    from zoo.contract.formats import ExportFormat
    from zoo_export.devices import devices_of

    try:
        registry.find(ExportFormat, registry.short_name(entry))
        return {name: check() or "works" for name, check in devices_of(entry).items()}
    except ZooError as error:
        return {"cpu": error.cause}


def _folder(path: Path) -> dict[str, Any]:
    return {"path": str(path), "exists": path.is_dir()}


def _print_report(report: dict[str, Any]) -> None:
    folders = report["folders"]
    formats = {f"{name} on {device}": text for name, row in report["formats"].items() for device, text in row.items()}
    weights = ", ".join(_folder_text(folder) for folder in folders["weights"])
    fields = {**report, "formats": formats, "folders": {"data": _folder_text(folders["data"]), "weights": weights}}
    for title, content in fields.items():
        if not content:
            continue
        print_line(f"{title.replace('_', ' ')}:")
        if isinstance(content, dict):
            print_fields({f"  {name}": value for name, value in content.items()})
        else:
            print_line(f"  {' '.join(content)}")


def _folder_text(folder: dict[str, Any]) -> str:
    return folder["path"] if folder["exists"] else f"{folder['path']} (does not exist)"
