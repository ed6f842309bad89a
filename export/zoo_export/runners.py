"""Load what runs an artifact, and judge the artifact on every backend."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from zoo.contract.callback import SILENT, Callback
from zoo.contract.errors import ExportError, ZooError
from zoo.contract.evidence import Comparison, Override, Probe
from zoo.contract.exporting import artifact
from zoo.contract.exporting.artifact import Paths, Run
from zoo.contract.exporting.precision_rules import PrecisionRules
from zoo.contract.formats import ExportFormat
from zoo.registry.refs import resolve
from zoo.registry.registry import Entry
from zoo_export.capture import first_line
from zoo_export.devices import usable_devices
from zoo_export.parity.judge import run_and_judge
from zoo_export.precisions.fp32 import FP32
from zoo_export.truth.backend import Backend


def load_runner(
    entry: Entry[ExportFormat], paths: Paths, backend: artifact.Backend = artifact.CPU
) -> Mapping[str, Run]:
    """What runs an artifact, by name; a single function is named after its device, or nothing on the CPU.

    Raises:
        DeviceError: it does not run on the device of `backend`.
        ExportError: it does not load, or the plugin's code raised.
    """
    load = resolve(entry, entry.spec.runner)
    try:
        runner: Run | Mapping[str, Run] = load(paths, backend)
    except ZooError:
        raise
    except Exception as error:
        raise ExportError(
            f"The format {entry.spec.name} could not load {paths.main.name}: {first_line(error)}",
            f"Report it to the author of {entry.plugin.distribution}.",
        ) from error
    if isinstance(runner, Mapping):
        return runner
    return {"" if backend.device == "cpu" else backend.label: runner}


def judge_artifact(
    entry: Entry[ExportFormat],
    paths: Paths,
    at: Callable[[Backend], Sequence[Probe]],
    backends: Sequence[Backend],
    weights: str,
    override: Override | None = None,
    on_judged: Callable[[Comparison, object, Backend], None] = lambda comparison, output, backend: None,
    rules: PrecisionRules = FP32,
    callback: Callback = SILENT,
) -> list[Comparison]:
    """Run the artifact on each backend whose device its format knows, or else on the CPU, and judge every result.

    Args:
        at: the probes with the rounding error on a backend.
        override, rules: as for `run_and_judge`.
        on_judged: called with each comparison, what was judged, an array or an error, and the backend.
        callback: receives the progress on each backend, comparison by comparison.

    Raises:
        DeviceError, ExportError: it does not load there.
    """
    devices = usable_devices(entry, [backend.device for backend in backends])
    usable = [backend for backend in backends if backend.device in devices]
    usable = usable or [Backend(precision=backends[0].precision, dtype=backends[0].dtype)]
    comparisons: list[Comparison] = []
    for backend in usable:
        runners, probes = load_runner(entry, paths, backend), at(backend)
        judged = _Judged(on_judged, callback, f"checking {paths.main.name}", backend, len(runners) * len(probes))
        comparisons += run_and_judge(runners, probes, weights, override, judged, rules)
    return comparisons


@dataclass
class _Judged:
    """Passes on each comparison with its backend, and reports how many of `total` are done."""

    on_judged: Callable[[Comparison, object, Backend], None]
    callback: Callback
    stage: str
    backend: Backend
    total: int
    done: int = 0

    def __call__(self, comparison: Comparison, output: object) -> None:
        self.done += 1
        self.on_judged(comparison, output, self.backend)
        self.callback.on_progress(self.stage, self.done, self.total)
