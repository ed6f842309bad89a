"""`zoo train --drop-path`: stochastic depth, by the name that the architecture has for it."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zoo import Architecture, Param
from zoo.cli import main
from zoo.cli.recipe_cli import recipe_from_options
from zoo.cli.recipe_options import recipe_sections
from zoo.contract.errors import UsageError
from zoo.files.card import read_card
from zoo.registry.discovery import Plugin
from zoo.registry.registry import Registry
from zoo.training.checkpoint.saver import Saver

Run = Callable[..., Any]
Explained = Callable[..., str]
NET = """
import torch
from torch import nn
from torchvision.ops import StochasticDepth

class Net(nn.Module):
    def __init__(self, num_classes, in_channels, drop_path_rate):
        super().__init__()
        self.stem = nn.Conv2d(in_channels, 8, 3, padding=1, stride=2)
        self.block = nn.Conv2d(8, 8, 3, padding=1)
        self.drop = StochasticDepth(drop_path_rate, "row")
        self.head = nn.Linear(8, num_classes)
    def forward(self, images):
        images = self.stem(images)
        return self.head((images + self.drop(self.block(images))).relu().mean((2, 3)))

def net(*, num_classes, in_channels, drop_path_rate=0.0):
    return Net(num_classes, in_channels, drop_path_rate)
"""
TRAIN = ("train", "deep", "--data", "digits", "-b", "256", "--device", "cpu", "--epochs", "2")


@pytest.fixture
def planted(tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """An architecture `deep` with stochastic depth."""
    (tmp_path / "deep_kit.py").write_text(NET)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "deep_kit", raising=False)
    params = {"drop_path_rate": Param(default=0.0)}
    spec = Architecture(name="deep", summary="s", build="deep_kit:net", input_shape=(1, 8, 8), params=params)
    monkeypatch.setattr(main, "discover", lambda: [*registry.plugins, Plugin("deep", "zoo-deep", "1", (spec,))])


def stored(ran: Any) -> Path:
    assert ran.code == 0, ran.err
    return Path(json.loads(ran.out)["weights"])


@pytest.mark.usefixtures("planted")
def test_it_is_recorded_and_a_resumed_run_keeps_it(run_zoo: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    path = stored(run_zoo(*TRAIN, "--drop-path", "0.4", "--tag", "whole", "--json"))
    assert read_card(path)[0].recipe["params"] == {"drop_path_rate": 0.4}
    without = stored(run_zoo(*TRAIN, "--tag", "without", "--json"))
    assert read_card(without)[0].digest != read_card(path)[0].digest

    def stop(self: Saver) -> None:
        if self._state.step == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Saver, "save_if_due", stop)
        assert run_zoo(*TRAIN, "--drop-path", "0.4", "--tag", "stopped").code == 130
    resumed = stored(run_zoo("train", "--resume", "runs/deep.stopped", "--json"))
    assert read_card(resumed)[0].digest == read_card(path)[0].digest
    again = stored(run_zoo("train", "--like", str(path), "--drop-path", "0.2", "--tag", "again", "--json"))
    assert read_card(again)[0].recipe["params"] == {"drop_path_rate": 0.2}


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("lenet5", "--drop-path", "0.1"), "lenet5"),
        (("deep", "--drop-path", "0.1", "-p", "drop_path_rate=0.2"), "drop_path_rate"),
        (("deep", "--drop-path", "1"), "--drop-path"),
        (("deep", "--drop-path", "nan"), "drop_path_rate"),
        (("--resume", "runs/x", "--drop-path", "0.1"), "--drop-path"),
    ],
)
@pytest.mark.usefixtures("planted")
def test_what_does_not_fit_is_refused(
    run_zoo: Run, explained: Explained, words: tuple[str, ...], named: str, here: Path
) -> None:
    data = () if "--resume" in words else ("--data", "digits")
    assert named in explained(run_zoo("train", *words, *data), 2)
    assert [*here.iterdir()] == []


@pytest.mark.parametrize(
    ("architecture", "name"), [("convnext_tiny", "stochastic_depth_prob"), ("timm/resnet18", "drop_path_rate")]
)
def test_collections_name_it_their_own_way(registry: Registry, architecture: str, name: str) -> None:
    if "/" in architecture:
        pytest.importorskip("timm")
    empty: dict[str, Any] = {key: None for keys in recipe_sections().values() for key in keys}
    options = {**empty, "params": (), "loss_params": (), "recipe": None, "like": None, "data": "digits"}
    recipe = recipe_from_options(registry, {**options, "architecture": architecture, "drop_path": 0.2})
    assert dict(recipe.params) == {name: 0.2}
    with pytest.raises(UsageError):
        recipe_from_options(registry, {**options, "architecture": "alexnet", "drop_path": 0.2})
