"""The training loop: epochs of steps, an evaluation after each, from wherever the state stands."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from zoo.data.datasets import LoadedDataset
from zoo.evaluation.evaluate import Evaluation
from zoo.models.forward import check_logits, explained
from zoo.models.losses import LossFunction
from zoo.training.augment.mix import MixedBatch
from zoo.training.augment.pipeline import Augmenter
from zoo.training.checkpoint.state import Best, State
from zoo.training.distributed.ddp import DDPModel, shard
from zoo.training.distributed.evaluate import evaluate_distributed
from zoo.training.distributed.process_group import SINGLE_PROCESS, ProcessGroup
from zoo.training.optim.param_groups import set_lr
from zoo.training.plan import Plan
from zoo.training.prefetch import prepared
from zoo.training.recipe.recipe import Recipe
from zoo.training.signals import Signals
from zoo.training.step_rng import StepRNG

LOOK_EVERY = 1.0  # seconds between looks at the loss; each look waits for the device


class Diverged(Exception):
    """The loss, or a weight, is no longer finite.

    Args:
        step: of the run, counted from 0.
    """

    def __init__(self, step: int) -> None:
        super().__init__(step)
        self.step = step


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to.

    Args:
        number: from 1.
        lr: of its first step.
        train_loss: mean over the epoch's steps, as the weights changed; of the images as they were augmented, and
            without weights of classes.
        evaluation: of `split` (`test` or `hold_out`), after the epoch.
        images_per_second: of training alone.
        seconds_left: an estimate for the rest of the run.
    """

    number: int
    lr: float
    train_loss: float
    evaluation: Evaluation
    split: str
    images_per_second: float
    seconds_left: float

    def row(self) -> dict[str, Any]:
        """The epoch as a row of `history.csv`."""
        return {
            "epoch": self.number,
            "lr": self.lr,
            "train_loss": self.train_loss,
            f"{self.split}_loss": self.evaluation.loss,
            f"{self.split}_top1": self.evaluation.top1,
            "images_per_second": round(self.images_per_second, 1),
        }


@dataclass(frozen=True)
class Step:
    """How far an epoch is: `done` of `total` steps. `seconds_left` is an estimate for the rest of the run."""

    epoch: int
    done: int
    total: int
    images_per_second: float
    seconds_left: float


