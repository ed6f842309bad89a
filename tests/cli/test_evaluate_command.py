"""`zoo evaluate` measures the file again, and comes to what its card says."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zoo.files.card import read_card

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


def test_every_figure_follows_from_the_matrix(run_zoo: Run, trained: Path) -> None:
    told = json.loads(run_zoo("evaluate", str(trained), "--json").out)
    confusion, classes = told["confusion"], told["classes"]
    low, high = told["top1_interval_95"]
    assert 0 < low < told["top1"] < high < 1
    assert 0 <= told["expected_calibration_error"] <= 1
    assert sum(one["n"] for one in told["calibration"]["bins"]) == told["n"]
    assert told["calibration"]["probability"] == "softmax of the logits"
    for index, one in enumerate(told["per_class"]):
        assert one["class"] == classes[index]
        assert one["support"] == sum(confusion[index])
        assert one["predicted"] == sum(row[index] for row in confusion)
        assert one["recall"] == confusion[index][index] / one["support"]
    worst = told["worst_confusions"][0]
    most = max(confusion[true][other] for true in range(10) for other in range(10) if true != other)
    assert worst["count"] == most == confusion[int(worst["true"])][int(worst["predicted"])]


def test_text_output_has_classes_confusions_and_summary(run_zoo: Run, trained: Path) -> None:
    told = json.loads(run_zoo("evaluate", str(trained), "--json").out)
    headings, *rows, last = run_zoo("evaluate", str(trained)).out.splitlines()
    assert headings.split("\t") == ["class", "images", "correct", "precision", "recall", "F1"]
    assert [int(row.split("\t")[2]) for row in rows[:10]] == [told["confusion"][index][index] for index in range(10)]
    assert rows[10].split("\t") == ["worst confusions", "taken for", "images", "of the class"]
    worst = told["worst_confusions"][:5]
    assert [row.split("\t")[:3] for row in rows[11:]] == [
        [one["true"], one["predicted"], str(one["count"])] for one in worst
    ]
    low, high = told["top1_interval_95"]
    assert last.startswith(
        f"lenet5.tiny: top-1 {100 * told['top1']:.2f} % (95 % interval {100 * low:.2f} to {100 * high:.2f} %)"
    )
    assert "expected calibration error" in last
    assert last.endswith("digits test, n=359")


def test_a_class_without_images_has_no_score(run_zoo: Run, pictures: Path) -> None:
    (pictures / "train").mkdir()
    for name in ("blue", "red"):
        (pictures / name).rename(pictures / "train" / name)
    shutil.copytree(pictures / "train" / "red", pictures / "test" / "red")
    data = ("--data", "folder", "--data-root", str(pictures))
    assert run_zoo("train", "lenet5", *data, "--epochs", "1", "-b", "4", "--tag", "half").code == 0
    blue, red = json.loads(run_zoo("evaluate", "lenet5.half", *data, "--json").out)["per_class"]
    assert (blue["class"], blue["support"], blue["precision"], blue["recall"], blue["f1"]) == ("blue", 0, *[None] * 3)
    assert (red["support"], red["recall"]) == (6, red["correct"] / 6)
    assert "blue\t0\t0\tn/a\tn/a\tn/a" in run_zoo("evaluate", "lenet5.half", *data).out


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
