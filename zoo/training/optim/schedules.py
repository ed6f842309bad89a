"""The learning-rate schedules that a recipe can name, one row each. Importing this file imports no torch.

Each is a pure function of the step, so a resumed run needs no scheduler state. `torch.optim.lr_scheduler` is not used:
most of its schedulers compute a rate from the previous one, so its last bits depend on the steps taken before; and all
of them multiply the rate of each group by the factor, which rounds differently where a group's rate is scaled.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoo.training.recipe.recipe import Recipe

ONE_CYCLE_WARMUP = 0.3  # fraction of the run in which one_cycle rises; `pct_start` of OneCycleLR
ONE_CYCLE_START, ONE_CYCLE_END = 1 / 25, 1 / 25e4  # in fractions of the peak, as OneCycleLR has them


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """A learning-rate schedule.

    Args:
        name: what `--sched` takes.
        summary: a few words for the documentation.
        fields: the recipe's fields that it uses. With `warmup_epochs` among them, a linear warm-up comes first.
        factor: `factor(step, steps, warmup, recipe)` gives the fraction of the peak learning rate at `step`, counted
            from 0, of `steps`. It is not called for the first `warmup` steps.
    """

    name: str
    summary: str
    fields: tuple[str, ...]
    factor: Callable[[int, int, int, "Recipe"], float]


def _cosine(step: int, steps: int, warmup: int, recipe: "Recipe") -> float:
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def _constant(step: int, steps: int, warmup: int, recipe: "Recipe") -> float:
    return 1.0


def _step(step: int, steps: int, warmup: int, recipe: "Recipe") -> float:
    passed = sum(step >= round(fraction * steps) for fraction in recipe.decay_milestones)
    return float(recipe.decay_rate**passed)


def _one_cycle(step: int, steps: int, warmup: int, recipe: "Recipe") -> float:
    peak, last = ONE_CYCLE_WARMUP * steps - 1, steps - 1
    if step <= peak:
        return _anneal(ONE_CYCLE_START, 1.0, step / peak)
    return _anneal(1.0, ONE_CYCLE_END, (step - peak) / (last - peak)) if last > peak else ONE_CYCLE_END


def _anneal(start: float, end: float, fraction: float) -> float:
    """Cosine annealing from `start` to `end`."""
    return end + (start - end) / 2 * (1 + math.cos(math.pi * fraction))


SCHEDULES = {
    row.name: row
    for row in (
        Schedule(
            name="cosine",
            summary="cosine annealing to 0 without restarts (Loshchilov and Hutter 2017)",
            fields=("warmup_epochs",),
            factor=_cosine,
        ),
        Schedule(
            name="constant",
            summary="constant after the warm-up",
            fields=("warmup_epochs",),
            factor=_constant,
        ),
        Schedule(
            name="one_cycle",
            summary="one cycle with its own warm-up, as PyTorch's OneCycleLR (Smith and Topin 2018)",
            fields=(),
            factor=_one_cycle,
        ),
        Schedule(
            name="step",
            summary="multiplied by `decay_rate` at each of `decay_milestones`",
            fields=("warmup_epochs", "decay_milestones", "decay_rate"),
            factor=_step,
        ),
    )
}


def make_schedule(recipe: "Recipe", steps: int, warmup: int) -> Callable[[int], float]:
    """The fraction of the peak learning rate as a function of the step, counted from 0.

    Args:
        steps: of the whole run.
        warmup: steps of linear warm-up, for schedules that have one. A shorter run ends within it.
    """
    schedule = SCHEDULES[recipe.sched]
    if "warmup_epochs" not in schedule.fields:
        warmup = 0

    def factor(step: int) -> float:
        return (step + 1) / (warmup + 1) if step < warmup else schedule.factor(step, steps, warmup, recipe)

    return factor
