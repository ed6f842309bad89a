"""Mixup and CutMix: what the images show is what the targets say, and any loss can judge it."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import one_hot
from torchvision.transforms import v2

from zoo.contract.specs import Loss
from zoo.models.losses import LossFunction, build_loss
from zoo.registry.registry import Registry
from zoo.training.augment.mix import MixedBatch, mix


def batch(n: int, side: int = 8) -> tuple[Tensor, Tensor]:
    """Images float32 `[N, 3, S, S]`, each of one value of its own, and labels of 5 classes."""
    values = torch.arange(1, n + 1).float()
    return values[:, None, None, None].expand(n, 3, side, side).clone(), torch.arange(n) % 5


def mixed(n: int, seed: int, side: int = 8, **alphas: float) -> MixedBatch:
    options = {"mixup": 0.0, "cutmix": 0.0, **alphas}
    return mix(*batch(n, side), **options, generator=torch.Generator().manual_seed(seed))


@given(st.integers(1, 9), st.floats(0.01, 100), st.integers(0, 999))
def test_mixup_adds_each_image_and_another_by_their_shares(n: int, alpha: float, seed: int) -> None:
    images, labels = batch(n)
    result = mixed(n, seed, mixup=alpha)
    (share, own), (rest, other) = result.targets
    assert 0 <= share <= 1 and share + rest == pytest.approx(1)
    assert torch.equal(own, labels) and torch.equal(other, labels.roll(1))
    torch.testing.assert_close(result.images, share * images + (1 - share) * images.roll(1, 0))


@given(st.integers(1, 9), st.integers(1, 20), st.floats(0.01, 100), st.integers(0, 999))
def test_cutmix_pastes_one_rectangle_whose_area_is_the_share(n: int, side: int, alpha: float, seed: int) -> None:
    images, labels = batch(n, side)
    result = mixed(n, seed, side, cutmix=alpha)
    (share, own), (rest, other) = result.targets
    assert share + rest == pytest.approx(1)
    assert torch.equal(own, labels) and torch.equal(other, labels.roll(1))
    pasted = result.images != images
    if n > 1:
        assert float(pasted[0, 0].float().mean()) == pytest.approx(rest, abs=1e-6)
    assert torch.equal(pasted, pasted[:1, :1].expand_as(pasted))
    rows, columns = pasted[0, 0].any(1), pasted[0, 0].any(0)
    assert torch.equal(pasted[0, 0], rows[:, None] & columns)
    assert torch.equal(result.images, torch.where(pasted, images.roll(1, 0), images))


@pytest.mark.parametrize("alphas", [{"mixup": 1.0}, {"cutmix": 1.0}])
def test_the_images_given_are_not_changed(alphas: dict[str, float]) -> None:
    images, labels = batch(4)
    options = {"mixup": 0.0, "cutmix": 0.0, **alphas}
    result = mix(images, labels, **options, generator=torch.Generator().manual_seed(3))
    assert not torch.equal(result.images, images)
    assert torch.equal(images, batch(4)[0])


def test_nothing_is_mixed_and_nothing_drawn_where_both_are_off() -> None:
    images, labels = batch(4)
    generator = torch.Generator().manual_seed(5)
    state = generator.get_state()
    result = mix(images, labels, 0.0, 0.0, generator)
    assert result.images is images
    assert result.targets == ((1.0, labels),)
    assert torch.equal(generator.get_state(), state)


@pytest.mark.parametrize(("alpha", "spread"), [(0.2, 1 / math.sqrt(5.6)), (1.0, 1 / math.sqrt(12)), (8.0, 0.1213)])
def test_the_share_is_of_the_beta_distribution(alpha: float, spread: float) -> None:
    """Its mean is a half, and its standard deviation 1 / sqrt(4 (2 alpha + 1))."""
    shares = torch.tensor([mixed(2, seed, 1, mixup=alpha).targets[0][0] for seed in range(2000)])
    assert float(shares.mean()) == pytest.approx(0.5, abs=0.03)
    assert float(shares.std()) == pytest.approx(spread, rel=0.06)


def test_the_share_of_cutmix_is_that_of_torchvision() -> None:
    """In distribution: rectangles that reach over the edge are cut there."""
    ours = torch.tensor([mixed(2, seed, 16, cutmix=1.0).targets[0][0] for seed in range(2000)])
    torch.manual_seed(0)
    peer = v2.CutMix(num_classes=2, alpha=1.0)
    images, labels = torch.zeros(2, 1, 16, 16), torch.tensor([0, 1])
    theirs = torch.stack([peer(images, labels)[1][0, 0] for _ in range(2000)])
    for share in (0.1, 0.3, 0.5, 0.7, 0.9):
        assert float(ours.quantile(share)) == pytest.approx(float(theirs.quantile(share)), abs=0.04)


def test_with_both_one_of_the_two_is_chosen_for_each_batch() -> None:
    kinds = []
    for seed in range(200):
        images, _ = batch(3)
        result = mixed(3, seed, mixup=1.0, cutmix=1.0).images
        kinds.append(bool(torch.isin(result, images).all()))  # a pasted image has no new values
    assert 70 < sum(kinds) < 130


def test_a_seed_means_the_same() -> None:
    first, again, other = (mixed(6, seed, mixup=0.4, cutmix=1.0) for seed in (5, 5, 6))
    assert torch.equal(first.images, again.images)
    assert first.targets[0][0] == again.targets[0][0]
    assert not torch.equal(first.images, other.images)


Named = Callable[..., LossFunction]


@pytest.fixture
def named(registry: Registry) -> Named:
    """A loss by its name, with parameters."""
    return lambda name, **params: build_loss(registry.find(Loss, name), params)


def soft(result: MixedBatch) -> Tensor:
    """Float32 `[B, 5]`: the shares as soft labels."""
    return sum((share * one_hot(labels, 5) for share, labels in result.targets), torch.zeros(1))


@pytest.mark.parametrize("name", ["cross_entropy", "bce_with_logits"])
def test_a_loss_that_is_linear_in_the_target_sees_soft_labels(named: Named, name: str) -> None:
    result, logits = mixed(6, 3, mixup=1.0), torch.randn(6, 5)
    loss = named(name)
    torch.testing.assert_close(result.loss(loss, logits), loss(logits, soft(result)))


def test_label_smoothing_goes_on_top(named: Named) -> None:
    result, logits = mixed(6, 3, mixup=1.0), torch.randn(6, 5)
    ours = result.loss(named("cross_entropy", label_smoothing=0.1), logits)
    torch.testing.assert_close(ours, named("cross_entropy")(logits, 0.9 * soft(result) + 0.1 / 5))


@pytest.mark.parametrize("name", ["focal", "multi_margin"])
def test_a_loss_of_class_indices_is_weighted_by_the_shares(named: Named, name: str) -> None:
    result, logits = mixed(6, 3, cutmix=1.0), torch.randn(6, 5)
    loss = named(name)
    (share, own), (rest, other) = result.targets
    assert 0 < share < 1
    torch.testing.assert_close(result.loss(loss, logits), share * loss(logits, own) + rest * loss(logits, other))


def test_a_batch_that_is_not_mixed_has_the_loss_itself(named: Named) -> None:
    images, labels = batch(4)
    logits, loss = torch.randn(4, 5), named("cross_entropy")
    assert torch.equal(MixedBatch(images, ((1.0, labels),)).loss(loss, logits), loss(logits, labels))
