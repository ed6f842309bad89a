"""`zoo.list_models`, `zoo.create_model`, `zoo.load` and `predict`."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import zoo

IMAGES = [
    np.zeros((28, 28), np.uint8),
    np.full((40, 30, 3), 200, np.uint8),
    Image.new("RGB", (33, 31), (10, 200, 30)),
]


@pytest.fixture
def found(run: "zoo.TrainResult", here: Path) -> Path:
    """The trained weights, where zoo finds them by name."""
    (here / "weights").mkdir()
    return Path(shutil.copy(run.weights, here / "weights"))


def test_listing_takes_a_pattern(found: Path) -> None:
    assert "lenet5" in zoo.list_models() and "resnet18" in zoo.list_models("resnet*")
    assert zoo.list_models("no_such*") == []
    assert "lenet5.tiny" in zoo.list_models("lenet*", pretrained=True)
    assert "lenet5.tiny" in zoo.list_models("lenet5", pretrained=True)
    assert zoo.list_models("*.tiny", pretrained=True) == ["lenet5.tiny"]


def test_a_name_claimed_twice_is_listed_with_its_owners(registry: zoo.Registry) -> None:
    doubled = zoo.Registry(
        [*registry.plugins, *(replace(p, distribution="other") for p in registry.plugins)], prefer=()
    )
    assert zoo.list_models("lenet5", registry=doubled) == ["zoo-kit:lenet5", "other:lenet5"]
    assert zoo.create_model("other:lenet5", registry=doubled)


def test_a_created_model_has_the_shape_asked_for() -> None:
    net = zoo.create_model("lenet5", num_classes=7, in_channels=3)
    assert net.training
    assert net(torch.zeros(2, 3, 28, 28)).shape == (2, 7)


def test_parameters_and_seed_reach_the_build() -> None:
    one, same, other = (zoo.create_model("lenet5", seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(value, same[name]) for name, value in one.items())
    assert not all(torch.equal(value, other[name]) for name, value in one.items())
    with pytest.raises(zoo.UnknownName):
        zoo.create_model("lenet5", no_such=1)


@pytest.mark.parametrize(
    "arguments", [{"num_classes": 0}, {"img_size": 3}, {"in_channels": 2}, {"img_size": 28, "pretrained": False}]
)
def test_arguments_are_checked(arguments: dict[str, Any]) -> None:
    if arguments.get("img_size") == 28:
        assert zoo.create_model("lenet5", **arguments)
        return
    with pytest.raises(zoo.UsageError):
        zoo.create_model("lenet5", **arguments)


@pytest.mark.parametrize("name", ["lenet5.tiny", "path"])
def test_weights_are_put_in(found: Path, run: "zoo.TrainResult", name: str) -> None:
    net = zoo.create_model(str(found) if name == "path" else name)
    stored = run.model.module.state_dict()
    assert all(torch.equal(value, stored[key]) for key, value in net.state_dict().items())


def test_pretrained_takes_the_only_weights(monkeypatch: pytest.MonkeyPatch, found: Path) -> None:
    monkeypatch.setattr("zoo.files.folders.weights_folders", lambda: [found.parent])
    stored = zoo.load("lenet5.tiny").module.state_dict()
    net = zoo.create_model("lenet5", pretrained=True)
    assert all(torch.equal(value, stored[name]) for name, value in net.state_dict().items())
    shutil.copy(found, found.parent / "lenet5.again.safetensors")
    with pytest.raises(zoo.UsageError, match=r"lenet5\.again, lenet5\.tiny"):
        zoo.create_model("lenet5", pretrained=True)
    with pytest.raises(zoo.UnknownName, match="resnet20"):
        zoo.create_model("resnet20", pretrained=True)
    with pytest.raises(zoo.UsageError, match=r"resnet50\.imagenet1k_v1, resnet50\.imagenet1k_v2"):
        zoo.create_model("resnet50", pretrained=True)


def test_another_number_of_classes_keeps_all_but_the_head(found: Path) -> None:
    stored = zoo.load("lenet5.tiny").module.state_dict()
    net = zoo.create_model("lenet5.tiny", num_classes=7)
    fresh = {name for name, value in net.state_dict().items() if value.shape != stored[name].shape}
    assert fresh and all("classifier" in name for name in fresh)
    assert all(torch.equal(value, stored[name]) for name, value in net.state_dict().items() if name not in fresh)


def test_weights_fix_channels_and_parameters(found: Path) -> None:
    with pytest.raises(zoo.UsageError, match="channels"):
        zoo.create_model("lenet5.tiny", in_channels=3)
    with pytest.raises(zoo.UsageError, match="parameters"):
        zoo.create_model("lenet5.tiny", activation="relu")


def test_load_gives_everything_that_is_known(found: Path) -> None:
    model = zoo.load("lenet5.tiny")
    assert (model.name, model.path, model.fresh) == ("lenet5.tiny", Path("weights/lenet5.tiny.safetensors"), False)
    assert model.labels == model.card.classes and model.preprocess == model.card.preprocess
    assert not model.module.training
    assert zoo.load(found).card == model.card


def test_load_refuses_an_architecture_and_a_missing_file(here: Path) -> None:
    with pytest.raises(zoo.UsageError, match="create_model"):
        zoo.load("lenet5")
    with pytest.raises(zoo.UnknownName):
        zoo.load("lenet5.nowhere")
    with pytest.raises(zoo.WeightsError):
        zoo.load(here / "nothing.safetensors")


def test_predict_takes_paths_images_and_arrays(run: "zoo.TrainResult", here: Path) -> None:
    IMAGES[2].save(here / "a.png")
    for image in (*IMAGES, here / "a.png", "a.png"):
        predictions = run.model.predict(image, top=3)
        assert [type(each) for each in predictions] == [zoo.Prediction] * 3
        probabilities = [each.probability for each in predictions]
        assert probabilities == sorted(probabilities, reverse=True)
        assert all(each.label == run.model.labels[each.index] for each in predictions)
    assert run.model.predict("a.png") == run.model.predict(IMAGES[2])
    assert sum(each.probability for each in run.model.predict("a.png", top=99)) == pytest.approx(1)


def test_predict_of_several_is_a_list_for_each(run: "zoo.TrainResult") -> None:
    several = run.model.predict(IMAGES * 15)
    assert len(several) == 45  # more than a batch
    for predictions, image in zip(several, IMAGES, strict=False):
        one = run.model.predict(image)
        assert [each.index for each in predictions] == [each.index for each in one]
        np.testing.assert_allclose([p.probability for p in predictions], [p.probability for p in one], rtol=1e-4)
    assert run.model.predict([]) == []


@pytest.mark.parametrize(
    ("image", "error"),
    [
        (3, zoo.UsageError),
        (torch.zeros(3, 8, 8), zoo.UsageError),
        (np.zeros((8, 8), np.float32), zoo.DataError),
        (np.zeros((2, 8, 8, 3), np.uint8), zoo.DataError),
        (np.zeros((0, 8), np.uint8), zoo.DataError),
        ("missing.png", zoo.DataError),
    ],
)
def test_predict_names_what_is_no_image(run: "zoo.TrainResult", image: Any, error: type[zoo.ZooError]) -> None:
    with pytest.raises(error):
        run.model.predict([image])
    with pytest.raises(zoo.UsageError, match="top"):
        run.model.predict(IMAGES[0], top=0)


def test_logits_that_are_not_finite_are_refused(run: "zoo.TrainResult", here: Path) -> None:
    model = zoo.load(run.weights)
    with torch.no_grad():
        next(iter(model.module.parameters())).fill_(float("nan"))
    with pytest.raises(zoo.WeightsError, match="finite"):
        model.predict(IMAGES[0])


def test_a_warning_names_a_broken_plugin(monkeypatch: pytest.MonkeyPatch, registry: zoo.Registry) -> None:
    from zoo.api import installed

    broken = replace(registry.plugins[0], name="rude", specs=(), error="ImportError: x")
    monkeypatch.setattr(installed, "discover", lambda: [broken, *registry.plugins])
    with pytest.warns(UserWarning, match="rude"):
        installed.installed_registry.__wrapped__()
