"""Every operation of TrivialAugment gives what torchvision's gives, one image at a time; each image has its own."""

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.transforms.v2 import TrivialAugmentWide, functional

from zoo.training.augment import trivial
from zoo.training.augment.trivial import BINS, OPERATIONS, Factor, Level, Plain, Warp, trivial_augment
from zoo.training.augment.warp import warp

NAMES = {name: name.title().replace("_", "") for name in OPERATIONS} | {
    "saturation": "Color",
    "autocontrast": "AutoContrast",
}
REFERENCE: dict[str, Callable[[Tensor, float], Tensor]] = {
    "identity": lambda image, strength: image,
    "shear_x": lambda image, strength: _affine(image, shear=[math.degrees(math.atan(strength)), 0.0], center=[0, 0]),
    "shear_y": lambda image, strength: _affine(image, shear=[0.0, math.degrees(math.atan(strength))], center=[0, 0]),
    "translate_x": lambda image, strength: _affine(image, translate=[int(strength), 0]),
    "translate_y": lambda image, strength: _affine(image, translate=[0, int(strength)]),
    "rotate": functional.rotate,
    "brightness": functional.adjust_brightness,
    "saturation": functional.adjust_saturation,
    "contrast": functional.adjust_contrast,
    "sharpness": functional.adjust_sharpness,
    "posterize": lambda image, strength: functional.posterize(image, int(strength)),
    "solarize": functional.solarize,
    "autocontrast": lambda image, strength: functional.autocontrast(image),
    "equalize": lambda image, strength: functional.equalize(image),
}


def _affine(image: Tensor, **said: list[float]) -> Tensor:
    plain = {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [0.0, 0.0]}
    return functional.affine(image, **{**plain, **said})


