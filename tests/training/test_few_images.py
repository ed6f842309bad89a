"""Training on few images: the batch size, the last partial batch, and a warning of too few steps."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from zoo.contract.callback import Callback
from zoo.contract.preprocess import Preprocess
from zoo.contract.specs import Architecture
from zoo.data.batches import InMemorySplit
from zoo.data.datasets import LoadedDataset
from zoo.files.weights import load_weights
from zoo.registry.discovery import Plugin
from zoo.registry.pretrained import pretrained_path
from zoo.registry.registry import Registry
from zoo.training.distributed.ddp import shard
from zoo.training.distributed.process_group import ProcessGroup
from zoo.training.job import run_job
from zoo.training.plan import Plan, default_batch_size, make_plan
from zoo.training.prepare import RunPaths, _has_batch_norm, prepare
from zoo.training.recipe.file import check_fields
from zoo.training.recipe.recipe import VERSION, Recipe
from zoo.training.trainer import _weighted


def planned(n: int, *, batch_norm: bool = True, world_size: int = 1, **fields: Any) -> Plan:
    split = InMemorySplit(torch.zeros(n, 1, 8, 8, dtype=torch.uint8), torch.arange(n) % 2)
    preprocess = Preprocess(size=(8, 8), mean=(0.5,), std=(0.5,))
    data = LoadedDataset(name="d", classes=("a", "b"), preprocess=preprocess, train=split, test=split)
    recipe = Recipe(architecture="net", data="d", **fields)
    return make_plan(recipe, data, False, world_size=world_size, has_batch_norm=lambda: batch_norm)


@pytest.mark.parametrize(
    ("images", "size"), [(1, 8), (40, 8), (100, 8), (160, 16), (1279, 64), (1280, 128), (50_000, 128), (10**7, 128)]
)
def test_the_batch_size_follows_the_images(images: int, size: int) -> None:
    assert default_batch_size(images) == size
    assert planned(min(images, 2000)).batch_size == min(size, images)


@pytest.mark.parametrize(
    ("n", "fields", "steps", "images"),
    [
        (160, {}, 10, 160),
        (150, {"batch_size": 64}, 3, 150),
        (150, {"batch_size": 64, "drop_last": True}, 2, 128),
        (150, {"batch_size": 40, "grad_accum_steps": 2}, 2, 150),
        (161, {"batch_size": 16}, 10, 160),  # batch norm cannot take a batch of one
        (161, {"batch_size": 16, "batch_norm": False}, 11, 161),
        (7, {"batch_size": 1}, 7, 7),
        (163, {"batch_size": 16, "world_size": 2}, 10, 160),
        (165, {"batch_size": 16, "world_size": 2}, 11, 164),
    ],
)
def test_the_last_partial_batch_is_kept(n: int, fields: dict[str, Any], steps: int, images: int) -> None:
    plan = planned(n, **fields)
    assert (plan.steps, plan.images) == (steps, images)


def test_batch_norm_is_recognised() -> None:
    assert _has_batch_norm(nn.Sequential(nn.Conv2d(1, 1, 1), nn.Sequential(nn.BatchNorm2d(1))))
    assert not _has_batch_norm(nn.Sequential(nn.Conv2d(1, 1, 1), nn.GroupNorm(1, 1)))


def test_a_partial_batch_is_shared_by_the_ranks() -> None:
    order = torch.arange(164)
    parts = [shard(order, 16, ProcessGroup(rank=rank, world_size=2)) for rank in range(2)]
    assert [len(part) for part in parts] == [82, 82]
    assert parts[0][-2:].tolist() == [160, 161] and parts[1][-2:].tolist() == [162, 163]
    assert parts[0][8:16].tolist() == list(range(16, 24))


def test_batches_of_a_step_count_by_their_images() -> None:
    losses = torch.tensor([1.0, 4.0])
    whole = sum(_weighted(loss, size, [40, 30]) for loss, size in zip(losses, (40, 30), strict=True))
    assert float(whole) == pytest.approx((40 * 1 + 30 * 4) / 70)
    assert torch.equal(_weighted(losses[1], 32, [32, 32]), losses[1] / 2)


@pytest.mark.parametrize("version", range(1, 4))
def test_an_older_recipe_trains_as_it_did(version: int) -> None:
    fields = check_fields({"version": version, "architecture": "net", "data": "d"}, "a file")
    assert (fields["batch_size"], fields["drop_last"]) == (128, True) and "exif_orientation" not in fields
    of_photos = check_fields({"version": version, "architecture": "net", "data": "zoo-kit:folder"}, "a file")
    assert of_photos["exif_orientation"] is False
    assert check_fields({"version": version, "batch_size": 32}, "a file")["batch_size"] == 32
    assert "batch_size" not in check_fields({"version": VERSION}, "a file")


def test_the_chosen_batch_size_is_recorded(
    small: Registry, recipe: Callable[..., Recipe], paths: Callable[..., RunPaths]
) -> None:
    made = recipe(epochs=2, batch_size=None)
    result = run_job(small, made, paths("chosen"))
    recorded = load_weights(result.path).card
    assert recorded.recipe["batch_size"] == 8 and "--batch-size 8" in recorded.command
    alike = run_job(small, replace(made, batch_size=8), replace(paths("alike"), weights=Path("alike")))
    assert load_weights(alike.path).card.digest == recorded.digest


def test_pretrained_weights_are_suggested_for_few_images(
    small: Registry, recipe: Callable[..., Recipe], paths: Callable[..., RunPaths], callback: Callable[..., Callback]
) -> None:
    specs = [
        replace(spec, pretrained=("one_in1k", "two_in1k"), fetch="small_kit:fetch") if spec.name == "net" else spec
        for spec in small.plugins[0].specs
    ]
    published = Registry([Plugin("kit", "kit", "1", tuple(specs))])
    messages: list[str] = []

    def suggested(registry: Registry, **fields: Any) -> list[str]:
        messages.clear()
        prepare(
            registry, recipe(**fields), paths("few"), callback(on_message=lambda text, **how: messages.append(text))
        )
        return [text for text in messages if "--initial-checkpoint" in text]

    (text,) = suggested(published)
    assert text.endswith("--initial-checkpoint net.one_in1k --download")
    assert not suggested(small)
    stored = run_job(small, recipe(epochs=1), paths("first")).path
    entry = published.find(Architecture, "net")
    kept = pretrained_path(entry, "two_in1k")
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(stored.read_bytes())
    (text,) = suggested(published)
    assert text.endswith("--initial-checkpoint net.two_in1k")  # which is on this machine
    assert not suggested(published, initial_checkpoint=str(stored))


def test_too_few_steps_are_warned_of(
    small: Registry, recipe: Callable[..., Recipe], paths: Callable[..., RunPaths], callback: Callable[..., Callback]
) -> None:
    warnings: list[str] = []

    def hear(text: str, *, warning: bool = False) -> None:
        warnings.extend([text] if warning else [])

    run_job(small, recipe(epochs=1, batch_size=64), paths("few"), callback(on_message=hear))
    assert len(warnings) == 1 and " 3 " in warnings[0] and "--epochs 34" in warnings[0] and "-b 8" in warnings[0]
    warnings.clear()
    run_job(small, recipe(epochs=13, batch_size=8), paths("enough"), callback(on_message=hear))
    assert not warnings
