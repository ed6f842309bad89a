"""The training loop, from top to bottom: epochs of steps, and an evaluation after each epoch.

One step is: augment → forward → loss → backward → clip gradients → set the learning rate → optimizer step → EMA →
check that the loss is finite.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from zoo.contract.callback import SILENT, Callback
from zoo.data.batches import Batch
from zoo.data.datasets import LoadedDataset
from zoo.evaluation.evaluate import Evaluation
from zoo.models.forward import check_logits, explain_model_errors
from zoo.models.generators import drawn_from, generator_states
from zoo.models.losses import LossFunction
from zoo.training.augment.mix import MixedBatch
from zoo.training.augment.pipeline import Augmenter
from zoo.training.checkpoint.state import Best, State
from zoo.training.distributed.ddp import DDPModel, shard
from zoo.training.distributed.evaluate import evaluate_distributed
from zoo.training.distributed.process_group import SINGLE_PROCESS, ProcessGroup
from zoo.training.optim.param_groups import set_lr
from zoo.training.plan import Plan
from zoo.training.recipe.recipe import Recipe
from zoo.training.signals import Signals
from zoo.training.step_rng import StepRNG

REPORT_EVERY = 1.0  # seconds between two reports of the progress; each waits for the device
AUGMENT_AHEAD_BYTES = 2**20  # of uint8 images that are augmented together, where one step takes fewer
AUGMENT_AHEAD_STEPS = 8


class Diverged(Exception):
    """The loss or a weight is no longer finite.

    Args:
        step: of the run, counted from 0.
    """

    def __init__(self, step: int) -> None:
        super().__init__(step)
        self.step = step


@dataclass(frozen=True)
class Step:
    """The progress of an epoch: `done` of `total` steps. `seconds_left` is an estimate for the rest of the run."""

    epoch: int
    done: int
    total: int
    images_per_second: float
    seconds_left: float


@dataclass(frozen=True)
class Epoch:
    """The result of an epoch.

    Args:
        number: from 1.
        lr: the learning rate of its first step.
        train_loss: the mean over its steps, on augmented images, without class weights.
        evaluation: on `split` (`test` or `hold_out`), after the epoch.
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


