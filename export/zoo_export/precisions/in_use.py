"""A precision that an export or a check is made in: its name and its rules."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from zoo.contract.evidence import Probe
from zoo.contract.exporting.precision_rules import PrecisionRules
from zoo.contract.precisions import Precision
from zoo.registry.refs import resolve
from zoo.registry.registry import Registry
from zoo_export.precisions.fp32 import FP32
from zoo_export.truth.backend import CUDA, Backend


@dataclass(frozen=True)
class PrecisionInUse:
    """A precision by name, with its rules and the ref that they come from."""

    name: str = "fp32"
    rules: PrecisionRules = FP32
    ref: str = "zoo_export.precisions.fp32:FP32"

    def backends(self, devices: Iterable[str]) -> list[Backend]:
        """The backends that artifacts are judged on: of float32 on CUDA there are two, without and with TF32.

        Runtimes round to TF32 where nobody forbids it. Its rounding error is 8192 times float32's, and would hide
        damage. So the artifact has to pass without it too, by a rounding error in which it has no part.
        """
        dtype: torch.dtype = getattr(torch, self.rules.dtype)
        backends = []
        for device in devices:
            backends.append(Backend(device, self.name, dtype=dtype))
            if device == CUDA and dtype == torch.float32:
                backends.append(Backend(device, self.name, tf32=True))
        return backends

    def probes(
        self, model: str, module: nn.Module, probes: Sequence[Probe], backends: Sequence[Backend]
    ) -> Mapping[Backend, tuple[Probe, ...]]:
        """What artifacts are judged by on each backend: the truth of `probes`, and the precision's rounding errors.

        Raises:
            ExportError: the model does not compute anything useful in this precision.
        """
        return {
            backend: tuple(
                probe.at(float(error))
                for probe, error in zip(probes, self.rules.rounding_errors(model, module, probes, backend), strict=True)
            )
            for backend in backends
        }


def find_precision(registry: Registry, name: str) -> PrecisionInUse:
    """The precision of that name.

    Raises:
        UnknownName: no plugin declares it.
        PluginError: its rules cannot be imported.
    """
    entry = registry.find(Precision, name)
    return PrecisionInUse(entry.spec.name, resolve(entry, entry.spec.rules), entry.spec.rules)
