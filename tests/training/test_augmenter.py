"""What a model is trained on: what is off changes and draws nothing, and what is on changes every batch by its seed."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from zoo.contract.preprocess import Preprocess
from zoo.registry.registry import Registry
from zoo.training.augment.erase import erase
from zoo.training.augment.mix import MixedBatch, mix
from zoo.training.augment.pipeline import Augmenter
from zoo.training.augment.shift import shift_and_flip
from zoo.training.augment.trivial import trivial_augment
from zoo.training.job import run_job
from zoo.training.prepare import RunPaths, prepare
from zoo.training.recipe.recipe import Recipe
from zoo.training.step_rng import StepRNG

Make = Callable[..., Recipe]
Put = Callable[..., RunPaths]
CPU = torch.device("cpu")
ON: dict[str, dict[str, Any]] = {
    "aa": {"aa": "trivial"},
    "reprob": {"reprob": 0.5},
    "mixup": {"mixup": 0.4},
    "cutmix": {"cutmix": 1.0},
    "all": {"aa": "trivial", "reprob": 0.5, "mixup": 0.4, "cutmix": 1.0},
}


@pytest.fixture
def digits(registry: Registry, tmp_path: Path) -> Callable[..., tuple[Augmenter, Tensor, Tensor]]:
    """An augmenter of a recipe for the digits that come with zoo, and their first 64 images and labels."""

    def make(**fields: Any) -> tuple[Augmenter, Tensor, Tensor]:
        recipe = Recipe(architecture="lenet5", data="digits", **fields)
        job = prepare(registry, recipe, RunPaths(data_root=tmp_path, tag="t"))
        images, labels = next(job.data.train.epoch(64))
        return Augmenter(job.plan, recipe, job.data.preprocess, CPU), images, labels

    return make


def drawn(seed: int, step: int) -> torch.Generator:
    return StepRNG(seed, CPU).augmentation(step)


def test_recipe_without_new_augmentations_is_unchanged(digits: Any) -> None:
    """Shifts, mirrors and normalisation as they were before there was more, and the generator left where it was."""
    augmenter, images, labels = digits(crop=2, hflip=True)
    before, now = drawn(0, 3), drawn(0, 3)
    shifted = shift_and_flip(images, 2, True, before)
    mean, std = (torch.tensor(v).view(-1, 1, 1) for v in (augmenter.preprocess.mean, augmenter.preprocess.std))
    result = augmenter(images, labels, now)
    assert torch.equal(result.images, (shifted.float() / 255 - mean) / std)
    assert result.images.is_contiguous(memory_format=torch.channels_last)
    assert result.targets == ((1.0, labels),)
    assert torch.equal(before.get_state(), now.get_state())


def test_shifts_and_flips_match_recipe_version_1() -> None:
    """Weights that were trained before are trained again only if this stays; else `VERSION` of recipes has to rise."""
    images = (torch.arange(16 * 8 * 8) % 251).to(torch.uint8).view(16, 1, 8, 8)
    shifted = shift_and_flip(images, 2, True, drawn(7, 3))
    assert hashlib.sha256(shifted.numpy().tobytes()).hexdigest()[:16] == "27b077111345fa8e"


@pytest.mark.parametrize("name", ON)
def test_augmentations_are_seeded_and_keep_the_shape(digits: Any, name: str) -> None:
    plain, images, labels = digits(crop=0)
    augmenter, _, _ = digits(crop=0, **ON[name])
    base = plain(images, labels, drawn(0, 0)).images
    results = [augmenter(images, labels, drawn(0, step)).images for step in range(3)]
    for one in results:
        assert (one.shape, one.dtype) == (base.shape, torch.float32)
        assert one.is_contiguous(memory_format=torch.channels_last)
        assert not torch.equal(one, base)
    assert not torch.equal(results[0], results[1])
    assert torch.equal(augmenter(images, labels, drawn(0, 1)).images, results[1])
    assert not torch.equal(augmenter(images, labels, drawn(1, 1)).images, results[1])


def test_order_of_augmentations(digits: Any) -> None:
    augmenter, images, labels = digits(crop=1, **ON["all"])
    generator = drawn(0, 0)
    mean, std = (torch.tensor(v).view(-1, 1, 1) for v in (augmenter.preprocess.mean, augmenter.preprocess.std))
    by_hand = trivial_augment(shift_and_flip(images, 1, augmenter.plan.hflip, generator), generator)
    by_hand = erase(by_hand, 0.5, (255 * mean).round().flatten().to(torch.uint8), generator)
    mixed = mix((by_hand.float() / 255 - mean) / std, labels, 0.4, 1.0, generator)
    result = augmenter(images, labels, drawn(0, 0))
    assert torch.equal(result.images, mixed.images)
    assert [share for share, _ in result.targets] == [share for share, _ in mixed.targets]


def test_erased_pixels_are_the_mean(digits: Any) -> None:
    augmenter, images, labels = digits(crop=0, hflip=False, reprob=1.0)
    plain, _, _ = digits(crop=0, hflip=False)
    erased = augmenter(images, labels, drawn(0, 0)).images
    changed = erased[erased != plain(images, labels, drawn(0, 0)).images]
    assert len(changed) > 1000
    assert float(changed.abs().max()) < 0.5 / 255 / min(augmenter.preprocess.std) * 1.01


def test_a_run_trains_on_what_the_augmenter_gives(
    small: Registry, recipe: Make, paths: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every batch of it, with its soft targets."""
    given: list[MixedBatch] = []
    scored: list[int] = []
    call, loss = Augmenter.__call__, MixedBatch.loss

    def noted(self: Augmenter, *arguments: Any) -> MixedBatch:
        given.append(call(self, *arguments))
        return given[-1]

    def judged(self: MixedBatch, *arguments: Any) -> Tensor:
        scored.append(id(self))
        return loss(self, *arguments)

    monkeypatch.setattr(Augmenter, "__call__", noted)
    monkeypatch.setattr(MixedBatch, "loss", judged)
    made = recipe(**ON["all"])
    run_job(small, made, paths("on"))
    assert len(given) == 3 * 5
    assert scored == [id(one) for one in given]
    assert all(len(one.targets) == 2 for one in given)


