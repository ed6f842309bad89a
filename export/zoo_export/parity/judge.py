"""Judge what a runner gave against truth. No comparison at all is a failure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import isfinite
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.contract.errors import ZooError
from zoo.contract.precisions import PrecisionRules
from zoo_export.parity.override import Override
from zoo_export.parity.reference import Reference
from zoo_export.precisions.fp32 import FP32

Runner = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Comparison:
    """One artifact on one probe.

    Args:
        error: the largest absolute difference from truth; infinite where there is nothing to compare.
        rounding_error, tolerance: what the error is measured in, and what it may be; under an override, what it may be at `where`.
        where: `[image, class]` of the largest difference; under an override, of the one that exceeds its own allowance
            most.
        reason: why it fails, where the error alone does not say.
        runner: what ran it, where a format has several runners.
        weights: which weights it carried.
        excess: under an override, the difference at `where` less what is allowed there; `None` without one.
    """

    probe: str
    n: int
    error: float
    rounding_error: float
    tolerance: float
    where: tuple[int, int] | None = None
    reason: str = ""
    runner: str = ""
    weights: str = ""
    excess: float | None = None

    @property
    def ratio(self) -> float:
        """The error in rounding errors: 1 is as wrong as PyTorch itself."""
        return self.error / self.rounding_error if self.rounding_error else (0.0 if self.error == 0 else float("inf"))

    @property
    def passed(self) -> bool:
        """Whether the error is within the tolerance."""
        return not self.reason and (self.error <= self.tolerance if self.excess is None else self.excess <= 0)

    @property
    def severity(self) -> tuple[bool, float]:
        """What tells the worst of several comparisons: whether it fails, and by how much."""
        return not self.passed, self.ratio if self.excess is None else self.excess

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the certificate; JSON knows no infinity, so that `None` stands for it."""
        told = {**asdict(self), "ratio": self.ratio, "passed": self.passed}
        return {key: None if isinstance(value, float) and not isfinite(value) else value for key, value in told.items()}


def run_and_judge(
    runner: Runner | Mapping[str, Runner],
    references: Sequence[Reference],
    weights: str = "",
    override: Override | None = None,
    on_judged: Callable[[Comparison, object], None] = lambda comparison, output: None,
    rules: PrecisionRules = FP32,
) -> list[Comparison]:
    """Run an artifact, with each of its runners where there are several, on every probe, and judge each.

    Args:
        on_judged: is given each comparison with what was judged: an array, or the error that was raised.
        rules: of the artifact's precision.
    """
    runners = runner if isinstance(runner, Mapping) else {"": runner}
    found = []
    for name, run in runners.items():
        for reference in references:
            output = _run(run, reference)
            found.append(replace(judge(reference, output, override, rules), runner=name, weights=weights))
            on_judged(found[-1], output)
    return found


def passed(comparisons: Sequence[Comparison]) -> bool:
    """Whether there is at least one comparison, and all of them pass."""
    return bool(comparisons) and all(comparison.passed for comparison in comparisons)


def judge(
    reference: Reference, output: object, override: Override | None = None, rules: PrecisionRules = FP32
) -> Comparison:
    """Compare what a runner gave (an array, or the error it raised) with truth.

    Args:
        override: what each logit may be off by, in place of the derived tolerance.
        rules: of the artifact's precision.
    """
    truth = reference.truth

    def failed(reason: str) -> Comparison:
        unit = unit_of(reference, rules)
        allowed = rules.tolerance * unit if override is None else float(override.allowance(truth).max(initial=0.0))
        return Comparison(reference.probe.name, len(truth), float("inf"), unit, allowed, reason=reason)

    if isinstance(output, Exception):
        text = output.cause if isinstance(output, ZooError) else f"{type(output).__name__}: {output}"
        return failed(f"it raised {' '.join(text.split())[:300]}")
    if not isinstance(output, np.ndarray) or output.dtype != np.float32:
        return failed(f"it gave {getattr(output, 'dtype', type(output).__name__)}, not float32")
    if output.shape != truth.shape:
        return failed(f"it gave the shape {list(output.shape)}, not {list(truth.shape)}")
    if not np.isfinite(output).all():
        return failed("it gave values that are not finite")
    if override is None:
        measured = rules.measure(output, truth, reference.rounding_error)
        allowed = rules.tolerance * measured.unit
        return Comparison(reference.probe.name, len(truth), measured.error, measured.unit, allowed, measured.where)
    difference = np.abs(output.astype(np.float64) - truth)
    allowance = override.allowance(truth)
    excess = difference - allowance
    image, index = np.unravel_index(int(excess.argmax()), excess.shape)
    return Comparison(
        reference.probe.name,
        len(truth),
        float(difference.max()),
        reference.rounding_error,
        float(allowance[image, index]),
        (int(image), int(index)),
        excess=float(excess[image, index]),
    )


def unit_of(reference: Reference, rules: PrecisionRules) -> float:
    """What the errors of artifacts on a probe are counted in."""
    return rules.measure(np.zeros(reference.truth.shape, np.float32), reference.truth, reference.rounding_error).unit


def _run(runner: Runner, reference: Reference) -> object:
    try:
        return runner(reference.probe.images.copy())  # some write into what they are given
    except Exception as error:  # the artifact's fault, and so a result
        return error
