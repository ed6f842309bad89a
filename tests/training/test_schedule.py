"""Schedules: the rate at every step is what the papers and PyTorch say."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import SGD
from torch.optim.lr_scheduler import OneCycleLR

from zoo.training.optim.schedules import SCHEDULES, make_schedule
from zoo.training.recipe.recipe import Recipe


def schedule(name: str, steps: int, warmup: int = 0, **fields: object) -> list[float]:
    recipe = Recipe(**{"architecture": "a", "data": "b", "sched": name, **fields})
    factor = make_schedule(recipe, steps, warmup)
    return [factor(step) for step in range(steps)]


@pytest.mark.parametrize("steps", [2, 10, 57, 100])
def test_one_cycle_is_pytorchs(steps: int) -> None:
    optimizer = SGD([torch.zeros(1)], lr=1.0)
    theirs = OneCycleLR(optimizer, max_lr=1.0, total_steps=steps, cycle_momentum=False)
    expected = []
    for _ in range(steps):
        expected.append(theirs.get_last_lr()[0])
        optimizer.step()
        if len(expected) < steps:
            theirs.step()
    assert schedule("one_cycle", steps) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_step_falls_at_its_shares_of_the_run() -> None:
    rates = schedule("step", 20, decay_milestones=(0.25, 0.5), decay_rate=0.1)
    assert rates == pytest.approx([1.0] * 5 + [0.1] * 5 + [0.01] * 10)


def test_cosine_rises_and_falls_to_zero() -> None:
    rates = schedule("cosine", 100, warmup=10)
    assert rates[:10] == pytest.approx([(step + 1) / 11 for step in range(10)])
    assert rates[10] == 1.0 and rates[55] == pytest.approx(0.5) and 0 < rates[99] < 0.001


def test_a_run_that_is_shorter_than_its_rise_ends_within_it() -> None:
    assert schedule("cosine", 10, warmup=100) == pytest.approx([(step + 1) / 101 for step in range(10)])


@given(st.sampled_from(list(SCHEDULES)), st.integers(1, 300), st.integers(0, 400))
def test_no_rate_is_ever_out_of_range(name: str, steps: int, warmup: int) -> None:
    assert all(0 <= rate <= 1 for rate in schedule(name, steps, warmup))
