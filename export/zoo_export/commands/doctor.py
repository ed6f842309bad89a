"""`zoo doctor`: what is here, and what of it works."""

import io
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
    from zoo.devices import available
    from zoo.environment import versions
    from zoo.folders import data_root, weights_files, weights_folders

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
    """Provider name to `works`, or to why a session does not get it: onnxruntime itself falls back silently."""
    from contextlib import redirect_stdout

    import onnx
    import onnxruntime
    from onnx import TensorProto, helper

    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", value[:1], value[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    content = onnx.ModelProto.SerializeToString(model)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    found = {"version": onnxruntime.__version__}
    onnxruntime.set_default_logger_severity(4)  # what it says of a library that is not there is said here
    for provider in onnxruntime.get_available_providers():
        try:
            with redirect_stdout(io.StringIO()):  # onnxruntime prints its way back to another provider
                got = onnxruntime.InferenceSession(content, options, providers=[provider]).get_providers()
            found[provider] = "works" if provider in got else f"does not load; a session gets {', '.join(got)}"
        except Exception as error:
            found[provider] = f"does not load: {str(error).splitlines()[0]}"
    return found


def _folder(path: Path) -> str:
    return f"{path}{'' if path.is_dir() else ' (not there)'}"
