"""Learning-rate schedules: each is a function of the step alone, so that a resumed run needs no memory of it."""

import math
from collections.abc import Callable

from zoo.training.recipe.recipe import Recipe

RISE = 0.3  # share of one cycle that goes up
START, END = 1 / 25, 1 / 25e4  # of one cycle, in shares of the highest learning rate


def make_schedule(recipe: Recipe, steps: int, warmup: int) -> Callable[[int], float]:
    """The share of the highest learning rate at each step, counted from 0.

    Cosine annealing is of Loshchilov and Hutter 2017 (SGDR), without restarts; one cycle is of Smith and Topin 2018
    (Super-Convergence) as `torch.optim.lr_scheduler.OneCycleLR` has it, with the momentum left as it is.

    Args:
        steps: of the whole run.
        warmup: steps of linear rise before; `one_cycle` has its own. A run that is shorter ends within it.
    """
    if recipe.sched == "one_cycle":
        return lambda step: _one_cycle(step, steps)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        if recipe.sched == "cosine":
            return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
        if recipe.sched == "step":
            passed = sum(step >= round(share * steps) for share in recipe.decay_milestones)
            return float(recipe.decay_rate**passed)
        return 1.0

    return factor


def _one_cycle(step: int, steps: int) -> float:
    top, last = RISE * steps - 1, steps - 1
    if step <= top:
        return _between(START, 1.0, step / top)
    return _between(1.0, END, (step - top) / (last - top)) if last > top else END


def _between(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))
