"""Load what runs an artifact, in this process. Loads neither torch nor numpy by itself."""

from collections.abc import Mapping

from zoo.contract.errors import ExportError, ZooError
from zoo.contract.exporting import artifact
from zoo.contract.exporting.artifact import Paths, Run
from zoo.contract.formats import ExportFormat
from zoo.registry.refs import resolve
from zoo.registry.registry import Entry
from zoo_export.reasons import first_line


def load_runner(
    entry: Entry[ExportFormat], paths: Paths, backend: artifact.Backend = artifact.CPU
) -> Mapping[str, Run]:
    """What runs an artifact, by name; a single function is named after its device, or nothing on the CPU.

    It runs in this process, without limits: for artifacts that this process has written, and for files that are
    trusted.

    Raises:
        DeviceError: it does not run on the device of `backend`.
        ExportError: it does not load, or the plugin's code raised.
    """
    load = resolve(entry, entry.spec.runner)
    try:
        runner: Run | Mapping[str, Run] = load(paths, backend)
    except (ZooError, MemoryError):
        raise
    except Exception as error:
        raise ExportError(
            f"The format {entry.spec.name} could not load {paths.main.name}: {first_line(error)}",
            f"Report it to the author of {entry.plugin.distribution}.",
        ) from error
    if isinstance(runner, Mapping):
        return runner
    return {"" if backend.device == "cpu" else backend.label: runner}
