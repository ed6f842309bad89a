"""All that a run has come to so far, and the same as tensors and plain data for a checkpoint."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from zoo.contract.errors import TrainingError
from zoo.training.optim.ema import ModelEma
from zoo.training.optim.freeze import freeze
from zoo.training.optim.layer_decay import lr_scales
from zoo.training.optim.param_groups import make_optimizers
from zoo.training.recipe.recipe import Recipe


@dataclass
class Best:
    """The epoch that does best on the hold-out, and the weights that were measured after it, on the CPU."""

    epoch: int
    top1: float
    loss: float
    tensors: dict[str, Tensor]


@dataclass
class State:
    """A run between two steps.

    Args:
        step: steps taken, of all epochs.
        rows: the finished epochs, as rows of `history.csv`.
        total: the sum of the losses of the present epoch's steps, on the device.
        sound: steps of the run before the first loss that was not finite, int64, on the device; so far, all of them.
        seconds: spent on the present epoch's steps.
        still: modules of a frozen part, which stay in evaluation mode.
        torn: a step was begun and not ended, so that nothing here is worth to be stored.
    """

    module: nn.Module
    optimizers: list[Optimizer]
    average: ModelEma | None
    total: Tensor
    sound: Tensor
    step: int = 0
    seconds: float = 0.0
    rows: list[dict[str, Any]] = field(default_factory=list)
    best: Best | None = None
    still: list[nn.Module] = field(default_factory=list)
    torn: bool = False

    @classmethod
    def fresh(
        cls, module: nn.Module, recipe: Recipe, device: torch.device, head: frozenset[str] = frozenset()
    ) -> "State":
        """The state of a run before its first step.

        Args:
            module: on the device already, with the weights that the run begins from. It is frozen as the recipe says.
            head: names of the tensors of its head, for a recipe that has to tell them from the rest.
        """
        still = freeze(module, head) if recipe.freeze else []
        scales = lr_scales(module, head, recipe.layer_decay) if recipe.layer_decay < 1 else None
        return cls(
            module=module,
            optimizers=make_optimizers(module, recipe, scales, head),
            still=still,
            average=ModelEma(module, recipe.model_ema_decay) if recipe.model_ema_decay else None,
            total=torch.zeros((), device=device),
            sound=torch.zeros((), dtype=torch.int64, device=device),
        )

    def train(self) -> None:
        """Put the model into training mode, but for what is frozen."""
        self.module.train()
        for part in self.still:
            part.training = False

    @property
    def measured(self) -> nn.Module:
        """The model that is measured and stored: the moving average where there is one."""
        return self.module if self.average is None else self.average.module

    def finite(self) -> bool:
        """Whether no loss, and no value of the model, is infinite or not a number. It waits for the device."""
        tensors = [self.total, *self.module.state_dict().values(), *self.measured.state_dict().values()]
        seen = [torch.isfinite(tensor).all() for tensor in tensors if tensor.is_floating_point()]
        return int(self.sound) == self.step and bool(torch.stack(seen).all())

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor of the state by a name that says what it is part of, copied to the CPU."""
        found = {f"model.{name}": tensor for name, tensor in self.module.state_dict().items()}
        if self.average is not None:
            found |= {f"average.{name}": tensor for name, tensor in self.average.module.state_dict().items()}
        if self.best is not None:
            found |= {f"best.{name}": tensor for name, tensor in self.best.tensors.items()}
        found |= {name: value for name, value in self._optimizer_values() if isinstance(value, Tensor)}
        return {
            name: tensor.detach().cpu().contiguous().clone() for name, tensor in {**found, "total": self.total}.items()
        }

    def facts(self) -> dict[str, Any]:
        """The rest of the state, for JSON."""
        best = self.best
        return {
            "step": self.step,
            "seconds": self.seconds,
            "rows": self.rows,
            "best": None if best is None else {"epoch": best.epoch, "top1": best.top1, "loss": best.loss},
            "optimizer": {name: value for name, value in self._optimizer_values() if not isinstance(value, Tensor)},
        }

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Take over what `tensors` and `facts` gave, into the very memory of this state's model.

        Raises:
            TrainingError: they are of another model or optimizer.
        """
        try:
            self._load(self.module, tensors, "model.")
            if self.average is not None:
                self._load(self.average.module, tensors, "average.")
            for number, optimizer in enumerate(self.optimizers):
                _load_optimizer(optimizer, f"optimizer.{number}.", {**facts["optimizer"], **tensors})
            if facts["best"] is not None:
                self.best = Best(**facts["best"], tensors=_part(tensors, "best."))
            self.total = tensors["total"].to(self.total.device)
            self.step, self.seconds, self.rows = int(facts["step"]), float(facts["seconds"]), list(facts["rows"])
            self.sound.fill_(self.step)
        except (KeyError, ValueError, TypeError, IndexError, RuntimeError) as error:
            raise TrainingError(
                f"The checkpoint is not of this model and recipe as they are built here: {error}",
                "Use the versions that the run was begun with, or train again.",
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
        given, own = _part(tensors, prefix), module.state_dict()
        for name in sorted({*given, *own}):
            if name not in given or name not in own or given[name].shape != own[name].shape:
                raise ValueError(f"{name} does not fit")
        module.load_state_dict(given)


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _load_optimizer(optimizer: Optimizer, prefix: str, values: Mapping[str, Any]) -> None:
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    entries: dict[int, dict[str, Any]] = {}
    for name, value in values.items():
        if name.startswith(prefix):
            index, _, key = name.removeprefix(prefix).partition(".")
            entries.setdefault(int(index), {})[key] = _laid_out(value, parameters[int(index)])
    optimizer.load_state_dict({"state": entries, "param_groups": optimizer.state_dict()["param_groups"]})


def _laid_out(value: Any, parameter: Tensor) -> Any:
    """`value` in the memory layout of `parameter`, as the optimizer itself would have made it."""
    if not isinstance(value, Tensor) or value.ndim == 0:
        return value
    return torch.empty_like(parameter.detach(), dtype=value.dtype).copy_(value)
