"""Weights that a plugin provides: fetched once, stored with a card of their origin, opened as any others."""

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import nn

from zoo import Architecture, Param
from zoo.contract.errors import NameConflict, PluginError, UnknownName, UsageError, WeightsError, ZooError
from zoo.contract.preprocess import Preprocess
from zoo.contract.pretrained import Metric, PretrainedWeights, download_needed
from zoo.files.card import read_card
from zoo.models.load import open_model
from zoo.models.stored.foreign import store_foreign
from zoo.models.stored.pretrained import locate_weights, open_pretrained
from zoo.registry.discovery import Plugin
from zoo.registry.pretrained import pretrained_names
from zoo.registry.registry import Registry

CLASSES = ("cat", "dog", "owl")
TOP1 = Metric(name="top1", value=0.75, dataset="pets", split="test", n=4000)


class Tiny(nn.Module):
    def __init__(self, num_classes: int, in_channels: int, width: int = 2) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, width, 3)
        self.head = nn.Linear(width, num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.conv(images).mean((2, 3)))  # type: ignore[no-any-return]


def pretrained(width: int = 4, **changed: Any) -> PretrainedWeights:
    torch.manual_seed(1)
    weights = PretrainedWeights(
        tensors=Tiny(len(CLASSES), 3, width).state_dict(),
        classes=CLASSES,
        preprocess=Preprocess(size=(8, 8), mean=(0.5,) * 3, std=(0.25,) * 3, shorter_side=9),
        params={"width": width},
        published=(TOP1,),
        licence="MIT",
        source="https://example.org/tiny-01234567.pth",
        file_sha256="0" * 64,
    )
    return replace(weights, **changed)


class Server:
    """What the plugin of these tests fetches from."""

    calls: ClassVar[list[tuple[str, str, bool]]] = []
    result: Any = None


def fetch(name: str, tag: str, *, download: bool) -> Any:
    Server.calls.append((name, tag, download))
    if not download:
        raise download_needed(f"{name}.{tag}", "https://example.org", "1 MB")
    if isinstance(Server.result, Exception):
        raise Server.result
    return Server.result


SPEC = Architecture(
    name="tiny",
    summary="Small",
    build=f"{__name__}:Tiny",
    input_shape=(3, 8, 8),
    params={"width": Param(default=2)},
    pretrained=("pets", "more-pets.v2"),
    fetch=f"{__name__}:fetch",
)


@pytest.fixture
def zoo_with(here: Path) -> Registry:
    """A registry with the architecture `tiny` alone."""
    Server.calls, Server.result = [], pretrained()
    return Registry([Plugin("kit", "kit", "1", (SPEC,))])


def test_fetched_weights_are_stored_once(zoo_with: Registry, tmp_path: Path) -> None:
    path = open_pretrained(zoo_with, "tiny.pets", download=True)
    assert path == tmp_path / "cache" / "pretrained" / "kit" / "kit" / "tiny.pets.safetensors"
    assert open_pretrained(zoo_with, "tiny.pets") == open_pretrained(zoo_with, "kit:tiny.pets") == path
    assert Server.calls == [("tiny", "pets", True)]
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_the_card_says_where_weights_came_from(zoo_with: Registry) -> None:
    card, _ = read_card(open_pretrained(zoo_with, "tiny.more-pets.v2", download=True))
    assert (card.metrics, card.published) == ((), (TOP1,))
    assert (card.source, card.source_sha256, card.licence) == (pretrained().source, "0" * 64, "MIT")
    assert (card.architecture_name, card.params, card.classes) == ("kit/kit:tiny", {"width": 4}, CLASSES)
    assert card.preprocess == pretrained().preprocess


def test_a_model_opens_with_them(zoo_with: Registry) -> None:
    model = open_model(zoo_with, "tiny.pets", download=True)
    assert model.name == "tiny.pets" and model.labels == CLASSES and not model.fresh
    for name, tensor in pretrained().tensors.items():
        assert torch.equal(model.module.state_dict()[name], tensor)


def test_nothing_is_downloaded_unless_allowed(zoo_with: Registry, tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as refusal:
        open_model(zoo_with, "tiny.pets")
    assert "tiny.pets" in refusal.value.cause and "--download" in refusal.value.next_step
    assert "https://example.org" in refusal.value.next_step and "1 MB" in refusal.value.next_step
    assert not (tmp_path / "cache").exists()


def test_a_file_in_a_weights_folder_comes_first(zoo_with: Registry, here: Path) -> None:
    own = here / "weights" / "tiny.pets.safetensors"
    store_foreign(pretrained(), zoo_with.find(Architecture, "tiny"), own)
    assert locate_weights(zoo_with, "tiny.pets").resolve() == own
    assert locate_weights(zoo_with, str(own)) == own
    assert not Server.calls


@pytest.mark.parametrize("name", ["tiny.cars", "kit:tiny.cars", "other:tiny.pets", "none.pets", "no/such/file"])
def test_unknown_weights_are_refused(zoo_with: Registry, name: str) -> None:
    with pytest.raises((UnknownName, WeightsError)) as refusal:
        locate_weights(zoo_with, name, download=True)
    assert name in refusal.value.cause and not Server.calls
    if name == "tiny.cars":
        assert "tiny.pets" in refusal.value.next_step


def test_two_plugins_with_one_name_conflict(zoo_with: Registry) -> None:
    both = Registry([*zoo_with.plugins, Plugin("more", "other", "1", (replace(SPEC, summary="Other"),))], prefer=())
    with pytest.raises(NameConflict):
        open_pretrained(both, "tiny.pets", download=True)
    assert "other" in str(open_pretrained(both, "other:tiny.pets", download=True))
    assert pretrained_names(both) == ["tiny.more-pets.v2", "tiny.pets"]


@pytest.mark.parametrize(
    ("result", "error"),
    [
        (RuntimeError("broken"), PluginError),
        (None, PluginError),
        (WeightsError("It is damaged.", "Get it again."), WeightsError),
        (pretrained(width=3, params={"width": 4}), WeightsError),
        (pretrained(params={}), WeightsError),
        (pretrained(params={"depth": 4}), UnknownName),
        (pretrained(params={"width": "wide"}), UsageError),
        (pretrained(classes=CLASSES[:2]), WeightsError),
        (pretrained(tensors={**pretrained().tensors, "more.weight": torch.zeros(1)}), WeightsError),
        (pretrained(tensors={**pretrained().tensors, "head.bias": torch.full((3,), torch.nan)}), WeightsError),
        (pretrained(file_sha256="short"), WeightsError),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_unfit_weights_leave_nothing_behind(
    zoo_with: Registry, tmp_path: Path, result: Any, error: type[ZooError]
) -> None:
    Server.result = result
    with pytest.raises(error):
        open_model(zoo_with, "tiny.pets", download=True)
    assert not (tmp_path / "cache").exists()
