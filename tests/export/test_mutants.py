"""Damage to an exported graph is noticed, whatever its kind; a graph that is changed and the same function is not."""

import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from zoo.card import Card
from zoo.loading import Model, open_model
from zoo.preprocess import Preprocess

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from mutation.bench import KINDS, Bench
from mutation.graphs import Kind
from mutation.rules import RULES


class Small(nn.Module):
    """A little of everything that a graph can be broken in: float32 `[N, 3, 8, 8]` to logits `[N, 4]`."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6)
        self.branch = nn.Conv2d(6, 6, 3, padding=1)
        self.gate = nn.Conv2d(6, 6, 1)
        self.pool = nn.AvgPool2d(3, 2, 1, count_include_pad=False)
        self.head = nn.Linear(12, 4)

    def forward(self, images: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.stem(images)))
        x = x + torch.relu(self.branch(x)) * torch.sigmoid(self.gate(x.mean((2, 3), keepdim=True)))
        x = nn.functional.interpolate(self.pool(x), scale_factor=2.0)
        x = torch.cat([x, x.softmax(3) * 0.5], 1)
        return self.head(nn.functional.adaptive_avg_pool2d(x * x, 1).flatten(1))


@pytest.fixture(scope="module")
def bench() -> Bench:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = Small()
        for name, value in [*net.norm.named_buffers(), *net.norm.named_parameters()]:
            if name != "num_batches_tracked":
                nn.init.uniform_(value, 0.5, 1.5)
    preprocess = Preprocess(size=(8, 8), mean=(0.5, 0.4, 0.3), std=(0.25, 0.2, 0.3))
    made_by = {"architecture": "net", "plugin": "zoo-kit", "plugin_version": "0.1.0"}
    card = Card(**made_by, classes=tuple("abcd"), preprocess=preprocess)
    return Bench(Model("net.small", net.eval(), card, None))


@pytest.fixture(scope="module")
def digits(registry) -> Bench:
    return Bench(open_model(registry, "lenet5.digits"))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_kind_of_damage_is_noticed(bench: Bench, kind: Kind) -> None:
    mutants = bench.mutants(kind, most=2)
    assert [mutant for mutant in mutants if not mutant.equivalent], "the small network must have a place for it"
    assert not [mutant for mutant in mutants if not mutant.equivalent and not mutant.noticed["zoo"]]


def test_damage_to_a_trained_model_is_noticed(digits: Bench) -> None:
    """Rounding one bias to float16 is left out: it moves the logits by less than the 20 floors that are allowed."""
    kinds = [kind for kind in KINDS if kind.name != "tensor through float16"]
    mutants = [mutant for kind in kinds for mutant in digits.mutants(kind, most=1)]
    told = [mutant for mutant in mutants if not mutant.equivalent]
    assert len(told) >= 11
    assert not [mutant for mutant in told if not mutant.noticed["zoo"]]


def test_the_same_function_is_accepted(bench: Bench, digits: Bench) -> None:
    for each in (bench, digits):
        alarms, tried = each.false_alarms()
        assert tried >= 12
        assert not alarms


def test_a_healthy_graph_is_noticed_by_no_rule(bench: Bench, digits: Bench) -> None:
    for each in (bench, digits):
        assert each.run(places=1, kinds=()).healthy == dict.fromkeys(RULES, False)


def test_an_equivalent_is_told_from_the_graph_alone(digits: Bench) -> None:
    (kind,) = (kind for kind in KINDS if kind.name == "padding counted in a mean")
    mutants = digits.mutants(kind, most=2)
    assert {mutant.equivalent for mutant in mutants} == {"there is no padding to count"}
    assert not any(mutant.noticed for mutant in mutants)
