"""Reference values of a probe: what the model computes, and how far PyTorch is from that by rounding alone."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from zoo.contract.errors import ExportError, refuse_out_of_memory
from zoo.contract.evidence import Probe, Truth
from zoo.contract.wording.author_code import SHOW_TRACEBACK
from zoo.evaluation.attributes import keep_attributes
from zoo.models.generators import drawn_from, generator_states
from zoo_export.capture import first_line, quiet
from zoo_export.truth.backend import CPU, Backend
from zoo_export.truth.float64 import logits_in_float64

Evaluate = Callable[[nn.Module, list[Tensor], int, Backend], list[Tensor]]
EPS32 = float(np.finfo(np.float32).eps)
OFFSETS = 1 << 16
SAME = 1e-9  # of the largest logit: the difference of two float64 evaluations of the same images


def make_references(
    module: nn.Module,
    probes: list[Probe],
    on_stage: Callable[[int, int], None] = lambda done, total: None,
    *,
    in_place: bool = False,
) -> list[Probe]:
    """The probes with truth and rounding error. `module` (float32, evaluation mode, CPU) is left unchanged.

    There are two float32 evaluations: one as it is; and one with channels last, which uses other kernels, in which
    the output of each leaf module is moved at random by up to one unit in the last place (Monte-Carlo arithmetic,
    Parker 1997). The rounding error is the largest deviation of the two from truth, and at least float32's epsilon
    times the largest absolute value of truth.

    Args:
        in_place: work on `module` itself, which is restored, and not on a copy. Either way there are never more than
            two copies of the weights beside it, float64 counted twice.

    Raises:
        ExportError: the model raises, draws random numbers or changes its own buffers, or its logits are not finite
            or not `[N, K]`.
    """
    inputs = [torch.from_numpy(probe.images) for probe in probes]
    with _explain_model_errors(), quiet():
        twin = module if in_place else copy.deepcopy(module)
        before_all = generator_states()
        first = _outputs(_plain, twin, inputs, 1, CPU)  # before float64: a table kept for later calls is float32
        truths, again = logits_in_float64(twin, inputs)
        rounding_errors = _rounding_errors(twin, inputs, truths, CPU, first, on_stage)
    smallest = min(range(len(inputs)), key=lambda index: inputs[index].numel())
    drawn = drawn_from(before_all, generator_states())
    if drawn or not _same(truths[smallest], again):
        source = f" ({drawn})" if drawn else ""
        raise ExportError(
            f"The model draws random numbers{source} in evaluation mode: its logits are not a function of its images.",
            "Correct its forward: dropout, for example, must depend on self.training.",
        )
    before, after = module.state_dict(), twin.state_dict()
    changed = next((name for name in before if not torch.equal(before[name], after[name])), None)
    if changed is not None:
        raise ExportError(
            f"The model changes its own {changed} in evaluation mode, so its logits depend on earlier images.",
            "Correct its forward: buffers may change only if self.training is set.",
        )
    for probe, truth in zip(probes, truths, strict=True):
        if truth.ndim != 2 or len(truth) != len(probe.images) or not np.isfinite(truth).all():
            raise ExportError(
                f"The model returns no finite logits [N, K] on the probe {probe.name}, even in float64.",
                "An export of it could not be checked: train it, or correct its forward.",
            )
    for probe, rounding_error in zip(probes, rounding_errors, strict=True):
        if not np.isfinite(rounding_error):
            raise ExportError(
                f"The model returns logits that are not finite on the probe {probe.name} in float32.",
                "Its values exceed the range of float32: train it again, or correct its forward.",
            )
    measured = zip(probes, truths, rounding_errors, strict=True)
    return [probe.with_truth(truth, rounding_error) for probe, truth, rounding_error in measured]


def rounding_errors_at(module: nn.Module, probes: Sequence[Probe], backend: Backend) -> list[float]:
    """The rounding errors of the same probes on another backend. `module` is left unchanged, on the CPU.

    Raises:
        ExportError: the model does not run on that backend, or returns logits there that are not finite.
    """
    with _explain_model_errors(backend), quiet():
        there = copy.deepcopy(module).to(backend.torch_device, backend.dtype)
        inputs = [torch.from_numpy(probe.images).to(backend.torch_device, backend.dtype) for probe in probes]
        first = _outputs(_plain, there, inputs, 1, backend)
        rounding_errors = _rounding_errors(there, inputs, [probe.truth for probe in probes], backend, first)
    for probe, rounding_error in zip(probes, rounding_errors, strict=True):
        if not np.isfinite(rounding_error):
            raise ExportError(
                f"The model returns logits that are not finite on the probe {probe.name} in {backend.words}.",
                "Its values exceed the range of that precision: export it in another one, or train it again.",
            )
    return rounding_errors


def at_backend(module: nn.Module, probes: Sequence[Probe], backend: Backend) -> list[Probe]:
    """The same probes and truth, with the rounding error on another backend. `module` is left unchanged, on the CPU.

    Raises:
        ExportError: as `rounding_errors_at`.
    """
    return [probe.at(error) for probe, error in zip(probes, rounding_errors_at(module, probes, backend), strict=True)]


def _rounding_errors(
    module: nn.Module,
    inputs: list[Tensor],
    truths: Sequence[Truth],
    backend: Backend,
    first: list[Truth],
    on_stage: Callable[[int, int], None] = lambda done, total: None,
) -> list[float]:
    """The rounding error of each input. `module` and `inputs` are on `backend`; `first` is the plain evaluation."""
    rounding_errors = [backend.epsilon * float(np.abs(truth).max()) for truth in truths]
    for done, evaluate in enumerate(EVALUATIONS, 1):
        outputs = first if done == 1 else _outputs(evaluate, module, inputs, done, backend)
        for index, output in enumerate(outputs):
            deviation = np.abs(output - truths[index]).max()
            rounding_errors[index] = float(np.maximum(rounding_errors[index], deviation))  # keeps NaN
        on_stage(done, len(EVALUATIONS))
    return rounding_errors


def _outputs(evaluate: Evaluate, module: nn.Module, inputs: list[Tensor], seed: int, backend: Backend) -> list[Truth]:
    """What an evaluation gives for each input, as float64."""
    with keep_attributes(module), backend.active(), torch.no_grad():
        return [output.double().cpu().numpy() for output in evaluate(module, inputs, seed, backend)]


@contextmanager
def _explain_model_errors(backend: Backend = CPU) -> Iterator[None]:
    where = "" if backend == CPU else f" in {backend.words}"
    try:
        yield
    except Exception as error:
        refuse_out_of_memory(error)
        raise ExportError(
            f"The model does not run on its own probes{where}: {first_line(error, place=True)}",
            f"Check the image size and its forward; {SHOW_TRACEBACK}"
            if backend == CPU
            else f"Leave out that backend, or change its forward; {SHOW_TRACEBACK}",
        ) from error


def _same(one: Truth, other: Truth) -> bool:
    """Whether two evaluations of the same images agree, but for the order in which a library may add."""
    if one.shape != other.shape or not (np.isfinite(one).all() and np.isfinite(other).all()):
        return True  # refused for what it is
    return bool(np.abs(one - other).max(initial=0.0) <= SAME * np.abs(one).max(initial=0.0))


def _plain(module: nn.Module, inputs: list[Tensor], seed: int, backend: Backend) -> list[Tensor]:
    return [module(images.clone()) for images in inputs]  # some models write into their input


def _channels_last_and_jittered(module: nn.Module, inputs: list[Tensor], seed: int, backend: Backend) -> list[Tensor]:
    with _jitter(module, _Noise(seed, backend)):
        return [module(images.clone(memory_format=torch.channels_last)) for images in inputs]


EVALUATIONS: tuple[Evaluate, ...] = (_plain, _channels_last_and_jittered)


class _Noise:
    """Random factors 1 ± epsilon: slices of one pool, which is much cheaper than drawing each."""

    def __init__(self, seed: int, backend: Backend = CPU) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.backend = backend
        self.pool = torch.empty(0)

    def like(self, values: Tensor) -> Tensor:
        n = values.numel()
        if len(self.pool) < n + OFFSETS:
            pool = 1 + self.backend.epsilon * (2 * torch.rand(n + OFFSETS, generator=self.generator) - 1)
            self.pool = pool.to(self.backend.torch_device, self.backend.dtype)
        start = int(torch.randint(OFFSETS, (), generator=self.generator))
        factors = self.pool[start : start + n]
        if values.ndim == 4 and values.is_contiguous(memory_format=torch.channels_last):
            batch, channels, height, width = values.shape
            return factors.view(batch, height, width, channels).permute(0, 3, 1, 2)
        return factors.view(values.shape)


@contextmanager
def _jitter(module: nn.Module, noise: _Noise) -> Iterator[None]:
    def move(leaf: nn.Module, inputs: Any, output: Any) -> Any:
        if not isinstance(output, Tensor) or output.dtype != noise.backend.dtype:
            return output
        return output * noise.like(output)

    leaves = [leaf for leaf in module.modules() if not any(leaf.children())]
    hooks = [leaf.register_forward_hook(move) for leaf in leaves]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
