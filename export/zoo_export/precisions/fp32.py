"""fp32: an artifact passes within a multiple of the rounding error that PyTorch itself makes in float32."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from zoo.contract.evidence import TOLERANCE_FACTOR, Probe
from zoo.contract.exporting import artifact
from zoo.contract.exporting.artifact import Array
from zoo.contract.exporting.precision_rules import Measured, PrecisionRules
from zoo_export.truth.backend import Backend
from zoo_export.truth.reference import rounding_errors_at


class RoundingRules(PrecisionRules):
    """Judge by the largest difference from truth, counted in rounding errors of PyTorch evaluations in `dtype`."""

    tolerance = TOLERANCE_FACTOR

    def __init__(self, dtype: str, statement: str = "", *, proven_first: bool = True) -> None:
        self.dtype, self.statement, self.proven_first = dtype, statement, proven_first
        self.definition = f"largest deviation from truth of {dtype} evaluations that differ in rounding alone"

    @property
    def torch_dtype(self) -> torch.dtype:
        """The dtype of the evaluations."""
        dtype: torch.dtype = getattr(torch, self.dtype)
        return dtype

    def rounding_errors(
        self, name: str, module: nn.Module, probes: Sequence[Probe], backend: artifact.Backend
    ) -> Sequence[float]:
        """Those of PyTorch evaluations on `backend`; the probes hold those of float32 on the CPU.

        Raises:
            ExportError: the model does not run there, or gives logits that are not finite.
        """
        there = Backend(backend.device, backend.precision, backend.tf32, self.torch_dtype)
        if there.device == "cpu" and there.dtype == torch.float32:
            return [probe.rounding_error for probe in probes]
        return rounding_errors_at(module, probes, there)

    def measure(self, logits: Array, truth: npt.NDArray[np.float64], rounding_error: float) -> Measured:
        """The largest absolute difference, and where it is."""
        difference = np.abs(logits.astype(np.float64) - truth)
        image, index = np.unravel_index(int(difference.argmax()), difference.shape)
        return Measured(float(difference.max()), rounding_error, (int(image), int(index)))

    def describe(self, units: float) -> str:
        """Such as `0.6× PyTorch's own rounding error`."""
        number = f"{units:,.0f}" if units >= 100 else f"{units:.1f}"
        return f"{number}× PyTorch's own {'' if self.dtype == 'float32' else f'{self.dtype} '}rounding error"

    def describe_tolerance(self) -> str:
        """The number alone, since the error that it follows names the unit."""
        return f"{self.tolerance:g}"


FP32 = RoundingRules("float32", proven_first=False)
