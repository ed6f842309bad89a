"""Shared by the tests of training: a small plugin whose model has BatchNorm and dropout, and whose data is noise."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from zoo.contract.callback import Callback
from zoo.contract.specs import Architecture, Dataset, Loss, Param
from zoo.registry.discovery import Plugin
from zoo.registry.registry import Registry
from zoo.training.prepare import RunPaths
from zoo.training.recipe.recipe import Recipe

MODULE = """
import numpy as np
import torch
from torch import nn

def net(*, num_classes, in_channels, width=8):
    return nn.Sequential(
        nn.Conv2d(in_channels, width, 3), nn.BatchNorm2d(width), nn.ReLU(), nn.Dropout(0.3),
        nn.Conv2d(width, width, 3), nn.BatchNorm2d(width), nn.ReLU(), nn.Flatten(), nn.Linear(16 * width, num_classes))

class Noise:
    def __init__(self, split):
        count = 150 if split == "train" else 60
        draw = np.random.default_rng(count)
        self.labels = draw.integers(0, 3, count)
        self.images = draw.integers(0, 160, (count, 8, 8), dtype=np.uint8)
        self.images += (self.labels * 40).astype(np.uint8)[:, None, None]
        self.labels = self.labels % 3
    def __len__(self):
        return len(self.labels)
    def __getitem__(self, index):
        return self.images[index], int(self.labels[index])

def load(root, split, download):
    return Noise(split)

def cross_entropy(*, class_weights=()):
    return nn.CrossEntropyLoss(weight=torch.tensor(class_weights) if class_weights else None)
"""


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A registry of the architecture `net`, the data set `noise` and the loss `cross_entropy`; in an empty folder."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "small_kit.py").write_text(MODULE)
    monkeypatch.syspath_prepend(site)
    monkeypatch.delitem(sys.modules, "small_kit", raising=False)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    specs = (
        Architecture(
            name="net", summary="s", build="small_kit:net", input_shape=(1, 8, 8), params={"width": Param(default=8)}
        ),
        Dataset(
            name="noise", summary="s", load="small_kit:load", classes=("a", "b", "c"), input_shape=(1, 8, 8), hflip=True
        ),
        Loss(
            name="cross_entropy",
            summary="s",
            build="small_kit:cross_entropy",
            params={"class_weights": Param(default=())},
        ),
    )
    return Registry([Plugin("kit", "kit", "1", specs)])


@pytest.fixture
def recipe() -> Callable[..., Recipe]:
    """A short recipe: three epochs of five steps, the last of them of 22 images."""
    return lambda **fields: Recipe(**{"architecture": "net", "data": "noise", "epochs": 3, "batch_size": 32, **fields})


@pytest.fixture
def callback() -> Callable[..., Callback]:
    """Makes a callback of functions: `callback(on_epoch=stop)`."""

    def make(**methods: Callable[..., None]) -> Callback:
        made = Callback()
        for name, method in methods.items():
            assert hasattr(made, name)
            setattr(made, name, method)
        return made

    return make


@pytest.fixture
def paths(tmp_path: Path) -> Callable[..., RunPaths]:
    """The paths of a run with this name and tag."""
    return lambda name, **more: RunPaths(data_root=tmp_path, tag=name, run_name=name, **more)
