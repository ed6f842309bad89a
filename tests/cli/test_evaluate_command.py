"""`zoo evaluate` measures the file again, and comes to what its card says."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zoo.card import read_card

Run = Callable[..., Any]


def test_it_comes_to_what_the_card_says(run_zoo: Run, trained: Path) -> None:
    ran = run_zoo("evaluate", str(trained), "--json", "--device", "cpu")
    told = json.loads(ran.out)
    assert (ran.err, told["model"], told["dataset"], told["split"], told["n"]) == (
        "",
        "lenet5.tiny",
        "digits",
        "test",
        359,
    )
    card = {metric.name: metric.value for metric in read_card(trained)[0].metrics}
    assert (told["top1"], told["top5"]) == (card["top1"], card["top5"])
    assert told["cross_entropy"] == pytest.approx(card["loss"])
    confusion = told["confusion"]
    assert sum(map(sum, confusion)) == 359
    assert sum(confusion[index][index] for index in range(10)) / 359 == told["top1"]
    assert told["classes"] == list("0123456789")


def test_people_get_each_class_and_one_line(run_zoo: Run, trained: Path) -> None:
    told = json.loads(run_zoo("evaluate", str(trained), "--json").out)
    headings, *rows, last = run_zoo("evaluate", str(trained)).out.splitlines()
    assert headings.split("\t") == ["class", "right", "of", "recall"]
    right = [int(row.split("\t")[1]) for row in rows]
    assert right == [told["confusion"][index][index] for index in range(10)]
    assert last.startswith(f"lenet5.tiny: top-1 {100 * told['top1']:.2f} %") and last.endswith("digits test, n=359")


def test_split_and_batch_size(run_zoo: Run, trained: Path) -> None:
    whole = json.loads(run_zoo("evaluate", str(trained), "--json").out)
    for size in ("1", "100000"):
        other = json.loads(run_zoo("evaluate", str(trained), "-b", size, "--json").out)
        assert other["confusion"] == whole["confusion"]
    assert json.loads(run_zoo("evaluate", str(trained), "--split", "train", "--json").out)["n"] == 1438


def test_a_bare_architecture_and_a_foreign_data_set_are_refused(
    run_zoo: Run, trained: Path, pictures: Path, explained: Callable[..., str]
) -> None:
    assert "ARCH.TAG" in explained(run_zoo("evaluate", "lenet5"), 2)
    said = explained(run_zoo("evaluate", str(trained), "--data", "folder", "--data-root", str(pictures)), 1)
    assert "blue, red" in said and "0, 1, 2" in said
