"""A run's report comes after its weights, and TensorBoard's events only where they are asked for."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import zoo.report.write
from zoo.files.card import read_card

Run = Callable[..., Any]
TRAIN = ("train", "lenet5", "--data", "digits", "-b", "256", "--lr", "0.003", "--device", "cpu", "--epochs")


def test_weights_are_stored_if_the_report_fails(
    run_zoo: Run, explained: Callable[..., str], monkeypatch: pytest.MonkeyPatch, here: Path
) -> None:
    def fail(*arguments: object) -> bytes:
        raise RuntimeError("no ink")

    monkeypatch.setattr(zoo.report.write, "draw_curves", fail)
    said = explained(run_zoo(*TRAIN, "1"), 1)
    assert "no ink" in said and "weights" in said
    card = read_card(here / "weights" / "lenet5.digits.safetensors")[0]
    assert [metric.name for metric in card.metrics] == ["top1", "top5", "loss"]
    assert not (here / "runs" / "lenet5.digits" / "report.md").exists()
    assert (here / "runs" / "lenet5.digits" / "history.csv").exists()


def test_the_events_hold_each_epoch_and_the_confusion_matrix(run_zoo: Run, here: Path) -> None:
    ran = run_zoo(*TRAIN, "2", "--tensorboard", "--json")
    assert ran.code == 0, ran.err
    events = EventAccumulator(str(here / "runs" / "lenet5.digits"))
    events.Reload()
    history = (here / "runs" / "lenet5.digits" / "history.csv").read_text().splitlines()
    columns, *rows = (line.split(",") for line in history)
    assert sorted(events.Tags()["scalars"]) == sorted(set(columns) - {"epoch"})
    for place, name in enumerate(columns):
        if name != "epoch":
            told = [(event.step, event.value) for event in events.Scalars(name)]
            assert told == [(int(row[0]), pytest.approx(float(row[place]))) for row in rows]
    (image,) = events.Images("confusion")
    assert image.step == 2
    assert image.encoded_image_string.startswith(b"\x89PNG")
    assert json.loads(ran.out)["run"] == "runs/lenet5.digits"


def test_no_events_are_written_unasked(run_zoo: Run, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    assert run_zoo(*TRAIN, "1").code == 0
    assert not list((here / "runs" / "lenet5.digits").glob("*tfevents*"))


def test_without_the_package_nothing_is_trained(
    run_zoo: Run, explained: Callable[..., str], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    said = explained(run_zoo(*TRAIN, "1", "--tensorboard"), 1)
    assert "tensorboard" in said and "pip install 'zoo-kit[tensorboard]'" in said
    assert "epoch" not in said
    assert not list(here.iterdir())


def test_a_run_that_fails_at_once_leaves_no_events(run_zoo: Run, explained: Callable[..., str], here: Path) -> None:
    explained(run_zoo("train", "lenet5", "--data", "digits", "--lr", "1e30", "--epochs", "1", "--tensorboard"), 1)
    assert not list(here.iterdir())
