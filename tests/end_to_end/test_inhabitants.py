"""Every weights file that comes with zoo is sound, keeps its promises, and is exported in all formats with proof."""

import json
from pathlib import Path

import pytest

from zoo.contract.printable import plain
from zoo.files.card import read_card
from zoo.files.folders import SUFFIX

WEIGHTS = Path(__file__).parents[2] / "weights"
NAMES = sorted(path.name.removesuffix(SUFFIX) for path in WEIGHTS.glob(f"*{SUFFIX}"))
FORMATS = {"onnx": "model.onnx", "torchscript": "model.torchscript", "pt2": "model.pt2"}


@pytest.mark.parametrize("name", NAMES)
def test_it_is_exported_in_all_formats_with_its_certificate(run_zoo, tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    ran = run_zoo("export", name, "-f", ",".join(FORMATS), "-o", str(folder))
    assert ran.code == 0, plain(ran.err)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["certificate"]["verdict"] == "pass"
    assert manifest["certificate"]["artifacts"].keys() == FORMATS.keys()
    assert all((folder / file).is_file() for file in FORMATS.values())
    assert run_zoo("verify", str(folder), "--strict").code == 0


@pytest.mark.parametrize("name", NAMES)
def test_card_has_recipe_command_and_metrics(name: str) -> None:
    card, _ = read_card(WEIGHTS / f"{name}{SUFFIX}")
    assert name == f"{card.architecture}.{card.dataset}"
    assert card.command.startswith(f"zoo train {card.architecture} --data {card.dataset}") and card.recipe
    assert {(metric.dataset, metric.split) for metric in card.metrics} == {(card.dataset, "test")}
    assert card.licence and card.versions.keys() >= {"torch", "python", "zoo-kit"}


def test_like_reproduces_bytes_or_reports_differences(run_zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ran = run_zoo("train", "--like", "lenet5.digits", "--device", "cpu", "--json")
    assert ran.code == 0, plain(ran.err)
    shipped, _ = read_card(WEIGHTS / f"lenet5.digits{SUFFIX}")
    same = json.loads(ran.out)["digest"] == shipped.digest
    assert same or "warning: the weights may differ from lenet5.digits" in plain(ran.err)
