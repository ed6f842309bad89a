"""bf16 autocast: on CUDA unless told otherwise, on a CPU where it is asked for."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from zoo.files.weights import load_weights
from zoo.registry.registry import Registry
from zoo.training.job import run_job
from zoo.training.prepare import RunPaths
from zoo.training.recipe.file import recipe_of_card
from zoo.training.recipe.recipe import Recipe

Make = Callable[..., Recipe]
Put = Callable[..., RunPaths]


def test_a_cpu_trains_in_bf16_only_where_that_is_asked_for(small: Registry, recipe: Make, paths: Put) -> None:
    made = {amp: run_job(small, recipe(amp=amp), paths(f"amp-{amp}")) for amp in (None, False, True)}
    tensors = {amp: load_weights(result.path).tensors for amp, result in made.items()}
    assert all(torch.equal(value, tensors[False][name]) for name, value in tensors[None].items())
    weight = "4.weight"
    assert not torch.equal(tensors[True][weight], tensors[False][weight])
    torch.testing.assert_close(tensors[True][weight], tensors[False][weight], rtol=0.5, atol=0.05)
    assert tensors[True][weight].dtype == torch.float32


@pytest.mark.parametrize(("recorded", "amp"), [(True, None), (False, False)])
def test_cards_of_before_meant_cuda_only(recorded: bool, amp: bool | None) -> None:
    for version in ({}, {"version": 1}):
        assert recipe_of_card({**version, "amp": recorded}, Path("w.safetensors"))["amp"] is amp
    assert recipe_of_card({"version": 2, "amp": True}, Path("w.safetensors"))["amp"] is True
