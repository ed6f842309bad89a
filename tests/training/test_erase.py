"""Random erasing paints one rectangle of the given colour into some images, each its own, and nothing else."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from zoo.training.augment.erase import erase

FILL = torch.tensor([7, 8, 9], dtype=torch.uint8)


def batch(n: int, channels: int, height: int, width: int) -> Tensor:
    """uint8 `[N, C, H, W]` without any value of FILL."""
    generator = torch.Generator().manual_seed(1)
    return torch.randint(10, 256, (n, channels, height, width), dtype=torch.uint8, generator=generator)


def rectangles(images: Tensor, erased: Tensor) -> Tensor:
    """Top, left, height and width of what was painted, int64 `[N, 4]`; it must be a rectangle of FILL."""
    boxes = []
    for before, after in zip(images, erased, strict=True):
        mask = (before != after).any(0)
        rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
        if not len(rows):
            boxes.append((0, 0, 0, 0))
            continue
        top, below, left, right = (int(edge) for edge in (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1))
        expected = before.clone()
        expected[:, top:below, left:right] = FILL[: len(before), None, None]
        assert torch.equal(after, expected)
        boxes.append((top, left, below - top, right - left))
    return torch.tensor(boxes)


@given(st.integers(1, 20), st.sampled_from([1, 3]), st.integers(1, 40), st.integers(1, 40), st.integers(0, 999))
def test_a_rectangle_of_the_right_size_is_painted(n: int, channels: int, height: int, width: int, seed: int) -> None:
    images = batch(n, channels, height, width)
    before = images.clone()
    erased = erase(images, 1.0, FILL[:channels], torch.Generator().manual_seed(seed))
    assert (erased.shape, erased.dtype) == (images.shape, torch.uint8)
    assert torch.equal(images, before)
    for _, _, tall, wide in rectangles(images, erased).tolist():
        assert tall < height or tall == 0
        assert wide < width or wide == 0
        if tall and wide:  # each side was rounded
            assert (tall + 0.5) * (wide + 0.5) >= 0.02 * height * width
            assert (tall - 0.5) * (wide - 0.5) <= 0.33 * height * width
            assert (tall + 0.5) / (wide - 0.5) >= 0.3
            assert (tall - 0.5) / (wide + 0.5) <= 3.3


def test_probability_is_per_image_and_0_draws_nothing() -> None:
    images = batch(4000, 1, 16, 16)
    painted = (erase(images, 0.25, FILL[:1], torch.Generator().manual_seed(0)) != images).flatten(1).any(1)
    assert 900 < int(painted.sum()) < 1100
    generator = torch.Generator().manual_seed(5)
    state = generator.get_state()
    assert erase(images, 0.0, FILL[:1], generator) is images
    assert torch.equal(generator.get_state(), state)


def test_rectangles_vary_per_image_in_size_and_place() -> None:
    images = batch(2000, 1, 32, 32)
    boxes = rectangles(images, erase(images, 1.0, FILL[:1], torch.Generator().manual_seed(0)))
    assert len({tuple(row) for row in boxes.tolist()}) > 1500
    top, left, tall, wide = boxes.unbind(1)
    area = (tall * wide).double() / 32**2
    assert 0.165 < float(area.mean()) < 0.185  # 0.175, half-way from 2 % to 33 %
    assert int((tall > wide).sum()) == pytest.approx(int((tall < wide).sum()), rel=0.15)
    assert int(top.min()) == int(left.min()) == 0
    assert int((top + tall).max()) == int((left + wide).max()) == 32


def test_a_seed_means_the_same() -> None:
    images = batch(16, 3, 12, 12)
    first, again, other = (erase(images, 0.5, FILL, torch.Generator().manual_seed(seed)) for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