def pictures(n: int, channels: int, height: int, width: int, seed: int = 0) -> Tensor:
    """uint8 `[N, C, H, W]`: smooth, noisy, dark and flat ones in turn."""
    generator = torch.Generator().manual_seed(seed)
    rows, columns = torch.arange(height)[:, None], torch.arange(width)
    made = []
    for number in range(n):
        noise = torch.randint(0, 256, (channels, height, width), generator=generator)
        ramp = (rows * 7 + columns * 5 + torch.arange(channels)[:, None, None] * 40) % 256
        made.append([(ramp + noise // 8).clamp(max=255), noise, noise // 5, torch.full_like(noise, 77)][number % 4])
    return torch.stack(made).to(torch.uint8)


def applied(name: str, images: Tensor, strengths: Tensor) -> Tensor:
    operation = OPERATIONS[name]
    if isinstance(operation, Warp):
        return warp(images, operation.matrices(strengths, *images.shape[2:]))
    if isinstance(operation, Plain):
        return operation.apply(images)
    return operation.apply(images, strengths.float())


def all_strengths(name: str) -> Tensor:
    """Float64, of every bin and both signs."""
    operation = OPERATIONS[name]
    if isinstance(operation, Plain):
        return torch.zeros(4)
    bins = torch.arange(BINS).repeat(2)
    return operation.strengths(bins, torch.tensor([1, -1]).repeat_interleave(BINS))


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (3, 15, 17), (1, 17, 15), (3, 2, 5)])
@pytest.mark.parametrize("name", OPERATIONS)
def test_each_operation_is_that_of_torchvision(name: str, shape: tuple[int, int, int]) -> None:
    """At every strength, in one batch, of images of several kinds.

    A factor that is 1 unit in the last place off may change what is cut to a whole number, by 1; and where an image
    of even sides is turned by 45 degrees, a diagonal lies between two pixels.
    """
    if name == "saturation" and shape[0] == 1:
        return
    strengths = all_strengths(name)
    images = pictures(len(strengths), *shape)
    ours = applied(name, images, strengths)
    assert (ours.shape, ours.dtype) == (images.shape, torch.uint8)
    pairs = zip(images, strengths.tolist(), strict=True)
    theirs = torch.stack([REFERENCE[name](image, strength) for image, strength in pairs])
    apart = (ours.int() - theirs.int()).abs()
    if isinstance(OPERATIONS[name], Factor):
        assert int(apart.max()) <= 1
        assert float((apart > 0).float().mean()) < 0.02
    elif name == "rotate" and shape[1] % 2 == 0:
        assert float((apart > 0).float().mean()) < 0.01
    else:
        assert int(apart.max()) == 0


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_operations_and_strengths_are_those_of_torchvision(name: str) -> None:
    operation, space = OPERATIONS[name], TrivialAugmentWide._AUGMENTATION_SPACE
    assert {NAMES[each] for each in OPERATIONS} == set(space)
    make, signed = space[NAMES[name]]
    theirs = make(BINS, 32, 32)
    if theirs is None:
        assert isinstance(operation, Plain)
        return
    assert signed == (not isinstance(operation, Level))
    offset, scale = {Warp: (0, 1), Factor: (1, 1), Level: (0, 255 if name == "solarize" else 1)}[type(operation)]
    for sign in (1, -1) if signed else (1,):
        ours = all_strengths(name)[:BINS] if sign == 1 else all_strengths(name)[BINS:]
        torch.testing.assert_close(ours, offset + sign * scale * theirs.double(), rtol=1e-6, atol=1e-6)


@settings(deadline=None)
@given(st.integers(1, 40), st.sampled_from([1, 3]), st.integers(1, 20), st.integers(1, 20), st.integers(0, 99))
def test_every_image_is_itself_under_one_operation(n: int, channels: int, height: int, width: int, seed: int) -> None:
    images = pictures(n, channels, height, width, seed)
    before = images.clone()
    result = trivial_augment(images, torch.Generator().manual_seed(seed))
    assert (result.shape, result.dtype) == (images.shape, torch.uint8)
    assert torch.equal(images, before)
    names = [name for name in OPERATIONS if channels == 3 or name != "saturation"]
    generator = torch.Generator().manual_seed(seed)
    chosen, bins = (torch.randint(count, (n,), generator=generator) for count in (len(names), BINS))
    signs = torch.randint(2, (n,), generator=generator) * 2 - 1
    for row in range(n):
        name, one = names[chosen[row]], slice(row, row + 1)
        operation = OPERATIONS[name]
        strength = torch.zeros(1) if isinstance(operation, Plain) else operation.strengths(bins[one], signs[one])
        assert torch.equal(result[one], applied(name, images[one], strength)), name


def test_operations_vary_per_image() -> None:
    images = pictures(1, 3, 16, 16).expand(200, 3, 16, 16)
    result = trivial_augment(images, torch.Generator().manual_seed(3))
    assert len({tuple(image.flatten().tolist()) for image in result}) > 80


@pytest.mark.parametrize("channels", [1, 3])
def test_every_operation_is_drawn_about_equally_often(monkeypatch: pytest.MonkeyPatch, channels: int) -> None:
    """Each operation is replaced by one that paints its number."""
    painters = {
        name: Plain(partial(torch.full_like, fill_value=number)) for number, name in enumerate(list(OPERATIONS))
    }
    monkeypatch.setattr(trivial, "OPERATIONS", painters)
    images = torch.zeros(14_000, channels, 1, 1, dtype=torch.uint8)
    painted = trivial_augment(images, torch.Generator().manual_seed(0))
    counts = dict(zip(OPERATIONS, torch.bincount(painted[:, 0, 0, 0].int(), minlength=14).tolist(), strict=True))
    saturated = counts.pop("saturation")
    assert min(counts.values()) > 900 and max(counts.values()) < 1200
    assert (saturated == 0) == (channels == 1)


def test_a_seed_means_the_same() -> None:
    images = pictures(32, 3, 12, 12)
    first, again, other = (trivial_augment(images, torch.Generator().manual_seed(seed)) for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
