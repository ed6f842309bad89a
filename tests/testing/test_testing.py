"""`zoo.testing` detects losses and data sets that violate the contract, each in one way."""

import sys
from pathlib import Path

import pytest

from zoo.contract.specs import Architecture, Dataset, Loss, Param
from zoo.registry.discovery import Plugin
from zoo.registry.registry import Registry
from zoo.testing import check_architecture, check_dataset, check_loss

MODULE = """
import numpy as np
import torch
from torch.nn.functional import cross_entropy

def sound(): return cross_entropy
def reversed_(): return lambda x, t: -cross_entropy(x, t)
def infinite(): return lambda x, t: cross_entropy(x, t) / 0
def constant(): return lambda x, t: cross_entropy(x, t) * 0 + x.sum() * 0 + cross_entropy(x.detach(), t)

def graph():
    kept = [0.0]
    def loss(x, t):
        kept[0] = 0.9 * kept[0] + cross_entropy(x, t)
        return kept[0]
    return loss

def counting():
    calls = [0]
    def loss(x, t):
        calls[0] += 1
        return cross_entropy(x, t) * calls[0]
    return loss

def writing():
    def loss(x, t):
        value = cross_entropy(x, t)
        t.zero_()
        return value
    return loss

def scaled(scale=1.0): return lambda x, t: scale * cross_entropy(x, t)

def net(*, num_classes, in_channels, width=4, drop=0.1):
    layers = torch.nn.Conv2d(in_channels, width, 8), torch.nn.Flatten(), torch.nn.Dropout(drop)
    return torch.nn.Sequential(*layers, torch.nn.Linear(width, num_classes))

class Items:
    def __init__(self, n, item): self.n, self.item = n, item
    def __len__(self): return self.n
    def __getitem__(self, index): return self.item(index)

GREY, RGB = np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3), np.uint8)
def good(root, split, download): return Items(300, lambda i: (GREY, np.int64(i >= 150)))
def far_label(root, split, download): return Items(300, lambda i: (GREY, 7 if i == 299 else i % 2))
def sorted_label(root, split, download): return Items(300, lambda i: (GREY, 0 if i < 200 else 5))
def half_label(root, split, download): return Items(30, lambda i: (GREY, i % 2 + 0.6))
def colour(root, split, download): return Items(30, lambda i: (RGB, i % 2))
def large(root, split, download): return Items(30, lambda i: (np.zeros((9, 8), np.uint8), i % 2))
"""
LOSSES = {
    "reversed_": "not lower",
    "infinite": "not finite",
    "constant": "zero gradient",
    "graph": "a second time",
    "counting": "same logits",
    "writing": "arguments",
}
SETS = {
    "far_label": "299 .* 7",
    "sorted_label": "label 5",
    "half_label": "label 0.6",
    "colour": "3 channels, not 1",
    "large": r"\(9, 8\), not \(8, 8\)",
}


@pytest.fixture
def kit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    (tmp_path / "odd_parts.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "odd_parts", raising=False)
    losses = (Loss(name=name.strip("_"), summary="s", build=f"odd_parts:{name}") for name in ("sound", *LOSSES))
    sets = (
        Dataset(name=name, summary="s", load=f"odd_parts:{name}", classes=("a", "b"), input_shape=(1, 8, 8))
        for name in ("good", *SETS)
    )
    return Registry([Plugin("kit", "kit", "1", (*losses, *sets))])


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_that_breaks_the_contract_is_found(kit: Registry, name: str) -> None:
    check_loss("sound", kit)
    with pytest.raises(AssertionError, match=LOSSES[name]):
        check_loss(name.strip("_"), kit)


def test_a_loss_with_another_default_than_declared_is_found(kit: Registry) -> None:
    def declared(scale: float) -> Registry:
        spec = Loss(name="scaled", summary="s", build="odd_parts:scaled", params={"scale": Param(default=scale)})
        return Registry([Plugin("kit", "kit", "1", (spec,))])

    check_loss("scaled", declared(1.0))
    with pytest.raises(AssertionError, match=r"scale is 2.0 .* odd_parts:scaled"):
        check_loss("scaled", declared(2.0))


def test_a_network_with_other_defaults_is_found(kit: Registry) -> None:
    def declared(**defaults: float) -> Registry:
        params = {name: Param(default=value) for name, value in defaults.items()}
        spec = Architecture(name="net", summary="s", build="odd_parts:net", input_shape=(1, 8, 8), params=params)
        return Registry([Plugin("kit", "kit", "1", (spec,))])

    check_architecture("net", declared(width=4, drop=0.1))
    for name, wrong in (("width", 5), ("drop", 0.2)):
        with pytest.raises(AssertionError, match=rf"{name} is {wrong} .* odd_parts:net"):
            check_architecture("net", declared(**{name: wrong}))


@pytest.mark.parametrize("name", SETS)
def test_a_data_set_that_breaks_the_contract_is_found(kit: Registry, tmp_path: Path, name: str) -> None:
    check_dataset("good", tmp_path, kit)
    with pytest.raises(AssertionError, match=SETS[name]):
        check_dataset(name, tmp_path, kit)
