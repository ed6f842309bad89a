"""Truth and rounding error: what the model computes, and how far PyTorch's own rounding is from it."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from zoo.contract.errors import ExportError
from zoo.contract.precisions import KnownProbe
from zoo_export.capture import first_line, quiet
from zoo_export.parity.backend import CPU, Backend
from zoo_export.probes.probes import Probe

Evaluate = Callable[[nn.Module, list[Tensor], int, Backend], list[Tensor]]
EPS32 = float(np.finfo(np.float32).eps)
OFFSETS = 1 << 16


@dataclass(frozen=True)
class Reference:
    """A probe with what is known of it.

    Args:
        truth: float64 `[N, K]`, the untouched model evaluated in float64, on the CPU.
        rounding_error: the largest deviation from truth of evaluations at a setting (float32 on the CPU where none is said)
            that differ in rounding alone.
    """

    probe: Probe
    truth: npt.NDArray[np.float64]
    rounding_error: float

    @property
    def name(self) -> str:
        """Of the probe."""
        return self.probe.name

    @property
    def images(self) -> npt.NDArray[np.float32]:
        """float32 `[N, C, H, W]`."""
        return self.probe.images

    @property
    def peak(self) -> float:
        """The largest absolute value of truth."""
        return float(np.abs(self.truth).max())


def make_references(
    module: nn.Module,
    probes: list[Probe],
    on_stage: Callable[[int, int], None] = lambda done, total: None,
    *,
    in_place: bool = False,
) -> list[Reference]:
    """Evaluate truth and rounding error for every probe. `module` (float32, evaluation mode, CPU) is left as it was.

    The float32 evaluations are two: as it is; and with channels last, where the kernels are others, and each leaf
    module's output moved by up to one unit in the last place at random (Monte-Carlo arithmetic, Parker 1997). The rounding error
    is never below float32's epsilon times the largest absolute value of truth.

    Args:
        in_place: work on `module` itself, which is put back, and not on a copy. Either way there are never more than
            two copies of the weights beside it, float64 counted twice.

    Raises:
        ExportError: the model raises, draws random numbers or changes its own buffers, or its logits are not finite
            or not `[N, K]`.
    """
    inputs = [torch.from_numpy(probe.images) for probe in probes]
    with _explained(), quiet():
        twin = module if in_place else copy.deepcopy(module)
        drawn = torch.random.get_rng_state()
        with _float64(twin), torch.inference_mode():
            truths = [np.asarray(twin(images.double()).numpy(), np.float64) for images in inputs]
        rounding_errors = _rounding_errors(twin, probes, truths, CPU, on_stage)
    if not torch.equal(drawn, torch.random.get_rng_state()):
        raise ExportError(
            "The model draws random numbers in evaluation mode, so that its logits are not a function of its images.",
            "Correct its forward; dropout, for one, must heed self.training.",
        )
    before, after = module.state_dict(), twin.state_dict()
    changed = next((name for name in before if not torch.equal(before[name], after[name])), None)
    if changed is not None:
        raise ExportError(
            f"The model changes its own {changed} in evaluation mode, so that its logits depend on what it has seen.",
            "Correct its forward; what it counts must heed self.training.",
        )
    for probe, truth in zip(probes, truths, strict=True):
        if truth.ndim != 2 or len(truth) != len(probe.images) or not np.isfinite(truth).all():
            raise ExportError(
                f"The model gives no finite logits [N, K] on the probe {probe.name}, even in float64.",
                "An export of it could not be checked; train it, or correct its forward.",
            )
    for probe, rounding_error in zip(probes, rounding_errors, strict=True):
        if not np.isfinite(rounding_error):
            raise ExportError(
                f"The model gives logits that are not finite on the probe {probe.name} in float32, in which it runs.",
                "Its values grow past what float32 holds; train it again, or correct its forward.",
            )
    return [Reference(*told) for told in zip(probes, truths, rounding_errors, strict=True)]


def rounding_errors_at(module: nn.Module, probes: Sequence[KnownProbe], setting: Backend) -> list[float]:
    """The rounding errors of the same probes on another backend. `module` is left as it was, on the CPU.

    Raises:
        ExportError: the model does not run at that setting, or gives logits there that are not finite.
    """
    with _explained(setting), quiet():
        there = copy.deepcopy(module).to(setting.torch_device, setting.dtype)
        rounding_errors = _rounding_errors(there, probes, [probe.truth for probe in probes], setting)
    for probe, rounding_error in zip(probes, rounding_errors, strict=True):
        if not np.isfinite(rounding_error):
            raise ExportError(
                f"The model gives logits that are not finite on the probe {probe.name} in {setting.words}.",
                "Its values grow past what that holds; export it at another precision, or train it again.",
            )
    return rounding_errors


def at_setting(module: nn.Module, references: Sequence[Reference], setting: Backend) -> list[Reference]:
    """The same probes and truth, with the rounding error of another backend. `module` is left as it was, on the CPU.

    Raises:
        ExportError: as `rounding_errors_at`.
    """
    return [
        replace(reference, rounding_error=rounding_error)
        for reference, rounding_error in zip(references, rounding_errors_at(module, references, setting), strict=True)
    ]


def _rounding_errors(
    module: nn.Module,
    probes: Sequence[KnownProbe | Probe],
    truths: Sequence[npt.NDArray[np.float64]],
    setting: Backend,
    on_stage: Callable[[int, int], None] = lambda done, total: None,
) -> list[float]:
    """The rounding error of each probe; `module` is at `setting` already."""
    inputs = [torch.from_numpy(probe.images).to(setting.torch_device, setting.dtype) for probe in probes]
    rounding_errors = [setting.epsilon * float(np.abs(truth).max()) for truth in truths]
    with setting.active(), torch.inference_mode():
        for done, evaluate in enumerate(EVALUATIONS, 1):
            for index, output in enumerate(evaluate(module, inputs, done, setting)):
                deviation = np.abs(output.double().cpu().numpy() - truths[index]).max()
                rounding_errors[index] = float(np.maximum(rounding_errors[index], deviation))  # keeps NaN
            on_stage(done, len(EVALUATIONS))
    return rounding_errors


@contextmanager
def _float64(module: nn.Module) -> Iterator[None]:
    """Hold a module in float64. What was float32 becomes so again, to the bit."""
    single = {name for name, tensor in _tensors(module) if tensor.dtype == torch.float32}
    module.double()
    try:
        yield
    finally:
        for name, tensor in _tensors(module):
            if name in single:
                tensor.data = tensor.data.float()


def _tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters()
    yield from module.named_buffers()


@contextmanager
def _explained(setting: Backend = CPU) -> Iterator[None]:
    where = "" if setting == CPU else f" in {setting.words}"
    try:
        yield
    except Exception as error:
        raise ExportError(
            f"The model does not run on its own probes{where}: {first_line(error)}",
            "Check the image size and its forward." if setting == CPU else "Leave that out, or change its forward.",
        ) from error


def _plain(module: nn.Module, inputs: list[Tensor], seed: int, setting: Backend) -> list[Tensor]:
    return [module(images.clone()) for images in inputs]  # some write into what they are given


def _channels_last_and_jittered(module: nn.Module, inputs: list[Tensor], seed: int, setting: Backend) -> list[Tensor]:
    with _jitter(module, _Noise(seed, setting)):
        return [module(images.clone(memory_format=torch.channels_last)) for images in inputs]


EVALUATIONS: tuple[Evaluate, ...] = (_plain, _channels_last_and_jittered)


class _Noise:
    """Random factors 1 ± epsilon in any number: slices of one pool, which is much cheaper than drawing each."""

    def __init__(self, seed: int, setting: Backend = CPU) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.setting = setting
        self.pool = torch.empty(0)

    def like(self, values: Tensor) -> Tensor:
        n = values.numel()
        if len(self.pool) < n + OFFSETS:
            pool = 1 + self.setting.epsilon * (2 * torch.rand(n + OFFSETS, generator=self.generator) - 1)
            self.pool = pool.to(self.setting.torch_device, self.setting.dtype)
        start = int(torch.randint(OFFSETS, (), generator=self.generator))
        factors = self.pool[start : start + n]
        if values.ndim == 4 and values.is_contiguous(memory_format=torch.channels_last):
            batch, channels, height, width = values.shape
            return factors.view(batch, height, width, channels).permute(0, 3, 1, 2)
        return factors.view(values.shape)


@contextmanager
def _jitter(module: nn.Module, noise: _Noise) -> Iterator[None]:
    def move(leaf: nn.Module, given: Any, output: Any) -> Any:
        if not isinstance(output, Tensor) or output.dtype != noise.setting.dtype:
            return output
        return output * noise.like(output)

    leaves = [leaf for leaf in module.modules() if not any(leaf.children())]
    hooks = [leaf.register_forward_hook(move) for leaf in leaves]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
