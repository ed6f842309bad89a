"""`zoo weights`: what is there, what each file says of itself, and whether it is sound."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zoo.cli.output import print_table
from zoo.files.card import read_card

Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def _seen(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_WEIGHTS", str(trained.parent))


def test_list_shows_accuracy_split_and_n(run_zoo: Run, trained: Path) -> None:
    row = next(row for row in json.loads(run_zoo("weights", "list", "--json").out) if row["name"] == "lenet5.tiny")
    assert row["file"] == str(trained) and row["bytes"] == trained.stat().st_size
    assert (row["dataset"], row["measured_on"]) == ("digits", "digits test, n=359")
    assert row["top1"] == next(m.value for m in read_card(trained)[0].metrics if m.name == "top1")
    ran = run_zoo("weights", "list")
    size = f"{round(row['bytes'] / 1000)} kB"
    assert ran.err == "" and f"lenet5.tiny\t{100 * row['top1']:.2f} %\tdigits test, n=359\t{size}" in ran.out


def test_the_nearest_folder_wins(run_zoo: Run, trained: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "weights").mkdir()
    (here / "weights" / trained.name).write_bytes(b"another")
    assert run_zoo("weights", "show", "lenet5.tiny").code == 0
    monkeypatch.delenv("ZOO_WEIGHTS")
    assert "truncated" in run_zoo("weights", "show", "lenet5.tiny").err


def test_a_file_that_is_refused_stays_in_the_list(run_zoo: Run, here: Path) -> None:
    (here / "weights").mkdir()
    (here / "weights" / "lenet5.half.safetensors").write_bytes(b"")
    ran = run_zoo("weights", "list")
    assert ran.code == 0 and "refused" in next(x for x in ran.out.splitlines() if x.startswith("lenet5.half"))
    rows = {row["name"]: row for row in json.loads(run_zoo("weights", "list", "--json").out)}
    assert "empty" in rows["lenet5.half"]["error"] and "error" not in rows["lenet5.tiny"]


def test_show_tells_the_whole_card(run_zoo: Run, trained: Path) -> None:
    card = json.loads(run_zoo("weights", "show", "lenet5.tiny", "--json").out)
    assert card == json.loads(json.dumps(read_card(trained)[0].to_dict()))
    text = run_zoo("weights", "show", str(trained)).out
    for part in (card["digest"], card["command"], "lenet5 of zoo-kit", "1 × 32 × 32", card["licence"], "torch"):
        assert part in text


def test_what_a_card_says_cannot_command_the_terminal(run_zoo: Run, tmp_path: Path, card: Any) -> None:
    """The text of a card is whoever's that made the file."""
    from dataclasses import replace

    import torch

    from zoo.files.weights import save_weights

    path = tmp_path / "evil.safetensors"
    evil = replace(card, classes=("a\x1b[2J\x07", "b\nc"), licence="\x1b]0;owned\x07", params={"\x1b[31m": "\x1b[0m"})
    save_weights(path, {"w": torch.ones(1)}, evil)
    ran = run_zoo("weights", "show", str(path))
    assert ran.code == 0 and not [mark for mark in ran.out if not mark.isprintable() and mark != "\n"]
    assert run_zoo("summary", str(path)).err.count("\n") == 2


def test_verify_checks_one_or_all(run_zoo: Run, trained: Path, explained: Callable[..., str], here: Path) -> None:
    (row,) = json.loads(run_zoo("weights", "verify", "lenet5.tiny", "--json").out)
    card = read_card(trained)[0]
    assert (row["digest"], row["tensors_digest"], row["card_covered"]) == (card.card_digest, card.digest, True)
    assert run_zoo("weights", "verify", str(trained)).out == f"PASS: {trained} is intact, {row['digest']}\n"
    (here / "weights").mkdir()
    damaged = bytearray(trained.read_bytes())
    damaged[-1] ^= 1
    (here / "weights" / "lenet5.bad.safetensors").write_bytes(damaged)
    ran = run_zoo("weights", "verify", "--json")
    assert "lenet5.bad" in explained(ran, 3, out=True)
    passed = {Path(row["file"]).name: row["passed"] for row in json.loads(ran.out)}
    assert passed["lenet5.bad.safetensors"] is False and passed["lenet5.tiny.safetensors"] is True
    assert "digest" in run_zoo("weights", "verify", "lenet5.bad").out


def test_on_a_narrow_terminal_the_name_is_what_stays_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "50")
    row = ["resnet20.fashion_mnist", "94.00 %", "fashion_mnist test, n=10,000", "1100 kB", "/a/very/long/path"]
    print_table(["name", "top-1", "measured on", "size", "file"], [row])
    assert "resnet20.fashion_mnist" in capsys.readouterr().out
