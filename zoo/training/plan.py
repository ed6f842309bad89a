"""A recipe on a data set: the number of steps, the images to train on, and the images to evaluate on."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from zoo.contract.errors import UsageError
from zoo.data.batches import Batches
from zoo.data.datasets import LoadedDataset
from zoo.training.checkpoint.state import Best
from zoo.training.hold_out import hold_out
from zoo.training.optim.schedules import make_schedule
from zoo.training.recipe.recipe import Recipe


@dataclass(frozen=True)
class Plan:
    """The numbers of a run: a recipe applied to a data set.

    Args:
        train: the images to train on.
        eval_split, split: the images to evaluate on after each epoch, and their name: `test`, or `hold_out` where the
            recipe has one.
        batch_size: the global batch size; at most the number of training images.
        grad_accum_steps: batches of an optimizer step.
        steps: optimizer steps of an epoch. The last partial step is dropped: BatchNorm may not take a small batch.
        epochs, patience: as in the recipe.
        crop, hflip: of the augmentation.
        lr: the learning rate as a function of the step of the run, counted from 0.
        balanced_sampler: the labels of `train`, int64 `[N]` on the CPU, where classes are drawn equally often; else
            `None`.
    """

    train: Batches
    eval_split: Batches
    split: str
    batch_size: int
    grad_accum_steps: int
    steps: int
    epochs: int
    crop: int
    hflip: bool
    lr: Callable[[int], float]
    patience: int
    balanced_sampler: Tensor | None = None

    def is_over(self, epochs: int, best: Best | None) -> bool:
        """Whether the run ends after this many epochs, of which `best` is the best on the hold-out."""
        waited = epochs - best.epoch if best is not None else 0
        return epochs >= self.epochs or bool(self.patience and waited >= self.patience)


def make_plan(recipe: Recipe, data: LoadedDataset, hflip: bool) -> Plan:
    """Make the plan of a run.

    Args:
        hflip: whether to flip images at random where the recipe leaves that open.

    Raises:
        UsageError: the crop is not smaller than the images, the hold-out is empty, or an epoch has no whole step.
    """
    crop = data.preprocess.size[0] // 8 if recipe.crop is None else recipe.crop
    if crop >= min(data.preprocess.size):
        height, width = data.preprocess.size
        raise UsageError(
            f"`--crop {crop}` is too large for images of {height}×{width} pixels.", "Use a smaller --crop, or --crop 0."
        )
    train, eval_split, split = data.train, data.test, "test"
    if recipe.hold_out:
        train, eval_split = hold_out(data.train, recipe.hold_out, recipe.seed)
        split = "hold_out"
    batch_size = min(recipe.batch_size, train.n)
    steps = train.n // batch_size // recipe.grad_accum_steps
    if not steps:
        raise UsageError(
            f"An optimizer step takes {recipe.grad_accum_steps} batches of {batch_size} images, and the training split "
            f"has {train.n:,} images.",
            "Use a smaller --grad-accum-steps or --batch-size.",
        )
    factor = make_schedule(recipe, recipe.epochs * steps, round(recipe.warmup_epochs * steps))
    peak = recipe.lr or 0.0
    return Plan(
        train=train,
        eval_split=eval_split,
        split=split,
        batch_size=batch_size,
        grad_accum_steps=recipe.grad_accum_steps,
        steps=steps,
        epochs=recipe.epochs,
        crop=crop,
        hflip=hflip if recipe.hflip is None else recipe.hflip,
        lr=lambda step: peak * factor(step),
        patience=recipe.patience,
        balanced_sampler=train.labels.cpu() if recipe.balance == "sampler" else None,
    )
