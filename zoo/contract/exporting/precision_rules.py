"""How artifacts are judged, a precision at a time.

`fp32` and `fp16` are judged by PyTorch's own rounding error. A precision that changes the model on purpose, such as
int8, is judged by its own rule: the fraction of images that keep their class, or a tolerance that its author states.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from zoo.contract.exporting.artifact import Array, Backend, Capture

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import nn

    from zoo.contract.evidence import Probe


@dataclass(frozen=True)
class Measured:
    """How far an artifact is from truth on one probe.

    Args:
        error: how far, in whatever measure the precision uses.
        unit: what reports count errors in, in the same measure: the rounding error, or a number that does not depend on
            it. The certificate stores it, and `zoo verify` passes it to `measure` in place of the rounding error.
        where: `[image, class]` of the worst logit, where there is one.
    """

    error: float
    unit: float = 1.0
    where: tuple[int, int] | None = None


class PrecisionRules(Protocol):
    """How artifacts of a precision are judged. Derive from it: `tolerance`, `definition`, `measure` and `describe` are
    needed, the rest has defaults.

    Attributes:
        tolerance: an artifact passes where its error is at most this many units on every probe.
        definition: what one unit is, in words, for the certificate.
        statement: a sentence on what is proven, for people; may be empty.
        dtype: the PyTorch dtype of the evaluations whose rounding error is measured.
        proven_first: whether the model must first be exported and proven in fp32.
    """

    tolerance: float
    definition: str
    statement: str = ""
    dtype: str = "float32"
    proven_first: bool = True

    def prepare(self, capture: Capture) -> Capture:
        """What is exported: by default `capture` itself, whose `precision` says what the format is to write.

        Raises:
            ExportError: the model cannot be exported in this precision.
        """
        return capture

    def rounding_errors(
        self, name: str, module: "nn.Module", probes: "Sequence[Probe]", backend: Backend
    ) -> Sequence[float]:
        """The rounding error of each probe to judge by on `backend`; by default that of float32, which it has.

        Raises:
            ExportError: the model `name` does not compute anything useful in this precision.
        """
        return [probe.rounding_error for probe in probes]

    def measure(self, logits: Array, truth: "npt.NDArray[np.float64]", rounding_error: float) -> Measured:
        """How far finite `logits` are from `truth`, both `[N, K]`."""

    def describe(self, units: float) -> str:
        """An error in words, as a noun: `0.6× PyTorch's own rounding error`, `3 % of the images in another class`.

        `units` is the error divided by `Measured.unit`.
        """

    def describe_tolerance(self) -> str:
        """What is allowed, in words: by default `tolerance` units as `describe` writes them."""
        return self.describe(self.tolerance)
