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

MAX_BATCH_SIZE, MIN_BATCH_SIZE, STEPS = 128, 8, 10  # see `default_batch_size`


def default_batch_size(images: int) -> int:
    """The batch size where a recipe does not set one: the largest power of two that leaves 10 steps an epoch.

    It is 128 from 1,280 images on, and never below 8: few images need many steps, and batch norm needs several images.

    Args:
        images: to train on.
    """
    fitting = 1 << max(images // STEPS, 1).bit_length() - 1
    return min(max(fitting, MIN_BATCH_SIZE), MAX_BATCH_SIZE)


def few_images(images: int) -> bool:
    """Whether these are so few training images that their batches are smaller than `MAX_BATCH_SIZE` by default."""
    return images < MAX_BATCH_SIZE * STEPS


@dataclass(frozen=True)
class Plan:
    """The numbers of a run: a recipe applied to a data set.

    Args:
        train: the images to train on.
        eval_split, split: the images to evaluate on after each epoch, and their name: `test`, or `hold_out` where the
            recipe has one.
        batch_size: the global batch size; at most the number of training images.
        grad_accum_steps: batches of an optimizer step.
        steps: optimizer steps of an epoch. The last one may take fewer images.
        images: that an epoch trains on; fewer than the training split has where the last partial batch is dropped.
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
    images: int
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


def make_plan(
    recipe: Recipe,
    data: LoadedDataset,
    hflip: bool,
    *,
    world_size: int = 1,
    has_batch_norm: Callable[[], bool] = lambda: False,
) -> Plan:
    """Make the plan of a run.

    Args:
        hflip: whether to flip images at random where the recipe leaves that open.
        world_size: ranks that share each batch. The last batch is cut to a multiple of it.
        has_batch_norm: whether the model has batch norm, which cannot normalise a batch of one image. It is called
            only where there would be such a batch.

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
    batch_size = min(recipe.batch_size or default_batch_size(train.n), train.n)
    step_size = batch_size * recipe.grad_accum_steps
    images = train.n - train.n % step_size
    if not recipe.drop_last:
        last = train.n % batch_size // world_size  # images of the last batch, on each rank
        if last == 1 and has_batch_norm():
            last = 0
        images = train.n - train.n % batch_size + last * world_size
    steps = -(-images // step_size)
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
        images=images,
        epochs=recipe.epochs,
        crop=crop,
        hflip=hflip if recipe.hflip is None else recipe.hflip,
        lr=lambda step: peak * factor(step),
        patience=recipe.patience,
        balanced_sampler=train.labels.cpu() if recipe.balance == "sampler" else None,
    )
