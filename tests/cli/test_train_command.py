"""`zoo train`: one command, a weights file that says where it came from, and a run folder that says how it went."""

import csv
import json
import shlex
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import zoo
from zoo.files.card import read_card
from zoo.files.header import read_header

Run = Callable[..., Any]
PACKAGE = str(Path(zoo.__file__).parent)
TRAIN = ("train", "lenet5", "--data", "digits", "-b", "256", "--lr", "0.003", "--device", "cpu", "--epochs")


def result(ran: Any) -> Any:
    assert ran.code == 0, ran.err
    return json.loads(ran.out)


def test_it_says_what_it_made_and_measured(run_zoo: Run, here: Path) -> None:
    ran = run_zoo(*TRAIN, "2", "--json")
    told = result(ran)
    assert told["weights"] == "weights/lenet5.digits.safetensors" and told["run"] == "runs/lenet5.digits"
    assert (told["dataset"], told["split"], told["n"]) == ("digits", "test", 359)
    assert "1,438 training and 359 test images, 10 classes, 1×32×32, on cpu" in ran.err and "2/2  " in ran.err
    card, _ = read_card(Path(told["weights"]))
    assert {metric.name: metric.value for metric in card.metrics} == {
        key: told[key] for key in ("top1", "top5", "loss")
    }
    assert (card.digest, card.licence[:6], card.versions["device"]) == (told["digest"], "CC BY ", "cpu")

    run = here / "runs" / "lenet5.digits"
    assert sorted(path.name for path in run.iterdir()) == [
        *("confusion.png", "curves.png", "examples", "history.csv", "last.safetensors", "recipe.json"),
        *("report.html", "report.md", "result.json", "run.json"),
    ]
    assert f"| top-1 | {100 * told['top1']:.2f} % |" in (run / "report.md").read_text()
    assert json.loads((run / "recipe.json").read_text()) == json.loads(json.dumps(dict(card.recipe)))
    with (run / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert float(rows[-1]["test_top1"]) == told["top1"] and float(rows[0]["test_loss"]) > float(rows[1]["test_loss"])
    assert read_card(run / "last.safetensors")[0].digest == told["digest"]
    assert sorted(path.name for path in here.iterdir()) == ["runs", "weights"]


def test_people_get_the_result_and_where_it_is(run_zoo: Run) -> None:
    ran = run_zoo(*TRAIN, "1", "--tag", "mine")
    assert ran.out.startswith("weights/lenet5.mine.safetensors: top-1 ") and ran.out.count("\n") == 5
    assert ran.out.splitlines()[0].endswith("% on digits test, n=359") and "runs/lenet5.mine/report.html" in ran.out


def test_the_seed_decides_the_weights(run_zoo: Run) -> None:
    digests = [
        result(run_zoo(*TRAIN, "1", "--seed", seed, "--tag", tag, "--json"))["digest"]
        for seed, tag in (("5", "a"), ("5", "b"), ("6", "c"))
    ]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize(
    "options",
    [
        ("-p", "activation=relu", "--crop", "0", "--hflip", "--warmup-epochs", "0.5", "--img-size", "28"),
        ("--loss", "focal", "--loss-param", "gamma=1.5", "--opt", "sgd", "--sched", "constant", "--weight-decay", "0"),
        (
            "--aa",
            "trivial",
            "--reprob",
            "0.3",
            "--mixup",
            "0.2",
            "--cutmix",
            "1",
            "--loss-param",
            "label_smoothing=0.1",
        ),
        ("--channels", "3", "--no-hflip", "--no-amp", "--seed", "9", "--tag", "own"),
    ],
    ids=["architecture", "loss", "augmentation", "rest"],
)
def test_the_cards_own_command_gives_the_same_weights_again(run_zoo: Run, options: tuple[str, ...]) -> None:
    first = result(run_zoo(*TRAIN, "1", *options, "--json"))
    program, *again = shlex.split(read_card(Path(first["weights"]))[0].command)
    assert program == "zoo"
    second = result(run_zoo(*again, "--device", "cpu", "--force", "--json"))
    assert (second["digest"], second["weights"]) == (first["digest"], first["weights"])
    assert {key: first[key] for key in ("top1", "loss")} == {key: second[key] for key in ("top1", "loss")}


def test_force_replaces_weights_and_runs_are_numbered(run_zoo: Run, explained: Callable[..., str], here: Path) -> None:
    first = result(run_zoo(*TRAIN, "1", "--json"))
    before = Path(first["weights"]).read_bytes()
    assert "--force" in explained(run_zoo(*TRAIN, "1", "--seed", "1"), 1)
    assert Path(first["weights"]).read_bytes() == before and len(list((here / "runs").iterdir())) == 1
    second = result(run_zoo(*TRAIN, "1", "--seed", "1", "--force", "--json"))
    assert second["weights"] == first["weights"] and Path(second["weights"]).read_bytes() != before
    assert second["run"] == "runs/lenet5.digits-2"


def test_places_can_be_chosen(run_zoo: Run, tmp_path: Path, explained: Callable[..., str]) -> None:
    places = ("-o", str(tmp_path / "w"), "--runs", str(tmp_path / "r"), "--name", "first")
    told = result(run_zoo(*TRAIN, "1", *places, "--json"))
    assert Path(told["weights"]) == tmp_path / "w" / "lenet5.digits.safetensors"
    assert Path(told["run"]) == tmp_path / "r" / "first"
    again = run_zoo(*TRAIN, "1", *places, "--tag", "other", "--force")
    assert "--name" in explained(again, 1) and "training and" not in again.err  # before anything is read
    assert not (tmp_path / "w" / "lenet5.other.safetensors").exists()


def test_a_qualified_name_names_the_same_files(run_zoo: Run) -> None:
    told = result(
        run_zoo("train", "zoo-kit:lenet5", "--data", "zoo-kit:digits", "--epochs", "1", "-b", "512", "--json")
    )
    assert told["weights"] == "weights/lenet5.digits.safetensors" and told["run"] == "runs/lenet5.digits"


def test_a_folder_of_jpegs_becomes_a_model_of_its_classes(run_zoo: Run, pictures: Path) -> None:
    options = ("--data", "folder", "--data-root", str(pictures), "--epochs", "8", "-b", "4", "--lr", "0.003")
    told = result(run_zoo("train", "lenet5", *options, "--tag", "colours", "--json"))
    card, header = read_card(Path(told["weights"]))
    assert card.classes == ("blue", "red") and card.preprocess.channels == 3 and card.preprocess.shorter_side == 32
    assert header.tensors["classifier.5.weight"].shape == (2, 84)
    assert (told["n"], told["top1"]) == (2, 1.0)
    predicted = json.loads(run_zoo("predict", told["weights"], str(pictures / "red" / "0.jpg"), "--json").out)
    assert predicted[0]["predictions"][0]["label"] == "red"


def test_options_out_of_range_are_refused_early(run_zoo: Run, explained: Callable[..., str], here: Path) -> None:
    for options in (
        ("--epochs", "0"),
        ("--lr", "nan"),
        ("--lr", "-1"),
        ("--warmup-epochs", "inf"),
        ("--crop", "33"),
        ("--img-size", "8"),
        ("--channels", "2"),
        ("--tag", "No Name"),
        ("--tag", ""),
        ("--name", ".."),
        ("--name", ""),
        ("--name", "a/b"),
        ("--seed", "-1"),
        ("-p", "activation"),
        ("--loss-param", "label_smoothing=x"),
    ):
        explained(run_zoo("train", "lenet5", "--data", "digits", *options), 2)
    assert not list(here.iterdir())


def test_training_that_diverges_is_explained_and_leaves_nothing(
    run_zoo: Run, explained: Callable[..., str], here: Path
) -> None:
    assert "--lr" in explained(run_zoo("train", "lenet5", "--data", "digits", "--lr", "1e30", "--epochs", "1"), 1)
    assert not list(here.iterdir())


def test_the_header_alone_tells_the_card(run_zoo: Run, trained: Path) -> None:
    assert set(read_header(trained).metadata) == {"zoo", "zoo_sha256"}


def test_the_command_is_five_calls_from_the_optimizer_step(run_zoo: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """command, zoo.train, run_job, Trainer.train, Trainer.step: what a reader follows."""
    depths = []

    def step(self: Any, *_: Any) -> None:
        names = [frame.f_code.co_name for frame, _ in traceback.walk_stack(None)]
        files = [frame.f_code.co_filename for frame, _ in traceback.walk_stack(None)]
        depths.append(sum(file.startswith(PACKAGE) for file in files[: names.index("command") + 1]))
        raise KeyboardInterrupt

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    assert run_zoo(*TRAIN, "1").code == 130
    assert depths == [5]
