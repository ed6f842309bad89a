"""Judge the output of a runner against truth. No comparison at all is a failure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from zoo.containment.errors import ContainmentError
from zoo.contract.errors import ZooError, refuse_out_of_memory
from zoo.contract.evidence import Comparison, Override, Probe
from zoo.contract.exporting.artifact import Run
from zoo.contract.exporting.precision_rules import PrecisionRules
from zoo_export.precisions.fp32 import FP32


def run_and_judge(
    runner: Run | Mapping[str, Run],
    probes: Sequence[Probe],
    weights: str = "",
    override: Override | None = None,
    on_judged: Callable[[Comparison, object], None] = lambda comparison, output: None,
    rules: PrecisionRules = FP32,
    dealt: Callable[[Probe], bool] = lambda probe: False,
) -> list[Comparison]:
    """Run an artifact, with each of its runners if there are several, on every probe, and judge each output.

    Args:
        probes: with their truth.
        weights: which weights the artifact carries.
        override: tolerances that replace the default one.
        on_judged: is called with each comparison and the output that it is about, an array or an error.
        rules: of the artifact's precision.
        dealt: which probes are run by one of several runners only: they are dealt to these in turn.

    Raises:
        ContainmentError: the artifact could not be run to its end, so that there is nothing to judge.
    """
    comparisons: list[Comparison] = []
    runners = list(runner.items()) if isinstance(runner, Mapping) else [("", runner)]
    turns = {id(probe): turn for turn, probe in enumerate(probe for probe in probes if dealt(probe))}
    for index, (name, run) in enumerate(runners):
        for probe in probes:
            if turns.get(id(probe), index) % len(runners) != index:
                continue
            output = _run(run, probe)
            comparisons.append(replace(judge(probe, output, override, rules), runner=name, weights=weights))
            on_judged(comparisons[-1], output)
    return comparisons


def passed(comparisons: Sequence[Comparison]) -> bool:
    """Whether there is at least one comparison, and all of them pass."""
    return bool(comparisons) and all(comparison.passed for comparison in comparisons)


def judge(probe: Probe, output: object, override: Override | None = None, rules: PrecisionRules = FP32) -> Comparison:
    """Compare the output of a runner (an array, or the error that it raised) with the truth of a probe.

    Args:
        override: what each logit may be off by, in place of the default tolerance.
        rules: of the artifact's precision.
    """
    truth = probe.truth

    def failed(reason: str) -> Comparison:
        unit = unit_of(probe, rules)
        allowed = rules.tolerance * unit if override is None else float(override.allowance(truth).max(initial=0.0))
        return Comparison(probe.name, len(truth), float("inf"), unit, allowed, reason=reason)

    if isinstance(output, Exception):
        text = output.cause if isinstance(output, ZooError) else f"{type(output).__name__}: {output}"
        return failed(f"it raised {' '.join(text.split())[:300]}")
    if not isinstance(output, np.ndarray) or output.dtype != np.float32:
        return failed(f"it returned {getattr(output, 'dtype', type(output).__name__)}, not float32")
    if output.shape != truth.shape:
        return failed(f"it returned the shape {list(output.shape)}, not {list(truth.shape)}")
    if not np.isfinite(output).all():
        return failed("it returned values that are not finite")
    if override is None:
        measured = rules.measure(output, truth, probe.rounding_error)
        allowed = rules.tolerance * measured.unit
        return Comparison(probe.name, len(truth), measured.error, measured.unit, allowed, measured.where)
    difference = np.abs(output.astype(np.float64) - truth)
    allowance = override.allowance(truth)
    excess = difference - allowance
    image, index = np.unravel_index(int(excess.argmax()), excess.shape)
    return Comparison(
        probe.name,
        len(truth),
        float(difference.max()),
        probe.rounding_error,
        float(allowance[image, index]),
        (int(image), int(index)),
        excess=float(excess[image, index]),
    )


def unit_of(probe: Probe, rules: PrecisionRules) -> float:
    """The unit of the errors of artifacts on a probe."""
    return rules.measure(np.zeros(probe.truth.shape, np.float32), probe.truth, probe.rounding_error).unit


def _run(runner: Run, probe: Probe) -> object:
    try:
        return runner(probe.images.copy())  # some runners write into their input
    except ContainmentError:
        raise
    except Exception as error:  # the artifact's fault, and so a result
        refuse_out_of_memory(error)
        return error
