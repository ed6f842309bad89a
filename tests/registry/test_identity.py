"""Stored weights find their architecture by distribution and entry point, whoever else provides one of that name."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from zoo.contract.errors import NameConflict, UsageError, WeightsError
from zoo.contract.names import QUALIFIED, bare_name
from zoo.contract.preprocess import Preprocess
from zoo.contract.specs import Architecture
from zoo.files.card import Card
from zoo.files.folders import is_weights
from zoo.files.weights import save_weights
from zoo.models.load import open_model
from zoo.models.stored.identity import architecture_of, stored_weights
from zoo.registry.discovery import Plugin, discover
from zoo.registry.registry import Registry
from zoo.training.initial_weights import read_initial_weights

FIXTURES = Path(__file__).parents[1] / "fixtures" / "release_0_1_0"
CARD = Card(
    architecture="net",
    plugin="kit",
    plugin_version="1",
    classes=("a", "b"),
    preprocess=Preprocess(size=(2, 2), mean=(0.5,), std=(0.5,)),
)


class Narrow(nn.Sequential):
    def __init__(self, *, num_classes: int, in_channels: int) -> None:
        super().__init__(nn.Flatten(), nn.Linear(4 * in_channels, num_classes))


class Wide(nn.Sequential):
    def __init__(self, *, num_classes: int, in_channels: int) -> None:
        super().__init__(nn.Flatten(), nn.Linear(4 * in_channels, 8), nn.Linear(8, num_classes))


def plugin(distribution: str, name: str, build: type[nn.Module]) -> Plugin:
    ref = f"{__name__}:{build.__name__}"
    return Plugin(name, distribution, "1", (Architecture(name="net", summary="s", build=ref, input_shape=(1, 2, 2)),))


def stored(folder: Path, module: type[nn.Module], card: Card) -> str:
    path = folder / f"net.{module.__name__}.safetensors"
    save_weights(path, module(num_classes=2, in_channels=1).state_dict(), card)
    return str(path)


@pytest.mark.parametrize("second", ["kit", "other"])
def test_stored_weights_of_both_claimants_load(tmp_path: Path, second: str) -> None:
    registry = Registry([plugin("kit", "one", Narrow), plugin(second, "two", Wide)], prefer=())
    narrow = stored(tmp_path, Narrow, replace(CARD, entry_point="one"))
    wide = stored(tmp_path, Wide, replace(CARD, plugin=second, entry_point="two"))
    assert type(open_model(registry, narrow).module) is Narrow
    assert type(open_model(registry, wide).module) is Wide


@pytest.mark.parametrize("second", ["kit", "other"])
def test_each_claimant_lists_its_own_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, second: str) -> None:
    monkeypatch.setenv("ZOO_WEIGHTS", str(tmp_path))
    registry = Registry([plugin("kit", "one", Narrow), plugin(second, "two", Wide)], prefer=())
    stored(tmp_path, Narrow, replace(CARD, entry_point="one"))
    stored(tmp_path, Wide, replace(CARD, plugin=second, entry_point="two"))
    for name, file in (("kit/one:net", "net.Narrow"), (f"{second}/two:net", "net.Wide")):
        assert stored_weights(registry, registry.find(Architecture, name)) == [file]


def test_a_fresh_model_records_its_entry_point() -> None:
    registry = Registry([plugin("kit", "one", Narrow), plugin("kit", "two", Wide)], prefer=())
    model = open_model(registry, "kit/two:net")
    assert type(model.module) is Wide
    assert model.card.architecture_name == "kit/two:net"


def test_an_older_card_follows_the_preference(tmp_path: Path) -> None:
    plugins = [plugin("kit", "one", Narrow), plugin("kit", "two", Wide)]
    path = stored(tmp_path, Wide, CARD)
    with pytest.raises(NameConflict) as caught:
        open_model(Registry(plugins, prefer=()), path)
    for part in ("kit/one:net", "kit/two:net", "ZOO_PREFER", "config.toml"):
        assert part in caught.value.next_step
    assert type(open_model(Registry(plugins, prefer=("kit/two:net",)), path).module) is Wide
    with pytest.raises(WeightsError):  # the wrong one of the two
        open_model(Registry(plugins, prefer=("kit/one:net",)), path)


def test_an_older_card_ignores_other_distributions(tmp_path: Path) -> None:
    registry = Registry([plugin("kit", "one", Narrow), plugin("other", "two", Wide)], prefer=("other:net",))
    assert type(open_model(registry, stored(tmp_path, Narrow, CARD)).module) is Narrow


def test_a_renamed_entry_point_still_loads(tmp_path: Path) -> None:
    path = stored(tmp_path, Narrow, replace(CARD, entry_point="before"))
    assert type(open_model(Registry([plugin("kit", "after", Narrow)]), path).module) is Narrow


def test_training_starts_only_from_weights_of_the_same_plugin(tmp_path: Path) -> None:
    registry = Registry([plugin("kit", "one", Narrow), plugin("kit", "two", Wide)], prefer=())
    path = stored(tmp_path, Narrow, replace(CARD, entry_point="one"))
    assert (
        read_initial_weights(registry, str(path), registry.find(Architecture, "kit/one:net")).weights.card.entry_point
        == "one"
    )
    with pytest.raises(WeightsError, match="kit/two:net"):
        read_initial_weights(registry, str(path), registry.find(Architecture, "kit/two:net"))


def test_weights_of_release_0_1_0_load() -> None:
    model = open_model(Registry(discover()), str(FIXTURES / "lenet5.old.safetensors"))
    assert model.card.entry_point == ""
    assert architecture_of(Registry(discover()), model.card).plugin.distribution == "zoo-kit"
    assert model.module(torch.zeros(1, *model.card.preprocess.input_shape)).shape == (1, len(model.card.classes))


@pytest.mark.parametrize("name", ["kit:net", "one:net", "Kit:net", "kit/one:net", "k_i-t.x/one.two:net"])
def test_qualified_names_are_no_weights_files(name: str) -> None:
    assert QUALIFIED.fullmatch(name)
    assert not is_weights(name)
    assert bare_name(name) == "net"


@pytest.mark.parametrize("name", ["net.tag", "./net", "a/net.safetensors", "net.safetensors", "kit:net.tag", "a:b/c.d"])
def test_tags_and_paths_are_weights_files(name: str) -> None:
    assert is_weights(name)


def test_every_form_of_a_name_finds_the_entry() -> None:
    registry = Registry([plugin("my-kit", "one", Narrow), plugin("other", "two", Wide)], prefer=())
    for name in ("my-kit:net", "My_Kit:net", "one:net", "my-kit/one:net"):
        assert registry.find(Architecture, name).plugin.name == "one"
    assert registry.find(Architecture, "other/two:net").plugin.name == "two"


def test_environment_and_config_file_resolve_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "config.toml"
    monkeypatch.setattr("zoo.registry.preferences.config_file", lambda: config)
    registry = Registry([plugin("kit", "one", Narrow), plugin("other", "two", Wide)])
    config.write_text('prefer = ["absent:net", "other:net"]')
    assert registry.find(Architecture, "net").plugin.name == "two"
    assert registry.recorded_name(Architecture, "net") == "other/two:net"
    assert registry.recorded_name(Architecture, "kit:net") == "kit:net"
    monkeypatch.setenv("ZOO_PREFER", " kit/one:net , other:loss")
    assert registry.find(Architecture, "net").plugin.name == "one"


@pytest.mark.parametrize("text", ["prefer = 3", "prefer = [3]", "prefer = ['net']", "prefer = "])
def test_a_malformed_preference_names_its_source(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "config.toml"
    config.write_text(text)
    monkeypatch.setattr("zoo.registry.preferences.config_file", lambda: config)
    registry = Registry([plugin("kit", "one", Narrow), plugin("other", "two", Wide)])
    with pytest.raises(UsageError, match=r"config\.toml"):
        registry.find(Architecture, "net")
    monkeypatch.setenv("ZOO_PREFER", "net")
    with pytest.raises(UsageError, match="ZOO_PREFER"):
        registry.find(Architecture, "net")
