"""`zoo list`, `zoo show` and `zoo plugins` tell all that there is, for people and for programs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zoo.contract.formats import ExportFormat
from zoo.contract.precisions import Precision
from zoo.contract.specs import Architecture, Command, Dataset, Loss, Spec
from zoo.registry.registry import Registry

KINDS: dict[str, type[Spec]] = {
    "architectures": Architecture,
    "losses": Loss,
    "datasets": Dataset,
    "formats": ExportFormat,
    "precisions": Precision,
    "commands": Command,
}
Run = Callable[..., Any]


def test_list_tells_everything(run_zoo: Run, registry: Registry) -> None:
    listed = json.loads(run_zoo("list", "--json").out)
    assert {kind: [entry["name"] for entry in entries] for kind, entries in listed.items()} == {
        kind: [entry.spec.name for entry in registry.entries(spec)] for kind, spec in KINDS.items()
    }


@pytest.mark.parametrize("kind", KINDS)
def test_list_tells_one_kind_in_columns_that_a_pipe_can_cut(run_zoo: Run, registry: Registry, kind: str) -> None:
    ran = run_zoo("list", kind)
    headings, *rows = [line.split("\t") for line in ran.out.splitlines()]
    assert (ran.code, ran.err, headings[0], headings[-2:]) == (0, "", kind, ["summary", "plugin"])
    assert {len(row) for row in rows} == {len(headings)}
    names = [entry.spec.name for entry in registry.entries(KINDS[kind])]
    alone = [name for name in names if "/" not in name]
    collections = {name.partition("/")[0] for name in names if "/" in name}
    assert [row[0] for row in rows if row[0] in alone] == alone
    assert {row[0].partition("/")[0] for row in rows if row[0] not in alone} == collections


def test_list_can_be_filtered(run_zoo: Run) -> None:
    names = [entry["name"] for entry in json.loads(run_zoo("list", "-f", "lenet*", "--json").out)["architectures"]]
    assert names == ["lenet5"]
    assert run_zoo("list", "architectures", "-f", "nothing_is_like_this").code == 0


def test_the_list_says_what_a_person_chooses_by(run_zoo: Run) -> None:
    listed = json.loads(run_zoo("list", "--json").out)
    by_name = {kind: {entry["name"]: entry for entry in entries} for kind, entries in listed.items()}
    assert by_name["architectures"]["lenet5"]["parameters"] == 61_706
    assert by_name["architectures"]["lenet5"]["input"] == [1, 32, 32]
    assert by_name["datasets"]["digits"]["classes"] == 10
    assert by_name["formats"]["onnx"]["suffix"] == ".onnx"
    assert by_name["losses"]["focal"]["target"] == "index"
    assert all(entry["distribution"] == "zoo-kit" for entry in by_name["commands"].values())


def test_show_tells_all_that_a_spec_says(run_zoo: Run) -> None:
    (shown,) = json.loads(run_zoo("show", "lenet5", "--json").out)
    assert (shown["kind"], shown["name"], shown["parameters"]) == ("architecture", "lenet5", 61_706)
    assert shown["params"]["activation"]["choices"] == ["tanh", "sigmoid", "relu"]
    text = run_zoo("show", "lenet5").out
    assert "architecture" in text and "61706" in text.replace(",", "") and "activation" in text


@pytest.mark.parametrize("name", ["focal", "digits", "onnx", "train", "zoo-kit:digits", "svhn"])
def test_show_knows_every_kind(run_zoo: Run, name: str) -> None:
    assert json.loads(run_zoo("show", name, "--json").out)[0]["name"] == name.rpartition(":")[2]


def test_show_knows_weights_and_the_architecture_names_them(
    run_zoo: Run, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_WEIGHTS", str(trained.parent))
    (shown,) = json.loads(run_zoo("show", "lenet5.tiny", "--json").out)
    assert (shown["kind"], shown["architecture"], shown["dataset"]) == ("weights", "lenet5", "digits")
    assert "lenet5.tiny" in json.loads(run_zoo("show", "lenet5", "--json").out)[0]["weights"]


def test_plugins_are_told_with_what_they_provide(run_zoo: Run, registry: Registry) -> None:
    told = json.loads(run_zoo("plugins", "--json").out)
    assert {entry["plugin"]: entry["error"] for entry in told["plugins"]} == {p.name: "" for p in registry.plugins}
    assert next(e for e in told["plugins"] if e["plugin"] == "export")["provides"] == {
        "format": 3,
        "precision": 2,
        "command": 5,
    }
    assert told["conflicts"] == []
    assert "export\tzoo-kit" in run_zoo("plugins").out


def test_doctor_writes_json_and_nothing_else(start_zoo: Callable[..., Any]) -> None:
    """onnxruntime itself prints to standard output where a provider's library is missing."""
    out, err = start_zoo("doctor", "--json").communicate(timeout=120)
    told = json.loads(out)
    assert told["formats"]["zoo-kit:onnx"]["cpu"] == "works"
    assert "cpu" in told["devices"] and told["plugins_left_out"] == {}
    assert "EP Error" not in err
