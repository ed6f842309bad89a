"""What the export layer declares: formats, precisions, and the commands that use them."""

from collections.abc import Iterable

from zoo import Command, Spec, hookimpl
from zoo_export.formats import FORMATS
from zoo_export.precisions import PRECISIONS

COMMANDS = {
    "export": "Export a model, and prove that the artifacts compute what the model computes",
    "verify": "Replay the proof of an export folder where it now is",
    "predict": "Classify images with an export folder, a weights file or an architecture",
    "doctor": "Show versions, the devices that formats really run on, and folders",
}


@hookimpl
def zoo_specs() -> Iterable[Spec]:
    """Declare formats, precisions and commands."""
    yield from FORMATS
    yield from PRECISIONS
    for name, summary in COMMANDS.items():
        yield Command(name=name, summary=summary, run=f"zoo_export.commands.{name}:command")
