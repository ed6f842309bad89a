"""Damage to an exported graph is noticed, whatever its kind; a graph that is changed and the same function is not."""

import json
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from zoo.contract.preprocess import Preprocess
from zoo.files.card import Card
from zoo.models.load import Model, open_model

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import mutants
from mutation import kept
from mutation.bench import KINDS, Bench
from mutation.graphs import Kind
from mutation.kept import Kept
from mutation.rules import RULES
from mutation.table import report, summary


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


def named(name: str) -> Kind:
    """One kind of damage."""
    return next(kind for kind in KINDS if kind.name == name)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_kind_of_damage_is_noticed(bench: Bench, kind: Kind) -> None:
    mutants = bench.mutants(kind, most=2)
    assert [mutant for mutant in mutants if not mutant.equivalent], "the small network must have a place for it"
    assert not [mutant for mutant in mutants if not mutant.equivalent and not mutant.noticed["zoo"]]


def test_damage_to_a_trained_model_is_noticed(digits: Bench) -> None:
    mutants = [mutant for kind in KINDS for mutant in digits.mutants(kind, most=1)]
    told = [mutant for mutant in mutants if not mutant.equivalent]
    assert len(told) >= 13
    assert not [mutant for mutant in told if not mutant.noticed["zoo"]]


def test_the_same_function_is_accepted(bench: Bench, digits: Bench) -> None:
    for each in (bench, digits):
        alarms, tried, worst = each.false_alarms()
        assert tried >= 14
        assert not alarms
        assert 0 < worst < 10


def test_a_healthy_graph_is_noticed_by_no_rule(bench: Bench, digits: Bench) -> None:
    for each in (bench, digits):
        assert each.run(places=1, kinds=()).healthy == dict.fromkeys(RULES, False)


def test_an_equivalent_is_told_from_the_graph_alone(digits: Bench) -> None:
    (kind,) = (kind for kind in KINDS if kind.name == "padding counted in a mean")
    mutants = digits.mutants(kind, most=2)
    assert {mutant.equivalent for mutant in mutants} == {"there is no padding to count"}
    assert not any(mutant.noticed for mutant in mutants)


def test_rounding_any_tensor_to_float16_is_noticed(digits: Bench) -> None:
    mutants = digits.mutants(named("tensor through float16"), most=99)
    assert len(mutants) == 10
    assert all(mutant.noticed["zoo"] for mutant in mutants)


def test_another_stride_is_noticed(bench: Bench) -> None:
    mutants = bench.mutants(named("stride changed"), most=9)
    told = [mutant for mutant in mutants if not mutant.equivalent]
    (gate,) = (mutant for mutant in mutants if mutant.equivalent)
    assert gate.equivalent == "its window has one position with either stride"
    assert len(told) == 3
    assert all(mutant.noticed["zoo"] for mutant in told)
    assert any(mutant.ratios for mutant in told), "one must run"


def test_result_is_cached_until_code_or_places_change(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = bench.run(places=1, kinds=KINDS[:1])
    Kept(tmp_path, 1).write("net.small", result)
    assert Kept(tmp_path, 1).read("net.small") == result
    assert Kept(tmp_path, 2).read("net.small") is None
    assert Kept(tmp_path, 1).read("net.other") is None
    monkeypatch.setattr(kept, "state_of_code", lambda: "another")
    assert Kept(tmp_path, 1).read("net.small") is None


def test_what_zoo_missed_is_listed_with_its_ratio(bench: Bench) -> None:
    result = bench.run(places=1, kinds=KINDS[:1])
    result.mutants[0].noticed["zoo"], result.mutants[0].ratios = False, {"own_weights": 12.3}
    (model,) = summary([result])["models"]
    assert model["mutants"] == 1 and model["noticed"]["zoo"] == 0
    assert model["missed"] == [
        {"kind": KINDS[0].name, "place": result.mutants[0].place, "rounding_errors": {"own_weights": 12.3}}
    ]
    assert any("12.3 with own weights" in line for line in report([result]))


def test_the_script_makes_its_report_and_does_no_work_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = ["mutants.py", "--models", "lenet5.digits", "--places", "0", "--results", str(tmp_path / "kept")]
    monkeypatch.setattr(sys, "argv", [*told, "--report", str(tmp_path / "made")])
    assert mutants.main() == 0
    assert capsys.readouterr().err == "lenet5.digits\n"
    (model,) = json.loads((tmp_path / "made.json").read_text())["models"]
    assert model["same_function"]["rejected"] == [] and model["same_function"]["tried"] >= 14
    assert "| lenet5.digits |" in (tmp_path / "made.md").read_text()
    assert mutants.main() == 0
    assert capsys.readouterr().err == ""
