"""The core's own commands, declared as any plugin declares its own."""

from collections.abc import Iterable

from zoo.contract.hooks import hookimpl
from zoo.contract.specs import Command, Spec

COMMANDS = {
    "list": "List architectures, losses, data sets, export formats and commands",
    "show": "Show all fields of one architecture, data set, loss, format or card",
    "summary": "Show a model's layers, output shapes and parameters",
    "train": "Train an architecture on a data set",
    "evaluate": "Evaluate a weights file on a data set",
    "weights": "List, show, import and verify weights files",
    "plugins": "List plugins: what each provides, where it lies, and which were not loaded",
}


@hookimpl
def zoo_specs() -> Iterable[Spec]:
    """Declare the commands that need no export layer."""
    for name, summary in COMMANDS.items():
        yield Command(name=name, summary=summary, run=f"zoo.cli.commands.{name}:command")
