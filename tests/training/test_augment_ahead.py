"""The augmented batches of a step do not depend on which steps are augmented together."""

from typing import Any

import pytest
import torch
from torch import Tensor

from zoo.contract.preprocess import Preprocess
from zoo.data.batches import InMemorySplit
from zoo.training import trainer as module
from zoo.training.augment.pipeline import Augmenter
from zoo.training.recipe.recipe import Recipe
from zoo.training.step_rng import StepRNG
from zoo.training.trainer import augment_ahead

CPU = torch.device("cpu")
N, SIZE = 40, 8


def steps(first: int, accumulate: int = 1, size: int = SIZE) -> list[list[Tensor]]:
    """The images of the steps from `first` on, of 4 images each."""
    torch.manual_seed(0)
    split = InMemorySplit(torch.randint(0, 256, (N, 3, size, size), dtype=torch.uint8), torch.arange(N) % 10)
    recipe = Recipe(architecture="a", data="b", aa="trivial", reprob=0.5, mixup=0.4, cutmix=1.0)
    plan: Any = type("Plan", (), {"crop": 2, "hflip": True})
    augmenter = Augmenter(plan, recipe, Preprocess(size=(size, size), mean=(0.4,) * 3, std=(0.2,) * 3), CPU)
    order = torch.arange(N).flip(0)[first * 4 * accumulate :]
    made = augment_ahead(split.epoch(4, order), augmenter, StepRNG(5, CPU), first, accumulate)
    return [[mixed.images for mixed in step] for step in made]


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("first", [0, 3])
@pytest.mark.parametrize("at_once", [0, 2000, 2**20])
def test_the_same_whichever_steps_are_augmented_together(
    monkeypatch: pytest.MonkeyPatch, at_once: int, first: int, accumulate: int
) -> None:
    whole = steps(0, accumulate)
    monkeypatch.setattr(module, "AUGMENT_AHEAD_BYTES", at_once)
    parts = steps(first, accumulate)
    assert len(whole) == N // 4 // accumulate and len(parts) == len(whole) - first
    for expected, given in zip(whole[first:], parts, strict=True):
        assert all(torch.equal(*pair) for pair in zip(expected, given, strict=True))


@pytest.mark.parametrize(("size", "together"), [(8, 8), (256, 1)])
def test_only_small_images_are_augmented_ahead(monkeypatch: pytest.MonkeyPatch, size: int, together: int) -> None:
    read: list[int] = []
    epoch = InMemorySplit.epoch

    def noted(self: InMemorySplit, *arguments: Any) -> Any:
        for number, batch in enumerate(epoch(self, *arguments)):
            read.append(number)
            yield batch

    monkeypatch.setattr(InMemorySplit, "epoch", noted)
    torch.manual_seed(0)
    split = InMemorySplit(torch.zeros((N, 3, size, size), dtype=torch.uint8), torch.zeros(N, dtype=torch.int64))
    plan: Any = type("Plan", (), {"crop": 0, "hflip": False})
    preprocess = Preprocess(size=(size, size), mean=(0.4,) * 3, std=(0.2,) * 3)
    augmenter = Augmenter(plan, Recipe(architecture="a", data="b"), preprocess, CPU)
    next(augment_ahead(split.epoch(4, torch.arange(N)), augmenter, StepRNG(5, CPU), 0, 1))
    assert read == list(range(together))
