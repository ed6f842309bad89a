"""What a recipe comes to on given data: how many steps, over which images, judged by which."""

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
    """A run, decided.

    Args:
        train: what is trained on.
        eval_split: what is measured after each epoch, and `split` its name: `test`, or `hold_out` where there is one.
        batch_size: images that go through the model at once; `grad_accum_steps` such batches are a step.
        steps: of an epoch; images that fill no whole step are left out, as BatchNorm may not take a small batch.
        balanced_sampler: labels of `train`, on the CPU, where each class is to be drawn as often; else `None`.
        crop, hflip: of augmentation.
        lr: the learning rate of each step of the run, counted from 0.
        patience: as in the recipe.
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
        """Whether the run ends after that many epochs."""
        waited = epochs - best.epoch if best is not None else 0
        return epochs >= self.epochs or bool(self.patience and waited >= self.patience)


def make_plan(recipe: Recipe, data: LoadedDataset, hflip: bool) -> Plan:
    """Decide a run.

    Args:
        hflip: whether mirror images are drawn where the recipe does not say.

    Raises:
        UsageError: the crop is larger than the images, the hold-out is empty, or there are fewer images than a step
            takes.
    """
    crop = data.preprocess.size[0] // 8 if recipe.crop is None else recipe.crop
    if crop >= min(data.preprocess.size):
        raise UsageError(f"A shift of {crop} pixels would leave nothing to see.", "Say a smaller --crop, or --crop 0.")
    train, eval_split, split = data.train, data.test, "test"
    if recipe.hold_out:
        train, eval_split = hold_out(data.train, recipe.hold_out, recipe.seed)
        split = "hold_out"
    batch_size = min(recipe.batch_size, train.n)
    steps = train.n // batch_size // recipe.grad_accum_steps
    if not steps:
        raise UsageError(
            f"A step takes {recipe.grad_accum_steps} batches of {batch_size} images, and there are {train.n}.",
            "Say a smaller --grad-accum-steps or --batch-size.",
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