class Trainer:
    """Trains the model of a `State`.

    Args:
        state: where training continues from; it is updated in place.
        loss: is minimised.
        eval_loss: is reported, in training and evaluation; `None` for the same as `loss`. The two differ where `loss`
            has class weights.
        group: the ranks that train together. All of them construct a trainer and call `train`.
        signals: defer signals until a step is complete.
        callback: its `on_step` is called at the start of an epoch and about once a second.
        on_step_end: called after each step, when the state may be stored.
        on_epoch_end: called after each epoch and its evaluation.
    """

    def __init__(
        self,
        state: State,
        plan: Plan,
        recipe: Recipe,
        data: LoadedDataset,
        loss: LossFunction,
        device: torch.device,
        group: ProcessGroup = SINGLE_PROCESS,
        *,
        eval_loss: LossFunction | None = None,
        signals: Signals | None = None,
        callback: Callback = SILENT,
        on_step_end: Callable[[], None] = lambda: None,
        on_epoch_end: Callable[[Epoch], None] = lambda epoch: None,
    ) -> None:
        self.state, self.plan, self.recipe, self.data, self.device, self.group = (
            state,
            plan,
            recipe,
            data,
            device,
            group,
        )
        self.loss, self.eval_loss = loss, eval_loss or loss
        self.signals, self.callback = signals or Signals(), callback
        self.on_step_end, self.on_epoch_end = on_step_end, on_epoch_end
        self.rng = StepRNG(recipe.seed, device, group.rank)
        self.augmenter = Augmenter(plan, recipe, data.preprocess, device)
        self._model = DDPModel(state.module, group, compiled=recipe.torchcompile)
        self._amp = device.type == "cuda" if recipe.amp is None else recipe.amp
        self._warned = False  # of random numbers in evaluation
        self._trained = [parameter for parameter in state.module.parameters() if parameter.requires_grad]

    def train(self) -> None:
        """Train to the end of the plan, from the state's step.

        Raises:
            Diverged: a loss, in training or in evaluation, is no longer finite.
            PluginError, DeviceError: as `evaluate`.
        """
        state, plan, signals = self.state, self.plan, self.signals
        while not plan.is_over(len(state.history), state.best):
            number = len(state.history) + 1
            first_step = (number - 1) * plan.steps
            state.train_mode()
            self._report_step(number, state.step - first_step)
            steps = self._augmented_steps(number)
            seconds_before, started, reported, report_due = state.seconds, time.perf_counter(), 0.0, True
            while state.step < first_step + plan.steps:
                batches = next(steps)
                with signals.deferred():
                    state.mid_step = True
                    self.step(batches)
                    state.mid_step = False
                now = time.perf_counter()
                state.seconds = seconds_before + now - started
                done = state.step - first_step
                if report_due or done == plan.steps:
                    reported = now
                    if (finite_steps := int(state.finite_steps)) < state.step:  # waits for the device
                        raise Diverged(finite_steps)
                    state.seconds = seconds_before + time.perf_counter() - started
                    self._report_step(number, done)
                self.on_step_end()
                report_due = signals.sync(time.perf_counter() - reported > REPORT_EVERY)

            images_per_second = self._images_per_second(plan.steps)
            evaluation = self._evaluate()
            if not math.isfinite(evaluation.loss):
                raise Diverged(state.step - 1)
            with signals.deferred():
                epoch = Epoch(
                    number=number,
                    lr=plan.lr(first_step),
                    train_loss=float(state.loss_sum) / plan.steps,
                    evaluation=evaluation,
                    split=plan.split,
                    images_per_second=images_per_second,
                    seconds_left=self._seconds_left(plan.steps),
                )
                self._record(epoch)
            self.on_epoch_end(epoch)
            signals.sync(False)

    def step(self, batches: list[MixedBatch]) -> None:
        """Take one optimizer step.

        Args:
            batches: `grad_accum_steps` augmented batches, or fewer at the end of an epoch, whose gradients are
                averaged over the images.
        """
        state = self.state
        self.rng.seed(state.step)
        for optimizer in state.optimizers:
            optimizer.zero_grad(set_to_none=True)

        step_loss: Tensor | None = None
        sizes = [len(batch.images) for batch in batches]
        for number, batch in enumerate(batches, 1):
            autocast = torch.autocast(self.device.type, torch.bfloat16) if self._amp else nullcontext()
            with explain_model_errors(self.device), autocast:
                logits_BK = check_logits(
                    self._model(batch.images, last=number == len(batches)), len(batch.images), len(self.data.classes)
                ).float()
                loss = _weighted(batch.loss(self.loss, logits_BK), len(batch.images), sizes)
            with explain_model_errors(self.device, f"The backward pass of the model or of the loss {self.recipe.loss}"):
                loss.backward()  # type: ignore[no-untyped-call]
            loss = loss.detach()
            if self.eval_loss is not self.loss:
                loss = _weighted(batch.loss(self.eval_loss, logits_BK.detach()), len(batch.images), sizes)
            step_loss = loss if step_loss is None else step_loss + loss

        if self.recipe.clip_grad:
            clip_grad_norm_(self._trained, self.recipe.clip_grad)
        set_lr(state.optimizers, self.plan.lr(state.step))
        for optimizer in state.optimizers:
            optimizer.step()
        state.step += 1
        if state.ema is not None:
            state.ema.update(state.step)

        assert step_loss is not None
        state.loss_sum += self.group.all_reduce_mean(step_loss)
        state.finite_steps += torch.isfinite(state.loss_sum)  # once one loss is not finite, no later sum is

    def _evaluate(self) -> Evaluation:
        """Evaluate the model. A model that draws random numbers then draws the same ones in a resumed run."""
        self.rng.seed(self.state.step, "evaluation")
        before = generator_states(self.device)
        evaluation = evaluate_distributed(
            self.state.eval_module, self.plan.eval_split, self.data, self.eval_loss, self.device, self.group
        )
        drawn = drawn_from(before, generator_states(self.device))
        if drawn and not self._warned:
            self._warned = True
            self.callback.on_message(
                f"the model or the data set draws random numbers ({drawn}) in evaluation: its results depend on them, "
                "and an export of such a model is refused",
                warning=True,
            )
        return evaluation

    def _augmented_steps(self, epoch: int) -> Iterator[list[MixedBatch]]:
        """The augmented batches of each step of the epoch that is left, on this rank."""
        plan = self.plan
        step_size = plan.batch_size * plan.grad_accum_steps
        order = self.rng.order(plan.train.n, epoch, plan.balanced_sampler)[: plan.images]
        done = self.state.step - (epoch - 1) * plan.steps  # before the run was interrupted
        own = shard(order[done * step_size :], plan.batch_size, self.group)
        batches = plan.train.epoch(plan.batch_size // self.group.world_size, own)
        return augment_ahead(batches, self.augmenter, self.rng, self.state.step, plan.grad_accum_steps)

    def _record(self, epoch: Epoch) -> None:
        """Add a finished epoch to the history, and keep its weights if they are the best on the hold-out so far."""
        state, evaluation = self.state, epoch.evaluation
        state.history.append(epoch.row())
        state.loss_sum = torch.zeros_like(state.loss_sum)
        state.seconds = 0.0
        best = state.best
        if epoch.split == "hold_out" and (
            best is None or (evaluation.top1, -evaluation.loss) > (best.top1, -best.loss)
        ):
            tensors = {name: value.detach().cpu().clone() for name, value in state.eval_module.state_dict().items()}
            state.best = Best(epoch.number, evaluation.top1, evaluation.loss, tensors)

    def _report_step(self, epoch: int, done: int) -> None:
        rate, left = (self._images_per_second(done), self._seconds_left(done)) if done else (0.0, 0.0)
        self.callback.on_step(Step(epoch, done, self.plan.steps, rate, left))

    def _images_per_second(self, done: int) -> float:
        images = min(done * self.plan.batch_size * self.plan.grad_accum_steps, self.plan.images)
        return images / max(self.state.seconds, 1e-9)

    def _seconds_left(self, done: int) -> float:
        return self.state.seconds / max(done, 1) * (self.plan.epochs * self.plan.steps - self.state.step)


def augment_ahead(
    batches: Iterator[Batch], augmenter: Augmenter, rng: StepRNG, step: int, grad_accum_steps: int
) -> Iterator[list[MixedBatch]]:
    """The batches of each step, augmented and normalised; those of several steps at once where the images are small.

    Augmentation is many small operations. A model's step evicts their memory from the caches, so that augmenting for
    several steps in a row takes half the time. Each step has its own random numbers, so the result does not depend on
    which steps are augmented together.

    Args:
        step: of the run, that of the first batch.
        grad_accum_steps: batches of a step; the last step of an epoch may have fewer.
    """
    ahead = 1
    while True:
        steps = list[list[MixedBatch]]()
        while len(steps) < ahead and (step_batches := list(islice(batches, grad_accum_steps))):
            images, _ = step_batches[0]
            ahead = max(1, min(AUGMENT_AHEAD_STEPS, AUGMENT_AHEAD_BYTES // (grad_accum_steps * images.numel())))
            generator = rng.augmentation(step)
            steps.append([augmenter(*batch, generator) for batch in step_batches])
            step += 1
        if not steps:
            return
        yield from steps


def _weighted(loss: Tensor, size: int, sizes: list[int]) -> Tensor:
    """The part that the loss of a batch of `size` images has in that of a step with batches of these sizes."""
    if len(sizes) == 1:
        return loss
    return loss / len(sizes) if size * len(sizes) == sum(sizes) else loss * (size / sum(sizes))
