"""A model from a live module: its card is made from arguments and from what the module returns."""

from typing import Any

import pytest
import torch
from torch import nn

import zoo
from zoo.api.modules.live_module import model_of
from zoo.models.stored.identity import architecture_of

GREY = zoo.Preprocess(size=(6, 4), mean=(0.1,), std=(0.3,))


class Net(nn.Module):
    def __init__(self, channels: int = 3, classes: int = 5) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(channels, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(4, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x))


class Pair(Net):
    def forward(self, x: torch.Tensor) -> Any:
        return super().forward(x), x


def test_a_card_is_made_from_the_module() -> None:
    net = Net()
    model = model_of(net, input_shape=(3, 6, 4))
    assert (model.name, model.labels, model.path, model.fresh) == ("Net", ("0", "1", "2", "3", "4"), None, False)
    assert model.preprocess == zoo.Preprocess(size=(6, 4), mean=(0.0,) * 3, std=(1.0,) * 3)
    assert (model.card.architecture, model.card.plugin) == ("Net", "")
    assert model.card.digest.startswith("sha256:")
    assert net.training and not model.module.training


def test_arguments_are_taken_over() -> None:
    net = Net(channels=1, classes=2).eval()
    model = model_of(net, preprocess=GREY, labels=["cat", "dog"], name="pets")
    assert model.module is net  # on the CPU and in evaluation mode already
    assert (model.name, model.labels, model.preprocess) == ("pets", ("cat", "dog"), GREY)


def test_the_distribution_is_that_of_the_class() -> None:
    card = model_of(nn.Sequential(nn.Flatten(), nn.Linear(48, 2)), input_shape=(3, 4, 4)).card
    assert (card.plugin, card.architecture) == ("torch", "Sequential")
    assert torch.__version__.startswith(card.plugin_version)


@pytest.mark.parametrize(
    ("module", "arguments", "names"),
    [
        (Net(), {}, "input_shape"),
        (Net(), {"input_shape": (2, 6, 4)}, "(2, 6, 4)"),
        (Net(), {"input_shape": (3, 6)}, "(3, 6)"),
        (Net(), {"input_shape": (3, 0, 4)}, "(3, 0, 4)"),
        (Net(1), {"input_shape": (3, 6, 4), "preprocess": GREY}, "(1, 6, 4)"),
        (Net(), {"input_shape": (3, 6, 4), "labels": ["a"]}, "1 labels"),
        (Net(), {"input_shape": (3, 6, 4), "labels": "abcde"}, "labels"),
        (Pair(), {"input_shape": (3, 6, 4)}, "tuple"),
        (nn.Flatten(0), {"input_shape": (3, 6, 4)}, "(144,)"),
    ],
)
def test_what_does_not_fit_is_a_usage_error(module: nn.Module, arguments: dict[str, Any], names: str) -> None:
    with pytest.raises(zoo.UsageError) as caught:
        model_of(module, **arguments)
    assert names in f"{caught.value.cause} {caught.value.next_step}"


def test_what_the_module_raises_and_other_dtypes_are_explained() -> None:
    with pytest.raises(zoo.ExportError, match="Net"):
        model_of(Net(channels=1), input_shape=(3, 6, 4))
    with pytest.raises(zoo.ExportError, match="float32"):
        model_of(Net().half(), input_shape=(3, 6, 4))


def test_no_plugin_is_taken_for_its_owner(registry: zoo.Registry) -> None:
    lenet5 = type("lenet5", (Net,), {})
    with pytest.raises(zoo.UnknownName):
        architecture_of(registry, model_of(lenet5(), input_shape=(3, 6, 4)).card)
