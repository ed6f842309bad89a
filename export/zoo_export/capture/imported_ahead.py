"""Import what an export needs while the model is evaluated, which leaves the interpreter idle most of the time."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from threading import Thread

from zoo.contract.errors import ZooError
from zoo.contract.formats import ExportFormat
from zoo.registry.refs import resolve
from zoo.registry.registry import Entry

LATE = ("torch.export._trace", "torch._functorch.aot_autograd", "networkx")
"""What `torch.export` imports at its first call. A version of PyTorch that lacks one of them does not need it."""


@contextmanager
def imported_ahead(formats: Sequence[Entry[ExportFormat]]) -> Iterator[None]:
    """Import the modules of `formats` in a thread of their own; all of them are imported when the block ends.

    What cannot be imported is imported again where it is needed, and raises there.
    """
    thread = Thread(target=_import, args=(formats,), name="imports", daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _import(formats: Sequence[Entry[ExportFormat]]) -> None:
    for entry in formats:
        for ref in (entry.spec.export, entry.spec.runner):
            with suppress(ZooError):
                resolve(entry, ref)
    for module in LATE:
        with suppress(ImportError):
            import_module(module)
