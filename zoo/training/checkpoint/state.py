"""The state of a training run, and its conversion to the tensors and plain data of a checkpoint."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from zoo.contract.errors import TrainingError
from zoo.files.weights import put_tensors
from zoo.training.checkpoint.optimizer_state import load_optimizer
from zoo.training.optim.ema import ModelEma
from zoo.training.optim.freeze import batch_norms, freeze
from zoo.training.optim.layer_decay import lr_scales
from zoo.training.optim.param_groups import make_optimizers
from zoo.training.recipe.recipe import Recipe


@dataclass
class Best:
    """The best epoch on the hold-out so far, and the weights after it, on the CPU."""

    epoch: int
    top1: float
    loss: float
    tensors: dict[str, Tensor]


@dataclass
class State:
    """A run between two steps.

    Args:
        step: optimizer steps taken, over all epochs.
        history: the finished epochs, as rows of `history.csv`.
        loss_sum: the sum of the losses of the current epoch's steps, a scalar on the device.
        finite_steps: steps of the run before the first loss that was not finite, an int64 scalar on the device. It
            equals `step` as long as all were finite.
        seconds: spent on the current epoch's steps.
        frozen_modules: modules of the frozen part, which stay in evaluation mode.
        mid_step: a step has begun and not ended, so that this state must not be stored.
    """

    module: nn.Module
    optimizers: list[Optimizer]
    ema: ModelEma | None
    loss_sum: Tensor
    finite_steps: Tensor
    step: int = 0
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)
    best: Best | None = None
    frozen_modules: list[nn.Module] = field(default_factory=list)
    mid_step: bool = False

    @classmethod
    def initial(
        cls, module: nn.Module, recipe: Recipe, device: torch.device, head: frozenset[str] = frozenset()
    ) -> "State":
        """The state of a run before its first step.

        Args:
            module: on the device, with the initial weights. It is frozen as the recipe says.
            head: names of the tensors of its head, for a recipe that treats the head differently.
        """
        frozen_modules = freeze(module, head) if recipe.freeze else batch_norms(module) if recipe.freeze_bn else []
        scales = lr_scales(module, head, recipe.layer_decay) if recipe.layer_decay < 1 else None
        return cls(
            module=module,
            optimizers=make_optimizers(module, recipe, scales, head),
            frozen_modules=frozen_modules,
            ema=ModelEma(module, recipe.model_ema_decay) if recipe.model_ema_decay else None,
            loss_sum=torch.zeros((), device=device),
            finite_steps=torch.zeros((), dtype=torch.int64, device=device),
        )

    def train_mode(self) -> None:
        """Put the model into training mode, except for frozen modules."""
        self.module.train()
        for module in self.frozen_modules:
            module.training = False

    @property
    def eval_module(self) -> nn.Module:
        """The model that is evaluated and stored: the moving average where there is one."""
        return self.module if self.ema is None else self.ema.module

    def is_finite(self) -> bool:
        """Whether every loss and every value of the model is finite. Waits for the device."""
        tensors = [self.loss_sum, *self.module.state_dict().values(), *self.eval_module.state_dict().values()]
        finite = [torch.isfinite(tensor).all() for tensor in tensors if tensor.is_floating_point()]
        return int(self.finite_steps) == self.step and bool(torch.stack(finite).all())

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor of the state by a name with the prefix of its part, copied to the CPU."""
        tensors = {f"model.{name}": tensor for name, tensor in self.module.state_dict().items()}
        if self.ema is not None:
            tensors |= {f"ema.{name}": tensor for name, tensor in self.ema.module.state_dict().items()}
        if self.best is not None:
            tensors |= {f"best.{name}": tensor for name, tensor in self.best.tensors.items()}
        tensors |= {name: value for name, value in self._optimizer_values() if isinstance(value, Tensor)}
        tensors["loss_sum"] = self.loss_sum
        return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}

    def metadata(self) -> dict[str, Any]:
        """Everything else, for JSON."""
        best = self.best
        return {
            "step": self.step,
            "seconds": self.seconds,
            "history": self.history,
            "best": None if best is None else {"epoch": best.epoch, "top1": best.top1, "loss": best.loss},
            "optimizer": {name: value for name, value in self._optimizer_values() if not isinstance(value, Tensor)},
        }

    def restore(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
        """Load what `tensors()` and `metadata()` returned. The model's own tensors are overwritten in place.

        Raises:
            TrainingError: they are of another model or optimizer.
        """
        try:
            self._load(self.module, tensors, "model.")
            if self.ema is not None:
                self._load(self.ema.module, tensors, "ema.")
            for number, optimizer in enumerate(self.optimizers):
                load_optimizer(optimizer, f"optimizer.{number}.", {**metadata["optimizer"], **tensors})
            if metadata["best"] is not None:
                best = _part(tensors, "best.")
                _check_tensors(best, self.eval_module.state_dict())
                self.best = Best(**metadata["best"], tensors=best)
            if (tensors["loss_sum"].shape, tensors["loss_sum"].dtype) != (self.loss_sum.shape, self.loss_sum.dtype):
                raise ValueError("loss_sum is not a number")
            self.loss_sum = tensors["loss_sum"].to(self.loss_sum.device)
            self.step, self.seconds = int(metadata["step"]), float(metadata["seconds"])
            self.history = list(metadata["history"])
            self.finite_steps.fill_(self.step)
        except (KeyError, ValueError, TypeError, IndexError, RuntimeError) as error:
            raise TrainingError(
                f"The checkpoint does not fit the model and recipe as they are built here: {error}",
                "Use the package versions that the run was started with, or train again.",
            ) from error

    def _optimizer_values(self) -> list[tuple[str, Any]]:
        return [
            (f"optimizer.{number}.{index}.{key}", value)
            for number, optimizer in enumerate(self.optimizers)
            for index, entry in optimizer.state_dict()["state"].items()
            for key, value in entry.items()
        ]

    @staticmethod
    def _load(module: nn.Module, tensors: Mapping[str, Tensor], prefix: str) -> None:
        stored = _part(tensors, prefix)
        _check_tensors(stored, module.state_dict())
        put_tensors(module, stored)


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _check_tensors(stored: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    for name in sorted({*stored, *own}):
        if name not in stored or name not in own or not _is_like(stored[name], own[name]):
            raise ValueError(f"{name} is missing, unexpected, or has another shape or dtype")


def _is_like(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and one.dtype == other.dtype
