"""The hold-out: a share of each class, never trained on, and the only thing that chooses."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from zoo.contract.callback import Callback
from zoo.contract.errors import UsageError
from zoo.data.batches import InMemorySplit
from zoo.files.weights import load_weights
from zoo.registry.registry import Registry
from zoo.report.history import read_history, stored_row
from zoo.training.hold_out import hold_out
from zoo.training.job import run_job
from zoo.training.prepare import RunPaths
from zoo.training.recipe.recipe import Recipe
from zoo.training.trainer import Epoch


def split(labels: list[int]) -> InMemorySplit:
    return InMemorySplit(torch.arange(len(labels)).to(torch.uint8).view(-1, 1, 1, 1), torch.tensor(labels))


@given(st.lists(st.integers(0, 4), min_size=1, max_size=200), st.floats(0.01, 0.99), st.integers(0, 99))
def test_it_takes_its_share_of_each_class_and_no_image_twice(labels: list[int], share: float, seed: int) -> None:
    counts = Counter(labels)
    assume(any(min(round(share * count), count - 1) for count in counts.values()))
    train, out = hold_out(split(labels), share, seed)
    assert sorted([*train.index.tolist(), *out.index.tolist()]) == list(range(len(labels)))
    held = Counter(labels[index] for index in out.index.tolist())
    for label, count in counts.items():
        assert held[label] == min(round(share * count), count - 1)
    assert torch.equal(hold_out(split(labels), share, seed)[1].index, out.index)


def test_another_seed_holds_out_other_images() -> None:
    data = split([0, 1] * 50)
    train, out = hold_out(data, 0.2, 0)
    assert not torch.equal(hold_out(data, 0.2, 1)[1].index, out.index)
    order = torch.tensor([3, 0])
    ((images, labels),) = train.epoch(8, order)
    assert images.flatten().tolist() == train.index[order].tolist()
    assert labels.tolist() == data.labels[train.index[order]].tolist()
    assert sum(len(labels) for _, labels in out.epoch(8)) == out.n == 20


def test_one_that_is_empty_is_refused() -> None:
    with pytest.raises(UsageError, match="hold_out"):
        hold_out(split([0, 0, 1, 1, 2, 2]), 0.1, 0)
    with pytest.raises(UsageError, match="only one") as caught:
        hold_out(split([0, 1, 2]), 0.9, 0)
    assert "Add images" in caught.value.next_step


def test_the_best_epoch_on_it_is_stored_and_the_run_ends_early(
    small: Registry, recipe: Callable[..., Recipe], paths: Callable[..., RunPaths], callback: Callable[..., Callback]
) -> None:
    seen: list[Epoch] = []
    weights: list[Any] = []

    def on_epoch(epoch: Epoch) -> None:
        seen.append(epoch)
        weights.append(load_weights(run_of / "last.safetensors").tensors)

    put = replace(paths("same"))
    run_of = put.runs / "same"
    made = recipe(hold_out=0.3, patience=2, epochs=40, lr=0.05, warmup_epochs=0.0)
    result = run_job(small, made, put, callback(on_epoch=on_epoch))
    best = max(seen, key=lambda epoch: (epoch.evaluation.top1, -epoch.evaluation.loss))
    assert best.number == len(seen) - 2 < 38
    assert (result.stored, result.epochs) == (best.number, len(seen))
    assert stored_row(read_history(result.run / "history.csv"))["epoch"] == best.number
    stored = load_weights(result.path).tensors
    assert all(torch.equal(stored[name], value) for name, value in weights[best.number - 1].items())
    assert not all(torch.equal(stored[name], value) for name, value in weights[-1].items())
    assert all(epoch.split == "hold_out" and epoch.evaluation.n == 45 for epoch in seen)
    assert {(metric.split, metric.n) for metric in result.card.metrics} == {("test", 60)}
    assert "hold_out_top1" in (result.run / "history.csv").read_text()


def test_too_few_images_for_a_step_are_refused(
    small: Registry, recipe: Callable[..., Recipe], paths: Callable[..., RunPaths]
) -> None:
    with pytest.raises(UsageError, match="9 batches of 32 images"):
        run_job(small, recipe(grad_accum_steps=9, drop_last=True), paths("same"))
    assert not paths("same").runs.exists()