class Trainer:
    """A run under way: everything that its steps need."""

    def __init__(
        self,
        state: State,
        plan: Plan,
        recipe: Recipe,
        data: LoadedDataset,
        loss: LossFunction,
        device: torch.device,
        group: ProcessGroup = SINGLE_PROCESS,
        reported: LossFunction | None = None,
    ) -> None:
        """`loss` is minimised; `reported` is what is measured after each epoch, where that is another."""
        self.group, self._reported = group, reported or loss
        self.state, self.plan, self.recipe, self.data, self.loss, self.device = state, plan, recipe, data, loss, device
        self._draws = StepRNG(recipe.seed, device, group.rank)
        self._forward = DDPModel(
            state.module, group, grad_accum_steps=recipe.grad_accum_steps, compiled=recipe.torchcompile
        )
        self._autocast = device.type == "cuda" if recipe.amp is None else recipe.amp
        self._augmenter = Augmenter(plan, recipe, data.preprocess, device)
        self._parameters = [p for p in state.module.parameters() if p.requires_grad]

    def epochs(
        self,
        signals: Signals,
        *,
        on_step: Callable[[Step], None] = lambda step: None,
        after_step: Callable[[], None] = lambda: None,
    ) -> Iterator[Epoch]:
        """Train in place, giving an `Epoch` after each.

        Args:
            after_step: called between steps, when the state may be stored.

        Raises:
            Diverged: a loss, in training or in the evaluation after it, is no longer finite.
            PluginError, DeviceError: as `evaluate`.
        """
        state, plan = self.state, self.plan
        while not plan.over(len(state.rows), state.best):
            number = len(state.rows) + 1
            self._steps(number, signals, on_step, after_step)
            rate = self._rate(plan.steps)
            measured = evaluate_distributed(
                state.measured, plan.judged, self.data, self._reported, self.device, self.group
            )
            if not math.isfinite(measured.loss):
                raise Diverged(state.step - 1)
            lr = plan.lr((number - 1) * plan.steps)
            left = self._left(plan.steps)
            with signals.held():
                epoch = Epoch(number, lr, float(state.total) / plan.steps, measured, plan.split, rate, left)
                self._finish(epoch)
            yield epoch
            signals.settle(False)

    def _steps(
        self, number: int, signals: Signals, on_step: Callable[[Step], None], after_step: Callable[[], None]
    ) -> None:
        state, plan = self.state, self.plan
        state.train()
        before = (number - 1) * plan.steps
        used = plan.batch_size * plan.grad_accum_steps
        order = self._draws.order(plan.train.n, number, plan.evenly)[: plan.steps * used]
        mine = shard(order[(state.step - before) * used :], plan.batch_size, self.group)
        batches = plan.train.epoch(plan.batch_size // self.group.world_size, mine)
        steps = prepared(batches, self._augmenter, self._draws, state.step, plan.grad_accum_steps)
        spent, started, looked, due = state.seconds, time.perf_counter(), 0.0, True
        while state.step < before + plan.steps:
            chosen = next(steps)
            with signals.held():
                state.torn = True
                self._step(chosen)
                state.torn = False
            now = time.perf_counter()
            state.seconds = spent + now - started
            done = state.step - before
            if due or done == plan.steps:
                looked = now
                if (sound := int(state.sound)) < state.step:
                    raise Diverged(sound)
                state.seconds = spent + time.perf_counter() - started
                on_step(Step(number, done, plan.steps, self._rate(done), self._left(done)))
            after_step()
            due = signals.settle(time.perf_counter() - looked > LOOK_EVERY)

    def _step(self, batches: list[MixedBatch]) -> None:
        state = self.state
        self._draws.seed(state.step)
        for optimizer in state.optimizers:
            optimizer.zero_grad(set_to_none=True)
        value: Tensor | None = None
        for mixed in batches:
            autocast = torch.autocast(self.device.type, torch.bfloat16) if self._autocast else nullcontext()
            with explained(self.device), autocast:
                logits = check_logits(self._forward(mixed.images), len(mixed.images), len(self.data.classes)).float()
                part = self._share(mixed.loss(self.loss, logits), batches)
            with explained(self.device, f"The backward pass of the model or of the loss {self.recipe.loss}"):
                part.backward()  # type: ignore[no-untyped-call]
            told = part.detach()
            if self._reported is not self.loss:
                told = self._share(mixed.loss(self._reported, logits.detach()), batches)
            value = told if value is None else value + told
        if self.recipe.clip_grad:
            clip_grad_norm_(self._parameters, self.recipe.clip_grad)
        set_lr(state.optimizers, self.plan.lr(state.step))
        for optimizer in state.optimizers:
            optimizer.step()
        state.step += 1
        if state.average is not None:
            state.average.update(state.step)
        assert value is not None
        state.total += self.group.all_reduce_mean(value)
        state.sound += torch.isfinite(state.total)  # a sum is not finite from the first loss on that is not

    @staticmethod
    def _share(loss: Tensor, batches: list[MixedBatch]) -> Tensor:
        """What a batch's loss counts in that of a step of several."""
        return loss / len(batches) if len(batches) > 1 else loss

    def _finish(self, epoch: Epoch) -> None:
        state, measured = self.state, epoch.evaluation
        state.rows.append(epoch.row())
        state.total = torch.zeros_like(state.total)
        state.seconds = 0.0
        best = state.best
        if epoch.split == "hold_out" and (best is None or (measured.top1, -measured.loss) > (best.top1, -best.loss)):
            tensors = {name: value.detach().cpu().clone() for name, value in state.measured.state_dict().items()}
            state.best = Best(epoch.number, measured.top1, measured.loss, tensors)

    def _rate(self, done: int) -> float:
        return done * self.plan.batch_size * self.plan.grad_accum_steps / max(self.state.seconds, 1e-9)

    def _left(self, done: int) -> float:
        return self.state.seconds / max(done, 1) * (self.plan.epochs * self.plan.steps - self.state.step)
