"""Load the runners of a format, and judge an artifact at every setting asked for."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from zoo.contract.errors import ExportError, ZooError
from zoo.contract.evidence import Comparison, Override, Probe
from zoo.contract.specs import ExportFormat
from zoo.registry.refs import resolve
from zoo.registry.registry import Entry
from zoo_export.capture import first_line
from zoo_export.parity.backend import Backend
from zoo_export.parity.judge import Runner, run_and_judge


def takes_provider(entry: Entry[ExportFormat]) -> bool:
    """Whether the format can be told where to run: its runner has a parameter `provider`."""
    try:
        return "provider" in inspect.signature(resolve(entry, entry.spec.runner)).parameters
    except (TypeError, ValueError):  # no signature to be had
        return False


def load_runner(entry: Entry[ExportFormat], path: Path, provider: str = "cpu") -> Runner | Mapping[str, Runner]:
    """The runner of a format, on an artifact; `provider` goes to it only if it is not the CPU.

    Raises:
        ExportError: it does not load, or the plugin's code raised.
    """
    load = resolve(entry, entry.spec.runner)
    try:
        runner: Runner | Mapping[str, Runner] = load(path) if provider == "cpu" else load(path, provider=provider)
    except ZooError:
        raise
    except Exception as error:
        raise ExportError(
            f"{path.name} could not be loaded by the format {entry.spec.name}: {first_line(error)}",
            f"Report it to the author of {entry.plugin.distribution}.",
        ) from error
    if provider != "cpu" and not isinstance(runner, Mapping):
        return {provider: runner}
    return runner


def judge_artifact(
    entry: Entry[ExportFormat],
    path: Path,
    at: Callable[[Backend], Sequence[Probe]],
    settings: Sequence[Backend],
    weights: str,
    override: Override | None = None,
    on_judged: Callable[[Comparison, object], None] = lambda comparison, output: None,
) -> list[Comparison]:
    """Run the artifact at each setting, or on the CPU if its format knows no other, and judge it by the rounding error
    there.

    Args:
        at: the probes with the rounding error at a setting.
        override, on_judged: as for `run_and_judge`.

    Raises:
        DeviceError, ExportError: it does not load there.
    """
    if not takes_provider(entry):
        settings = [Backend(dtype=settings[0].dtype)]
    return [
        comparison
        for setting in settings
        for comparison in run_and_judge(
            load_runner(entry, path, setting.provider), at(setting), weights, override, on_judged
        )
    ]
