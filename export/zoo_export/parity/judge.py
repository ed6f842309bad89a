"""Judge the output of a runner against truth. No comparison at all is a failure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from zoo.contract.errors import ZooError
from zoo.contract.evidence import Comparison, Override, Probe

Runner = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]


def run_and_judge(
    runner: Runner | Mapping[str, Runner],
    probes: Sequence[Probe],
    weights: str = "",
    override: Override | None = None,
    on_judged: Callable[[Comparison, object], None] = lambda comparison, output: None,
) -> list[Comparison]:
    """Run an artifact, with each of its runners if there are several, on every probe, and judge each output.

    Args:
        probes: with their truth.
        weights: which weights the artifact carries.
        override: tolerances that replace the default one.
        on_judged: is called with each comparison and the output that it is about, an array or an error.
    """
    comparisons: list[Comparison] = []
    for name, run in runner.items() if isinstance(runner, Mapping) else [("", runner)]:
        for probe in probes:
            output = _run(run, probe)
            comparisons.append(replace(judge(probe, output, override), runner=name, weights=weights))
            on_judged(comparisons[-1], output)
    return comparisons


def passed(comparisons: Sequence[Comparison]) -> bool:
    """Whether there is at least one comparison, and all of them pass."""
    return bool(comparisons) and all(comparison.passed for comparison in comparisons)


def judge(probe: Probe, output: object, override: Override | None = None) -> Comparison:
    """Compare the output of a runner (an array, or the error that it raised) with the truth of a probe.

    Args:
        override: what each logit may be off by, in place of the default tolerance.
    """
    truth, tolerance = probe.truth, probe.tolerance

    def failed(reason: str) -> Comparison:
        allowed = tolerance if override is None else float(override.allowance(truth).max(initial=0.0))
        return Comparison(probe.name, len(truth), float("inf"), probe.rounding_error, allowed, reason=reason)

    if isinstance(output, Exception):
        text = output.cause if isinstance(output, ZooError) else f"{type(output).__name__}: {output}"
        return failed(f"it raised {' '.join(text.split())[:300]}")
    if not isinstance(output, np.ndarray) or output.dtype != np.float32:
        return failed(f"it returned {getattr(output, 'dtype', type(output).__name__)}, not float32")
    if output.shape != truth.shape:
        return failed(f"it returned the shape {list(output.shape)}, not {list(truth.shape)}")
    if not np.isfinite(output).all():
        return failed("it returned values that are not finite")
    difference = np.abs(output.astype(np.float64) - truth)
    allowed = np.full_like(difference, tolerance) if override is None else override.allowance(truth)
    excess = difference if override is None else difference - allowed
    image, index = np.unravel_index(int(excess.argmax()), excess.shape)
    return Comparison(
        probe.name,
        len(truth),
        float(difference.max()),
        probe.rounding_error,
        float(allowed[image, index]),
        (int(image), int(index)),
        excess=None if override is None else float(excess[image, index]),
    )


def _run(runner: Runner, probe: Probe) -> object:
    try:
        return runner(probe.images.copy())  # some runners write into their input
    except Exception as error:  # the artifact's fault, and so a result
        return error
