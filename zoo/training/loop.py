"""The training loop: epochs of steps, an evaluation after each."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from zoo.data import Data
from zoo.errors import TrainingError, UsageError
from zoo.evaluate import Evaluation, check_logits, evaluate, explained
from zoo.images import normalise
from zoo.losses import LossFunction
from zoo.training.augment import augment
from zoo.training.optimize import make_optimizer, make_schedule
from zoo.training.recipe import Recipe

LOOK_EVERY = 50  # steps between looks at the loss; each look waits for the device


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to.

    Args:
        number: from 1.
        train_loss: mean over the epoch's steps, as the weights changed.
        evaluation: of the test split, after the epoch.
        images_per_second: of training alone.
    """

    number: int
    lr: float
    train_loss: float
    evaluation: Evaluation
    images_per_second: float

    def row(self) -> dict[str, float]:
        """The epoch as a row of `history.csv`."""
        return {
            "epoch": self.number,
            "lr": self.lr,
            "train_loss": self.train_loss,
            "test_loss": self.evaluation.loss,
            "test_top1": self.evaluation.top1,
            "images_per_second": round(self.images_per_second, 1),
        }


@dataclass(frozen=True)
class Step:
    """How far an epoch is: `done` of `total` steps."""

    epoch: int
    done: int
    total: int
    images_per_second: float


def train(
    module: nn.Module,
    data: Data,
    loss: LossFunction,
    recipe: Recipe,
    *,
    hflip: bool,
    device: torch.device,
    on_step: Callable[[Step], None] = lambda step: None,
) -> Iterator[Epoch]:
    """Train `module` in place, giving an `Epoch` after each.

    Args:
        hflip: whether mirror images are drawn where the recipe does not say.

    Raises:
        TrainingError: the loss is no longer finite.
        UsageError: the recipe's crop is larger than the images.
        PluginError, DeviceError: as `evaluate`.
    """
    generator = torch.Generator().manual_seed(recipe.seed)
    torch.manual_seed(recipe.seed)
    module.to(device)
    if device.type == "cuda":
        module.to(memory_format=torch.channels_last)
    batch_size = min(recipe.batch_size, data.train.n)
    steps = data.train.n // batch_size  # a smaller last batch is left out, as BatchNorm may not take it
    optimizer = make_optimizer(module, recipe.optimizer, recipe.peak_lr, recipe.decay)
    warmup = round(recipe.warmup_epochs * steps)
    schedule = make_schedule(optimizer, recipe.schedule, recipe.epochs * steps, warmup)
    crop = data.preprocess.size[0] // 8 if recipe.crop is None else recipe.crop
    if crop > min(data.preprocess.size):
        raise UsageError(f"A shift of {crop} pixels would leave nothing to see.", "Say a smaller --crop, or --crop 0.")
    hflip = hflip if recipe.hflip is None else recipe.hflip
    autocast = torch.autocast("cuda", torch.bfloat16) if recipe.amp and device.type == "cuda" else nullcontext()

    for number in range(1, recipe.epochs + 1):
        module.train()
        started = time.perf_counter()
        total: Tensor = torch.zeros((), device=device)
        order = torch.randperm(data.train.n, generator=generator)[: steps * batch_size]
        lr = float(schedule.get_last_lr()[0])
        for done, (images, labels) in enumerate(data.train.epoch(batch_size, order), 1):
            images = normalise(augment(images, crop, hflip, generator), data.preprocess)
            if device.type == "cuda":
                images = images.contiguous(memory_format=torch.channels_last)
            with explained(device):
                with autocast:
                    logits = check_logits(module(images), len(labels), len(data.classes))
                    value = loss(logits.float(), labels)
                optimizer.zero_grad(set_to_none=True)
                value.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            total = total + value.detach()
            if done % LOOK_EVERY == 0 or done == steps:
                _refuse_not_finite(total.item(), number, done, float(schedule.get_last_lr()[0]))
                on_step(Step(number, done, steps, done * batch_size / (time.perf_counter() - started)))
        rate = steps * batch_size / (time.perf_counter() - started)
        measured = evaluate(module, data.test, data.preprocess, loss, num_classes=len(data.classes), device=device)
        yield Epoch(number, lr, total.item() / steps, measured, rate)


def _refuse_not_finite(total: float, epoch: int, step: int, lr: float) -> None:
    if not math.isfinite(total):
        raise TrainingError(
            f"The loss is no longer finite by step {step} of epoch {epoch}, at a learning rate of {lr:.2g}.",
            "Try a lower --lr, or more --warmup-epochs.",
        )
