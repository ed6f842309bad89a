"""`zoo doctor`: what is here, and what of it works."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.cli.options import json_option
from zoo.cli.output import print_fields, print_json

if TYPE_CHECKING:
    from zoo.cli.main import Lazy


@click.command("doctor", short_help="Show what is here and works")
@json_option
@click.pass_obj
def command(lazy: "Lazy", as_json: bool) -> None:
    """Show versions, devices, the onnxruntime providers that really load, folders and broken plugins."""
    from zoo.files.environment import versions
    from zoo.files.folders import data_root, weights_files, weights_folders
    from zoo.models.devices import available

    report: dict[str, Any] = {
        "versions": versions(),
        "devices": {name: _device(name) for name in available()},
        "onnxruntime": _providers(),
        "folders": {
            "data": _folder(data_root()),
            **{f"weights {index}": _folder(path) for index, path in enumerate(weights_folders(), 1)},
        },
        "weights": list(weights_files()),
        "plugins_left_out": {plugin.name: plugin.error for plugin in lazy.registry.plugins if plugin.error},
    }
    if as_json:
        print_json(report)
        return
    for title, content in report.items():
        click.echo(f"{title.replace('_', ' ')}:")
        if isinstance(content, dict):
            print_fields({f"  {name}": value for name, value in content.items()})
        else:
            click.echo(f"  {' '.join(content)}")


def _device(name: str) -> str:
    import platform

    import torch

    if name == "cuda":
        return ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
    return platform.machine() + (f", {torch.get_num_threads()} threads" if name == "cpu" else "")


def _providers() -> dict[str, str]:
    """Provider name to `works`, or to why not: onnxruntime itself falls back to another silently."""
    import onnxruntime

    from zoo_export.formats.onnx.providers import why_not

    found = {"version": onnxruntime.__version__}
    for name in onnxruntime.get_available_providers():
        found[name] = why_not(name) or "works"
    return found


def _folder(path: Path) -> str:
    return f"{path}{'' if path.is_dir() else ' (not there)'}"
