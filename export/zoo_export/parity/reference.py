"""Truth and floor: what the model computes, and how far PyTorch's own rounding is from it."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from zoo.errors import ExportError
from zoo_export.capture import first_line, quiet
from zoo_export.parity.probes import Probe

Evaluate = Callable[[nn.Module, list[Tensor], int], list[Tensor]]
EPS32 = float(np.finfo(np.float32).eps)
OFFSETS = 1 << 16


@dataclass(frozen=True)
class Reference:
    """A probe with what is known of it.

    Args:
        truth: float64 `[N, K]`, the untouched model evaluated in float64.
        floor: the largest deviation from truth of float32 evaluations that differ in rounding alone.
    """

    probe: Probe
    truth: npt.NDArray[np.float64]
    floor: float

    @property
    def peak(self) -> float:
        """The largest absolute value of truth."""
        return float(np.abs(self.truth).max())


def make_references(
    module: nn.Module, probes: list[Probe], on_stage: Callable[[int, int], None] = lambda done, total: None
) -> list[Reference]:
    """Evaluate truth and floor for every probe. `module` (float32, evaluation mode, CPU) is left as it was.

    The float32 evaluations are: as it is; and twice, once with channels last, with each leaf module's output moved by
    up to one unit in the last place at random (Monte-Carlo arithmetic, Parker 1997). On flat images rounding is alike
    at every position and adds up where random errors cancel: these are also evaluated without oneDNN, whose order of
    summation is another. The floor is never below float32's epsilon times the largest absolute value of truth.

    Raises:
        ExportError: the model raises or draws random numbers, or its logits are not finite or not `[N, K]`.
    """
    inputs = [torch.from_numpy(probe.images) for probe in probes]
    flat = [index for index, probe in enumerate(probes) if probe.flat]
    runs: list[tuple[Evaluate, Sequence[int]]] = [(run, range(len(probes))) for run in (_plain, *JITTERED)]
    runs.append((_without_onednn, flat))
    try:
        with torch.inference_mode(), quiet():
            double = copy.deepcopy(module).double()
            drawn = torch.random.get_rng_state()
            truths = [np.asarray(double(images.double()).numpy(), np.float64) for images in inputs]
            del double
            floors = [0.0] * len(probes)
            for done, (evaluate, chosen) in enumerate(runs, 1):
                outputs = evaluate(module, [inputs[index] for index in chosen], done)
                for index, output in zip(chosen, outputs, strict=True):
                    deviation = np.abs(output.double().numpy() - truths[index]).max()
                    floors[index] = float(np.maximum(floors[index], deviation))  # keeps NaN
                on_stage(done, len(runs))
    except Exception as error:
        raise ExportError(
            f"The model does not run on its own probes: {first_line(error)}", "Check the image size and its forward."
        ) from error
    if not torch.equal(drawn, torch.random.get_rng_state()):
        raise ExportError(
            "The model draws random numbers in evaluation mode, so that its logits are not a function of its images.",
            "Correct its forward; dropout, for one, must heed self.training.",
        )
    for probe, truth in zip(probes, truths, strict=True):
        if truth.ndim != 2 or len(truth) != len(probe.images) or not np.isfinite(truth).all():
            raise ExportError(
                f"The model gives no finite logits [N, K] on the probe {probe.name}, even in float64.",
                "An export of it could not be checked; train it, or correct its forward.",
            )
    for probe, floor in zip(probes, floors, strict=True):
        if not np.isfinite(floor):
            raise ExportError(
                f"The model gives logits that are not finite on the probe {probe.name} in float32, in which it runs.",
                "Its values grow past what float32 holds; train it again, or correct its forward.",
            )
    return [
        Reference(probe, truth, max(floor, EPS32 * float(np.abs(truth).max())))
        for probe, truth, floor in zip(probes, truths, floors, strict=True)
    ]


def _plain(module: nn.Module, inputs: list[Tensor], seed: int) -> list[Tensor]:
    return [module(images.clone()) for images in inputs]  # some write into what they are given


def _without_onednn(module: nn.Module, inputs: list[Tensor], seed: int) -> list[Tensor]:
    with torch.backends.mkldnn.flags(enabled=False):
        return _plain(module, inputs, seed)


def _jittered(module: nn.Module, inputs: list[Tensor], seed: int) -> list[Tensor]:
    with _jitter(module, _Noise(seed)):
        return _plain(module, inputs, seed)


def _channels_last_and_jittered(module: nn.Module, inputs: list[Tensor], seed: int) -> list[Tensor]:
    with _jitter(module, _Noise(seed)):
        return [module(images.clone(memory_format=torch.channels_last)) for images in inputs]


JITTERED: tuple[Evaluate, ...] = (_jittered, _channels_last_and_jittered)


class _Noise:
    """Random factors 1 ± epsilon in any number: slices of one pool, which is much cheaper than drawing each."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.pool = torch.empty(0)

    def like(self, values: Tensor) -> Tensor:
        n = values.numel()
        if len(self.pool) < n + OFFSETS:
            self.pool = 1 + EPS32 * (2 * torch.rand(n + OFFSETS, generator=self.generator) - 1)
        start = int(torch.randint(OFFSETS, (), generator=self.generator))
        factors = self.pool[start : start + n]
        if values.ndim == 4 and values.is_contiguous(memory_format=torch.channels_last):
            batch, channels, height, width = values.shape
            return factors.view(batch, height, width, channels).permute(0, 3, 1, 2)
        return factors.view(values.shape)


@contextmanager
def _jitter(module: nn.Module, noise: _Noise) -> Iterator[None]:
    def move(leaf: nn.Module, given: Any, output: Any) -> Any:
        if not isinstance(output, Tensor) or output.dtype != torch.float32:
            return output
        return output * noise.like(output)

    leaves = [leaf for leaf in module.modules() if not any(leaf.children())]
    hooks = [leaf.register_forward_hook(move) for leaf in leaves]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
