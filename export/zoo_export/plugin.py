"""What the export layer declares: formats, precisions, and the commands that use them."""

from collections.abc import Iterable

from zoo import Command, Spec, hookimpl
from zoo_export.formats import FORMATS
from zoo_export.precisions import PRECISIONS

COMMANDS = {
    "export": "Export a model and check that the artifacts compute what it computes",
    "verify": "Check an export folder, or a file against a model",
    "sign": "Sign a weights file, an exported file or an export folder with a local key",
    "predict": "Classify images with an export folder, a weights file or an architecture",
    "doctor": "Show versions, the devices that formats really run on, and folders",
}

CALLS = {
    "export": "zoo_export.pipeline:export_model",
    "verify": "zoo_export.verify:verify",
    "sign": "zoo_export.sign:sign",
    "predict": "zoo_export.open_artifact:open_export",
}


@hookimpl
def zoo_specs() -> Iterable[Spec]:
    """Declare formats, precisions and commands."""
    yield from FORMATS
    yield from PRECISIONS
    for name, summary in COMMANDS.items():
        call = CALLS.get(name, "")
        yield Command(name=name, summary=summary, run=f"zoo_export.commands.{name}:command", call=call)
