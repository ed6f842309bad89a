"""The training loop: epochs of steps, an evaluation after each, from wherever the state stands."""

import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from zoo.batches import Batch
from zoo.data import Data
from zoo.evaluate import Evaluation, check_logits, evaluate, explained
from zoo.losses import LossFunction
from zoo.training.augment import augment
from zoo.training.draws import Draws
from zoo.training.optimize import set_lr
from zoo.training.plan import Plan
from zoo.training.recipe import Recipe
from zoo.training.signals import Signals
from zoo.training.state import Best, State

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
        train_loss: mean over the epoch's steps, as the weights changed.
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


class Training:
    """A run under way: everything that its steps need."""

    def __init__(
        self,
        state: State,
        plan: Plan,
        recipe: Recipe,
        data: Data,
        loss: LossFunction,
        device: torch.device,
        reported: LossFunction | None = None,
    ) -> None:
        """`loss` is minimised; `reported` is what is measured after each epoch, where that is another."""
        self.state, self.plan, self.recipe, self.data, self.loss, self.device = state, plan, recipe, data, loss, device
        self._reported = reported or loss
        self._draws = Draws(recipe.seed, device)
        self._forward: Callable[[Tensor], Any] = torch.compile(state.module) if recipe.compile else state.module
        self._autocast = device.type == "cuda" if recipe.amp is None else recipe.amp
        statistics = (data.preprocess.mean, data.preprocess.std)
        self._mean, self._std = (torch.tensor(values, device=device).view(-1, 1, 1) for values in statistics)
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
            Diverged: a loss is no longer finite.
            PluginError, DeviceError: as `evaluate`.
        """
        state, plan = self.state, self.plan
        while not plan.over(len(state.rows), state.best):
            number = len(state.rows) + 1
            self._steps(number, signals, on_step, after_step)
            rate = self._rate(plan.steps)
            measured = evaluate(
                state.measured,
                plan.judged,
                self.data.preprocess,
                self._reported,
                num_classes=len(self.data.classes),
                device=self.device,
            )
            lr = plan.lr((number - 1) * plan.steps)
            left = self._left(plan.steps, number)
            with signals.held():
                epoch = Epoch(number, lr, float(state.total) / plan.steps, measured, plan.split, rate, left)
                self._finish(epoch)
            yield epoch

    def _steps(
        self, number: int, signals: Signals, on_step: Callable[[Step], None], after_step: Callable[[], None]
    ) -> None:
        state, plan = self.state, self.plan
        state.module.train()
        before = (number - 1) * plan.steps
        used = plan.batch_size * plan.accumulate
        order = self._draws.order(plan.train.n, number, plan.evenly)[: plan.steps * used]
        batches = plan.train.epoch(plan.batch_size, order[(state.step - before) * used :])
        spent, started, looked = state.seconds, time.perf_counter(), 0.0
        while state.step < before + plan.steps:
            chosen = list(islice(batches, plan.accumulate))
            with signals.held():
                state.torn = True
                self._step(chosen)
                state.torn = False
            now = time.perf_counter()
            state.seconds = spent + now - started
            done = state.step - before
            if now - looked > LOOK_EVERY or done == plan.steps:
                looked = now
                if (bad := int(state.first_bad)) >= 0:
                    raise Diverged(bad)
                state.seconds = spent + time.perf_counter() - started
                on_step(Step(number, done, plan.steps, self._rate(done), self._left(done, number)))
            after_step()

    def _step(self, batches: list[Batch]) -> None:
        state = self.state
        generator = self._draws.step(state.step)
        for optimizer in state.optimizers:
            optimizer.zero_grad(set_to_none=True)
        value = torch.zeros((), device=self.device)
        for images, labels in batches:
            images = augment(images, self.plan.crop, self.plan.hflip, generator)
            images = (images.float() / 255 - self._mean) / self._std
            if self.device.type != "mps":
                images = images.contiguous(memory_format=torch.channels_last)
            with explained(self.device):
                with torch.autocast(self.device.type, torch.bfloat16) if self._autocast else nullcontext():
                    logits = check_logits(self._forward(images), len(labels), len(self.data.classes))
                    part = self.loss(logits.float(), labels) / len(batches)
                part.backward()  # type: ignore[no-untyped-call]
            value = value + part.detach()
        if self.recipe.clip:
            clip_grad_norm_(self._parameters, self.recipe.clip)
        set_lr(state.optimizers, self.plan.lr(state.step))
        for optimizer in state.optimizers:
            optimizer.step()
        state.step += 1
        if state.average is not None:
            state.average.update(state.step)
        state.total = state.total + value
        now_bad = ~torch.isfinite(value) & (state.first_bad < 0)
        state.first_bad = torch.where(now_bad, state.step - 1, state.first_bad)

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
        return done * self.plan.batch_size * self.plan.accumulate / max(self.state.seconds, 1e-9)

    def _left(self, done: int, number: int) -> float:
        return self.state.seconds / max(done, 1) * (self.plan.epochs * self.plan.steps - self.state.step)
