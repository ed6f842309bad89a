"""The preprocessing for an architecture and a data set: the images' own size and channels where possible."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo import Architecture, Preprocess
from zoo.contract.errors import UsageError
from zoo.data.fitting import ImageStats, InputOverrides, default_preprocess, fit_preprocess

OWN = Preprocess(size=(224, 224), mean=(0.4, 0.5, 0.6), std=(0.2,) * 3, shorter_side=256, interpolation="bicubic")


def architecture(**changed: Any) -> Architecture:
    return Architecture(**{"name": "net", "summary": "s", "build": "a:b", "input_shape": (3, 32, 32), **changed})


DIGITS = ImageStats(channels=1, side=8, mean=(0.3,), std=(0.4,))
PHOTOS = ImageStats(channels=3, side=None)


def test_size_channels_and_statistics_of_the_images_are_used() -> None:
    assert fit_preprocess(architecture(), DIGITS, InputOverrides()) == Preprocess(size=(8, 8), mean=(0.3,), std=(0.4,))


def test_small_images_are_enlarged_to_the_input_shape() -> None:
    assert fit_preprocess(architecture(min_size=16), DIGITS, InputOverrides()).size == (32, 32)
    assert fit_preprocess(architecture(sizes=(28, 32)), DIGITS, InputOverrides()).size == (32, 32)
    assert fit_preprocess(architecture(sizes=(8,), input_shape=(1, 8, 8)), DIGITS, InputOverrides()).size == (8, 8)


def test_only_images_of_varying_shape_are_cropped() -> None:
    assert fit_preprocess(architecture(), PHOTOS, InputOverrides()).shorter_side == 32
    assert fit_preprocess(architecture(), DIGITS, InputOverrides(img_size=32)).shorter_side is None
    assert (
        fit_preprocess(architecture(input_shape=(3, 224, 224), preprocess=OWN), PHOTOS, InputOverrides()).shorter_side
        == 256
    )


def test_statistics_of_other_channels_are_not_used() -> None:
    chosen = fit_preprocess(architecture(channels=(3,)), DIGITS, InputOverrides())
    assert (chosen.mean, chosen.std) == ((0.5,) * 3, (0.5,) * 3)


def test_the_architectures_interpolation_is_kept() -> None:
    assert fit_preprocess(architecture(preprocess=OWN), DIGITS, InputOverrides()).interpolation == "bicubic"


@pytest.mark.parametrize(
    "choose", [lambda a, o: fit_preprocess(a, DIGITS, o), default_preprocess], ids=["with data", "alone"]
)
@pytest.mark.parametrize(
    ("spec", "overrides"),
    [
        ({"sizes": (32,)}, {"img_size": 28}),
        ({"min_size": 16}, {"img_size": 15}),
        ({}, {"img_size": 0}),
        ({}, {"img_size": 65537}),
        ({"channels": (3,)}, {"channels": 1}),
        ({}, {"channels": 2}),
        ({"channels": (2, 4)}, {}),
    ],
)
def test_what_the_architecture_does_not_take_is_a_usage_error(choose: Any, spec: Any, overrides: Any) -> None:
    with pytest.raises(UsageError, match="net"):
        choose(architecture(**spec), InputOverrides(**overrides))


def test_alone_an_architecture_gets_its_own_preprocessing() -> None:
    assert default_preprocess(architecture(input_shape=(3, 224, 224), preprocess=OWN), InputOverrides()) == OWN
    assert default_preprocess(architecture(), InputOverrides()) == Preprocess(
        size=(32, 32), mean=(0.5,) * 3, std=(0.5,) * 3
    )


def test_another_size_keeps_crop_ratio_and_resize_rule() -> None:
    imagenet = architecture(input_shape=(3, 224, 224), preprocess=OWN)
    half = default_preprocess(imagenet, InputOverrides(img_size=112))
    assert (half.size, half.shorter_side) == ((112, 112), 128)
    stretched = architecture(preprocess=Preprocess(size=(32, 32), mean=(0.5,) * 3, std=(0.5,) * 3))
    assert default_preprocess(stretched, InputOverrides(img_size=64)).shorter_side is None


def test_other_channels_have_neutral_statistics() -> None:
    grey = default_preprocess(architecture(input_shape=(3, 224, 224), preprocess=OWN), InputOverrides(channels=1))
    assert (grey.mean, grey.std, grey.shorter_side) == ((0.5,), (0.5,), 256)


SPECS = st.fixed_dictionaries(
    {
        "input_shape": st.tuples(st.sampled_from([1, 3]), st.integers(8, 64)).map(lambda s: (s[0], s[1], s[1])),
        "channels": st.sampled_from([(), (1,), (3,), (1, 3)]),
        "min_size": st.integers(1, 8),
        "preprocess": st.none() | st.just(OWN),
    }
)
STATS = st.builds(ImageStats, channels=st.sampled_from([1, 3]), side=st.none() | st.integers(1, 300))
OVERRIDES = st.builds(
    InputOverrides, img_size=st.none() | st.integers(0, 300), channels=st.none() | st.sampled_from([1, 2, 3])
)


@given(SPECS, STATS, OVERRIDES)
def test_result_fits_architecture_and_overrides(
    spec: dict[str, Any], images: ImageStats, overrides: InputOverrides
) -> None:
    net = architecture(**spec)
    for choose in (lambda: fit_preprocess(net, images, overrides), lambda: default_preprocess(net, overrides)):
        try:
            chosen = choose()
        except UsageError:
            assert overrides != InputOverrides()
            continue
        assert chosen.size[0] == chosen.size[1] >= net.min_size
        assert overrides.img_size in (None, chosen.size[0])
        assert overrides.channels in (None, chosen.channels)
        assert not net.channels or chosen.channels in net.channels
