"""Classes of unequal numbers of images: what is drawn, what is weighted, and what cannot be."""

import csv
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from zoo.contract.errors import UsageError
from zoo.contract.specs import Loss
from zoo.models.losses import build_loss
from zoo.registry.registry import Registry
from zoo.training.balance import balanced_sampler, class_weights, weights_param
from zoo.training.job import run_job
from zoo.training.prepare import Job, RunPaths, prepare
from zoo.training.recipe.recipe import Recipe
from zoo.training.step_rng import StepRNG

LABELS = st.lists(st.integers(0, 5), min_size=1, max_size=60).map(torch.tensor)


@given(LABELS)
def test_class_weights_balance_classes_with_mean_1(labels: torch.Tensor) -> None:
    weights = torch.tensor(class_weights(labels, 7), dtype=torch.float64)
    of_images = weights[labels]
    assert of_images.sum().item() == pytest.approx(len(labels))
    of_classes = {round(float(of_images[labels == label].sum()), 9) for label in set(labels.tolist())}
    assert len(of_classes) == 1
    assert [float(weight) for weight in weights[[k for k in range(7) if k not in labels]]] == [0.0] * (
        7 - len(set(labels.tolist()))
    )


def test_weights_of_equal_classes_change_nothing() -> None:
    assert class_weights(torch.tensor([0, 1, 2, 2, 1, 0]), 3) == (1.0, 1.0, 1.0)


@given(LABELS, st.integers(0, 2**62))
def test_the_sampler_keeps_the_length_of_an_epoch(labels: torch.Tensor, seed: int) -> None:
    drawn = balanced_sampler(labels, torch.Generator().manual_seed(seed))
    assert drawn.dtype == torch.int64 and len(drawn) == len(labels)
    assert int(drawn.min()) >= 0 and int(drawn.max()) < len(labels)


def test_each_class_and_each_image_of_a_class_is_drawn_as_often() -> None:
    labels = torch.tensor([2] * 9000 + [0] * 900 + [5] * 100)[torch.randperm(10_000, generator=torch.Generator())]
    draws = StepRNG(0, torch.device("cpu"))
    drawn = torch.cat([draws.order(10_000, epoch, labels) for epoch in range(1, 31)])
    shares = torch.bincount(labels[drawn]) / len(drawn)
    assert shares[[0, 2, 5]].tolist() == pytest.approx([1 / 3] * 3, abs=0.005)
    rare = torch.bincount(drawn, minlength=10_000)[labels == 5]
    assert rare.min() > 800 and rare.max() < 1200, "each of the 100 is drawn some 1,000 times"


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    labels = torch.arange(500) % 3
    first, again = (StepRNG(4, torch.device("cpu")) for _ in range(2))
    first.order(500, 1)
    first.augmentation(7)
    assert torch.equal(first.order(500, 2, labels), again.order(500, 2, labels))
    assert not torch.equal(first.order(500, 2, labels), again.order(500, 3, labels))
    assert torch.equal(first.order(500, 2), torch.randperm(500, generator=_seeded("4 order 2")))


def _seeded(text: str) -> torch.Generator:
    return torch.Generator().manual_seed(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1)


def made(small: Registry, recipe: Recipe, paths: Callable[..., RunPaths]) -> Job:
    return prepare(small, recipe, paths("same"))


def test_class_weights_are_in_the_training_loss_alone(
    small: Registry, recipe: Callable[..., Recipe], paths: Callable[..., RunPaths]
) -> None:
    job = made(small, recipe(balance="weights", hold_out=0.3), paths)
    logits, labels = torch.randn(50, 3, generator=torch.Generator().manual_seed(0)), torch.arange(50) % 3
    weights = torch.tensor(class_weights(job.plan.train.labels, 3))
    assert weights.tolist() != [1.0, 1.0, 1.0]
    assert job.train_loss(logits, labels).item() == pytest.approx(cross_entropy(logits, labels, weight=weights).item())
    assert job.loss(logits, labels).item() == pytest.approx(cross_entropy(logits, labels).item())
    assert job.plan.balanced_sampler is None


def test_the_losses_of_history_and_card_are_without_weights(
    small: Registry, recipe: Callable[..., Recipe], paths: Callable[..., RunPaths]
) -> None:
    result = run_job(small, recipe(balance="weights", epochs=1), paths("same"))
    with (result.run / "history.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    still = {"opt": "sgd", "lr": 1e-12, "crop": 0, "hflip": False, "batch_size": 150, "warmup_epochs": 0.0}
    losses = []
    for name, balance in (("with", "weights"), ("without", "none")):
        run = run_job(small, recipe(balance=balance, epochs=1, **still), paths(name)).run
        with (run / "history.csv").open(newline="") as file:
            losses += [float(each["train_loss"]) for each in csv.DictReader(file)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert float(row["test_loss"]) == pytest.approx(result.evaluation.loss)
    (loss,) = [metric.value for metric in result.card.metrics if metric.name == "loss"]
    assert loss == result.evaluation.loss


def test_the_sampler_leaves_the_loss_and_the_judge_alone(
    small: Registry, recipe: Callable[..., Recipe], paths: Callable[..., RunPaths]
) -> None:
    job = made(small, recipe(balance="sampler"), paths)
    assert job.train_loss is job.loss and job.plan.balanced_sampler is not None
    assert job.plan.balanced_sampler.tolist() == job.data.train.labels.tolist()
    plain = made(small, recipe(), paths)
    assert plain.plan.balanced_sampler is None and plain.train_loss is plain.loss and plain.plan.steps == job.plan.steps


@pytest.mark.parametrize(
    ("name", "parameter"),
    [("cross_entropy", "class_weights"), ("focal", "class_weights"), ("bce_with_logits", "pos_weight")],
)
def test_losses_that_take_weights(registry: Registry, name: str, parameter: str) -> None:
    spec = registry.find(Loss, name).spec
    assert weights_param(spec, {}) == parameter
    with pytest.raises(UsageError, match=f"loss_params {parameter}"):
        weights_param(spec, {parameter: (1.0, 2.0)})


@pytest.mark.parametrize("name", ["mse", "multi_margin"])
def test_losses_without_class_weights_are_refused_early(
    run_zoo: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = run_zoo(
        "train", "lenet5", "--data", "folder", "--data-root", "nowhere", "--loss", name, "--balance", "weights"
    )
    assert ran.code == 2 and "--balance weights" in ran.err and name in ran.err
    assert "--balance sampler" in ran.err


def test_bce_weights_what_is_to_be_found(registry: Registry) -> None:
    """As many positives of one class as of another count the same; there is nothing to say of negatives."""
    labels, logits = torch.tensor([0, 0, 0, 1]), torch.randn(4, 2, generator=torch.Generator().manual_seed(1))
    weights = class_weights(labels, 2)
    loss = build_loss(registry.find(Loss, "bce_with_logits"), {"pos_weight": weights})
    target = torch.nn.functional.one_hot(labels).float()
    expected = binary_cross_entropy_with_logits(logits, target, pos_weight=torch.tensor(weights))
    assert loss(logits, labels).item() == pytest.approx(expected.item())
    assert weights == pytest.approx((2 / 3, 2.0))
