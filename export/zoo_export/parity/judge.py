"""Judge what a runner gave against truth. No comparison at all is a failure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.errors import ZooError
from zoo_export.parity.reference import Reference

BUDGET = 20.0  # floors
Runner = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Comparison:
    """One artifact on one probe.

    Args:
        error: the largest absolute difference from truth; infinite where there is nothing to compare.
        floor, budget: what the error is measured in, and what it may be.
        where: `[image, class]` of the largest difference.
        reason: why it fails, where the error alone does not say.
        runner: what ran it, where a format has several runners.
        weights: which weights it carried.
    """

    probe: str
    n: int
    error: float
    floor: float
    budget: float
    where: tuple[int, int] | None = None
    reason: str = ""
    runner: str = ""
    weights: str = ""

    @property
    def ratio(self) -> float:
        """The error in floors: 1 is as wrong as PyTorch itself."""
        return self.error / self.floor if self.floor else (0.0 if self.error == 0 else float("inf"))

    @property
    def passed(self) -> bool:
        """Whether the error is within the budget."""
        return not self.reason and self.error <= self.budget

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the certificate."""
        return {**asdict(self), "ratio": self.ratio, "passed": self.passed}


def run_and_judge(
    runner: Runner | Mapping[str, Runner], references: Sequence[Reference], weights: str = ""
) -> list[Comparison]:
    """Run an artifact, with each of its runners where there are several, on every probe, and judge each."""
    runners = runner if isinstance(runner, Mapping) else {"": runner}
    return [
        replace(judge(reference, _run(run, reference)), runner=name, weights=weights)
        for name, run in runners.items()
        for reference in references
    ]


def passed(comparisons: Sequence[Comparison]) -> bool:
    """Whether there is at least one comparison, and all of them pass."""
    return bool(comparisons) and all(comparison.passed for comparison in comparisons)


def judge(reference: Reference, output: object) -> Comparison:
    """Compare what a runner gave (an array, or the error it raised) with truth."""
    truth = reference.truth

    def failed(reason: str) -> Comparison:
        return Comparison(
            reference.probe.name, len(truth), float("inf"), reference.floor, BUDGET * reference.floor, reason=reason
        )

    if isinstance(output, Exception):
        text = output.cause if isinstance(output, ZooError) else f"{type(output).__name__}: {output}"
        return failed(f"it raised {' '.join(text.split())[:300]}")
    if not isinstance(output, np.ndarray) or output.dtype != np.float32:
        return failed(f"it gave {getattr(output, 'dtype', type(output).__name__)}, not float32")
    if output.shape != truth.shape:
        return failed(f"it gave the shape {list(output.shape)}, not {list(truth.shape)}")
    if not np.isfinite(output).all():
        return failed("it gave values that are not finite")
    difference = np.abs(output.astype(np.float64) - truth)
    image, index = np.unravel_index(int(difference.argmax()), difference.shape)
    return Comparison(
        reference.probe.name,
        len(truth),
        float(difference.max()),
        reference.floor,
        BUDGET * reference.floor,
        (int(image), int(index)),
    )


def _run(runner: Runner, reference: Reference) -> object:
    try:
        return runner(reference.probe.images.copy())  # some write into what they are given
    except Exception as error:  # the artifact's fault, and so a result
        return error
