"""Probes are inputs that nobody traced, the same ones every time, and they cover the edges of what a camera gives."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from zoo.contract.evidence import Probe
from zoo.contract.preprocess import Preprocess
from zoo.data.images import normalise, normalise_array
from zoo_export.capture import TRACED_BATCH, Capture
from zoo_export.probes.fresh import fresh_probes
from zoo_export.probes.probes import make_probes
from zoo_export.probes.regroup import regrouped

GREY = Preprocess(size=(5, 7), mean=(0.25,), std=(0.5,))
COLOUR = Preprocess(size=(6, 4), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def probe(name: str, preprocess: Preprocess) -> Probe:
    return next(probe for probe in make_probes(preprocess) if probe.name == name)


@pytest.mark.parametrize("preprocess", [GREY, COLOUR])
@pytest.mark.parametrize("real", [0, 1, 5])
def test_probes_avoid_the_traced_batch_and_include_1(preprocess: Preprocess, real: int) -> None:
    given = [np.zeros(preprocess.input_shape, np.uint8)] * real
    sizes = [len(probe.images) for probe in make_probes(preprocess, given)]
    assert TRACED_BATCH not in sizes
    assert 1 in sizes


def test_no_probe_holds_the_traced_image(make_model) -> None:
    model = make_model()
    traced = Capture(model.name, model.module, model.card).example.numpy()
    for found in make_probes(model.card.preprocess):
        assert not any(np.array_equal(image, one) for image in found.images for one in traced)


@pytest.mark.parametrize("preprocess", [GREY, COLOUR])
def test_probes_have_dtype_size_and_unique_names(preprocess: Preprocess) -> None:
    probes = make_probes(preprocess, [np.zeros(preprocess.input_shape, np.uint8)])
    assert len({probe.name for probe in probes}) == len(probes)
    for found in probes:
        assert found.images.dtype == np.float32
        assert found.images.shape[1:] == preprocess.input_shape
        assert np.isfinite(found.images).all()


def test_seed_determines_the_probes() -> None:
    first, again, other = (make_probes(COLOUR, seed=seed) for seed in (3, 3, 4))
    assert [found.name for found in first] == [found.name for found in again]
    assert all(np.array_equal(a.images, b.images) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0].images, other[0].images)


def test_making_probes_keeps_the_global_generators() -> None:
    numpy_before, torch_before = np.random.get_state()[1].copy(), torch.random.get_rng_state()
    make_probes(COLOUR)
    assert np.array_equal(np.random.get_state()[1], numpy_before)
    assert torch.equal(torch.random.get_rng_state(), torch_before)


def test_no_two_noise_images_are_alike() -> None:
    noise = probe("noise-2", COLOUR).images
    assert len({image.tobytes() for image in noise}) == 2


@pytest.mark.parametrize("preprocess", [GREY, COLOUR])
def test_edge_probes_are_white_zeros_black_and_an_impulse(preprocess: Preprocess) -> None:
    (dark,), (white,) = probe("dark-1", preprocess).images, probe("bright-1", preprocess).images
    middle = preprocess.size[0] // 2
    mean, std = (np.array(value).reshape(-1, 1, 1) for value in (preprocess.mean, preprocess.std))
    black = np.broadcast_to(-mean / std, white.shape)
    assert not dark[:, middle:].any()
    np.testing.assert_allclose(white, np.broadcast_to((1 - mean) / std, white.shape), rtol=1e-6)
    changed = (dark == white).all(axis=0)
    assert changed.sum() == 1 and changed[:middle].any()
    changed[middle:] = True
    np.testing.assert_allclose(dark[:, ~changed], black[:, ~changed], rtol=1e-6)


def test_real_images_are_a_probe_in_their_order() -> None:
    images = [np.full(COLOUR.input_shape, level, np.uint8) for level in (0, 90, 255)]
    found = make_probes(COLOUR, images)[-1]
    assert found.name == "real-3"
    assert np.array_equal(found.images, normalise_array(np.stack(images), COLOUR))


def test_without_real_images_no_probe_claims_any() -> None:
    assert not [found.name for found in make_probes(COLOUR) if "real" in found.name]


numbers = st.floats(-1e5, 1e5)
positive = st.floats(1e-5, 1e5)
channels = st.sampled_from([1, 3])


@st.composite
def normalisable(draw: st.DrawFn) -> tuple[np.ndarray, Preprocess]:
    count = draw(channels)
    size = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    mean = draw(st.tuples(*[numbers] * count))
    std = draw(st.tuples(*[positive] * count))
    images = draw(arrays.arrays(np.uint8, (draw(st.integers(1, 3)), count, *size)))
    return images, Preprocess(size=size, mean=mean, std=std)


@given(normalisable())
def test_numpy_normalises_as_training_does_bit_for_bit(case: tuple[np.ndarray, Preprocess]) -> None:
    images, preprocess = case
    ours = normalise_array(images, preprocess)
    assert ours.dtype == np.float32
    assert np.array_equal(ours.view(np.uint32), normalise(torch.from_numpy(images), preprocess).numpy().view(np.uint32))


def test_all_256_levels_are_normalised_as_in_training() -> None:
    images = np.arange(256, dtype=np.uint8).repeat(3).reshape(256, 3, 1, 1)
    preprocess = Preprocess(size=(1, 1), mean=COLOUR.mean, std=COLOUR.std)
    theirs = normalise(torch.from_numpy(images), preprocess).numpy()
    assert np.array_equal(normalise_array(images, preprocess).view(np.uint32), theirs.view(np.uint32))


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("size", [(28, 28), (224, 224)])
def test_fresh_images_hold_areas_of_black_and_white(seed: int, size: tuple[int, int]) -> None:
    preprocess = Preprocess(size=size, mean=(0.0,), std=(1.0,))
    images = np.concatenate([each.images for each in fresh_probes(preprocess, seed)])
    for extreme in (0.0, 1.0):
        shares = (images == extreme).mean((1, 2, 3))
        assert ((shares > 0.3) & (shares < 0.98)).any()
    if len(images) >= 100:
        brightness = images.mean((1, 2, 3))
        assert np.histogram(brightness, 10, (0, 1))[0].all()
        assert ((images == 0).mean((1, 2, 3)) > 0.55).sum() >= 5


@pytest.mark.parametrize(("size", "largest"), [((28, 28), 256), ((224, 224), 32)])
def test_images_come_in_large_batches(size: tuple[int, int], largest: int) -> None:
    probes = [
        each.with_truth(np.ones((each.n, 2)), 1e-7)
        for each in fresh_probes(Preprocess(size=size, mean=(0.0,), std=(1.0,)), 0)
    ]
    sizes = {each.n for each in regrouped(probes, 0)}
    assert max(sizes) == largest and len(sizes) >= 7
