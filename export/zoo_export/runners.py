"""Load what runs an artifact, in this process or in one of its own, and judge the artifact on every backend."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from zoo.contract.callback import SILENT, Callback
from zoo.contract.evidence import Comparison, Override, Probe
from zoo.contract.exporting import artifact
from zoo.contract.exporting.artifact import Paths, Run
from zoo.contract.exporting.inspection import Structure
from zoo.contract.exporting.precision_rules import PrecisionRules
from zoo.contract.formats import ExportFormat
from zoo.registry.registry import Entry
from zoo_export.containment.artifact import ContainedArtifact
from zoo_export.containment.loading import load_runner
from zoo_export.devices import usable_devices
from zoo_export.parity.judge import run_and_judge
from zoo_export.precisions.fp32 import FP32
from zoo_export.truth.backend import Backend

Load = Callable[[artifact.Backend], Mapping[str, Run]]
"""Loads an artifact on a backend: its functions, by name."""


def in_process(entry: Entry[ExportFormat], paths: Paths) -> Load:
    """How an artifact is loaded that this very process has written: here, as its code is this process's own."""
    return partial(load_runner, entry, paths)


def in_child(
    entry: Entry[ExportFormat], paths: Paths, devices: Sequence[str] = (artifact.CPU.device,)
) -> ContainedArtifact:
    """An artifact of any origin in a process of its own, which begins to import what it needs.

    Args:
        devices: that it will be run on.

    Raises:
        UsageError: a limit in the environment is malformed.
        ContainmentError: the process cannot be started.
    """
    spec, accelerator = entry.spec, set(devices) != {artifact.CPU.device}
    return ContainedArtifact(spec.runner, spec.name, entry.plugin.distribution, paths, accelerator=accelerator)


@contextmanager
def opened(
    entry: Entry[ExportFormat], paths: Paths, devices: Sequence[str] = (artifact.CPU.device,), *, trust: bool = False
) -> Iterator[Load]:
    """How an artifact is loaded that this process did not write: in a child, unless the user trusts it.

    Raises:
        UsageError, ContainmentError: as `in_child`.
    """
    if trust:
        yield in_process(entry, paths)
        return
    child = in_child(entry, paths, devices)
    try:
        yield child.load
    finally:
        child.close()


def try_reading(entry: Entry[ExportFormat], paths: Paths, *, count: bool = True) -> Structure | None:
    """Read what an artifact claims, and its structure, in a child first, so that no file can exhaust this process.

    Args:
        count: count the operators, too, where the artifact must be loaded for that.

    Returns:
        The operators that the child counted, where the format must load an artifact for that.

    Raises:
        UsageError, ContainmentError: as `in_child`; or reading goes over the limits.
        ExportError: it does not load, where it must be loaded.
    """
    spec, reads = entry.spec, [ref for ref in (entry.spec.claims, entry.spec.structure) if ref]
    if not reads:
        return None
    child = ContainedArtifact(spec.runner, spec.name, entry.plugin.distribution, paths, reads=reads)
    try:
        return child.read(spec.operators if count else "")
    finally:
        child.close()


def judge_artifact(
    entry: Entry[ExportFormat],
    paths: Paths,
    at: Callable[[Backend], Sequence[Probe]],
    backends: Sequence[Backend],
    weights: str,
    override: Override | None = None,
    on_judged: Callable[[Comparison, object, Backend], None] = lambda comparison, output, backend: None,
    rules: PrecisionRules = FP32,
    load: Load | None = None,
    dealt: Callable[[Probe], bool] = lambda probe: False,
    callback: Callback = SILENT,
) -> list[Comparison]:
    """Run the artifact on each backend whose device its format knows, or else on the CPU, and judge every result.

    Args:
        at: the probes with the rounding error on a backend.
        override, rules: as for `run_and_judge`.
        on_judged: called with each comparison, what was judged, an array or an error, and the backend.
        dealt: as for `run_and_judge`.
        load: how the artifact is loaded, see `in_process` and `opened`; by default in a child of its own.
        callback: receives the progress on each backend, comparison by comparison.

    Raises:
        DeviceError, ExportError: it does not load there.
        ContainmentError: it could not be run to its end.
    """
    devices = usable_devices(entry, [backend.device for backend in backends])
    usable = [backend for backend in backends if backend.device in devices]
    usable = usable or [Backend(precision=backends[0].precision, dtype=backends[0].dtype)]
    if load is None:
        with opened(entry, paths, [backend.device for backend in usable]) as in_its_child:
            return judge_artifact(
                entry, paths, at, usable, weights, override, on_judged, rules, in_its_child, dealt, callback
            )
    comparisons: list[Comparison] = []
    for backend in usable:
        runners, probes = load(backend), at(backend)
        on_each = _Judged(on_judged, callback, f"checking {paths.main.name}", backend, len(runners) * len(probes))
        comparisons += run_and_judge(runners, probes, weights, override, on_each, rules, dealt)
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