@pytest.mark.parametrize("name", ON)
def test_each_changes_what_is_learnt(small: Registry, recipe: Make, paths: Put, name: str) -> None:
    plain = run_job(small, recipe(), paths("plain"))
    other = run_job(small, recipe(**ON[name]), paths("other"))
    assert plain.card.digest != other.card.digest
    for field, value in ON[name].items():
        assert other.card.recipe[field] == value


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("channels", [1, 3])
def test_the_device_is_never_waited_for(channels: int) -> None:
    """And a seed means on it what it means on the CPU."""
    recipe = Recipe(architecture="a", data="b", **ON["all"])
    preprocess = Preprocess(size=(32, 32), mean=(0.4,) * channels, std=(0.2,) * channels)
    images = torch.randint(0, 256, (64, channels, 32, 32), dtype=torch.uint8)
    labels = torch.arange(64) % 10
    plan: Any = type("Crop", (), {"crop": 4, "hflip": True})
    expected = Augmenter(plan, recipe, preprocess, CPU)(images, labels, drawn(0, 0)).images
    cuda = torch.device("cuda")
    augmenter = Augmenter(plan, recipe, preprocess, cuda)
    there, known = images.to(cuda), labels.to(cuda)
    augmenter(there, known, drawn(0, 0))  # libraries are loaded at their first use
    torch.cuda.set_sync_debug_mode("error")
    try:
        result = augmenter(there, known, drawn(0, 0)).images
    finally:
        torch.cuda.set_sync_debug_mode("default")
    apart = (result.cpu() - expected).abs() > 1.1 / 255 / 0.2
    assert float(apart.float().mean()) < 0.01
