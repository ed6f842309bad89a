"""Every augmented image is the image itself, shifted over black and perhaps mirrored; a seed always means the same."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from zoo.training.augment.shift import shift_and_flip


def batch(n: int, channels: int, height: int, width: int, seed: int) -> Tensor:
    """uint8 `[N, C, H, W]` without black, so that what is shifted in can be told from what was there."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(1, 256, (n, channels, height, width), dtype=torch.uint8, generator=generator)


def shifted(image: Tensor, down: int, right: int, mirror: bool) -> Tensor:
    """The slow reference: one image `[C, H, W]`, pixel by pixel."""
    _, height, width = image.shape
    result = torch.zeros_like(image)
    for row in range(height):
        for column in range(width):
            source_row, source_column = row - down, (width - 1 - column if mirror else column) - right
            if 0 <= source_row < height and 0 <= source_column < width:
                result[:, row, column] = image[:, source_row, source_column]
    return result


def possible(image: Tensor, crop: int, hflip: bool) -> list[Tensor]:
    span = range(-crop, crop + 1)
    return [shifted(image, down, right, mirror) for down in span for right in span for mirror in {False, hflip}]


@given(
    st.tuples(st.integers(1, 3), st.sampled_from([1, 3]), st.integers(1, 5), st.integers(1, 5), st.integers(0, 9)),
    st.integers(0, 2),
    st.booleans(),
    st.integers(0, 99),
)
def test_every_image_is_one_of_the_shifts_that_are_allowed(
    shape: tuple[int, int, int, int, int], crop: int, hflip: bool, seed: int
) -> None:
    images = batch(*shape)
    result = shift_and_flip(images, crop, hflip, torch.Generator().manual_seed(seed))
    assert (result.shape, result.dtype) == (images.shape, torch.uint8)
    for image, augmented in zip(images, result, strict=True):
        assert any(torch.equal(augmented, one) for one in possible(image, crop, hflip))


@given(st.integers(0, 99))
def test_without_shift_and_mirror_the_images_stay_as_they_are(seed: int) -> None:
    images = batch(3, 3, 4, 5, seed)
    assert torch.equal(shift_and_flip(images, 0, False, torch.Generator()), images)


def test_shifts_and_flips_are_uniform() -> None:
    n, crop = 4000, 1
    image = batch(1, 1, 3, 3, 0)
    result = shift_and_flip(image.expand(n, 1, 3, 3), crop, True, torch.Generator().manual_seed(0))
    counts = [int((result == one).flatten(1).all(1).sum()) for one in possible(image[0], crop, True)]
    assert sum(counts) == n
    assert len(counts) == 18
    assert min(counts) > 0.7 * n / 18
    assert max(counts) < 1.3 * n / 18


def test_draws_differ_per_image_and_not_per_channel() -> None:
    images = batch(1, 3, 6, 6, 0).expand(64, 3, 6, 6)
    result = shift_and_flip(images, 2, True, torch.Generator().manual_seed(1))
    assert len({tuple(image.flatten().tolist()) for image in result}) > 20
    grey = batch(1, 1, 6, 6, 0).expand(64, 3, 6, 6)
    same = shift_and_flip(grey, 2, True, torch.Generator().manual_seed(1))
    assert torch.equal(same[:, 0], same[:, 1])
    assert torch.equal(same[:, 0], same[:, 2])


def test_a_seed_means_the_same_and_the_input_is_not_changed() -> None:
    images = batch(8, 3, 6, 6, 0)
    before = images.clone()
    first, again, other = (shift_and_flip(images, 2, True, torch.Generator().manual_seed(seed)) for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(images, before)
