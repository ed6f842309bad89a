"""`zoo train --resume`, `--recipe` and `--like` on the command line."""

import json
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from zoo.files.card import read_card
from zoo.files.weights import load_weights, save_weights
from zoo.training.checkpoint.saver import Saver
from zoo.training.recipe.recipe import VERSION

Run = Callable[..., Any]
Explained = Callable[..., str]
TRAIN = ("train", "lenet5", "--data", "digits", "-b", "256", "--lr", "0.003", "--device", "cpu", "--epochs", "2")


@pytest.fixture
def stopped(run_zoo: Run, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of `TRAIN` that Ctrl-C ended after its third step."""

    def due(self: Saver) -> None:
        if self._state.step == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Saver, "save_if_due", due)
        ran = run_zoo(*TRAIN, "--tag", "mine")
    assert ran.code == 130
    assert ran.err.endswith("\nInterrupted at step 3 of 12. Resume: zoo train --resume runs/lenet5.mine\n")
    return Path("runs/lenet5.mine")


def test_a_stopped_run_goes_on_to_the_same_file(run_zoo: Run, stopped: Path, explained: Explained) -> None:
    resumed = run_zoo("train", "--resume", str(stopped), "--json")
    assert resumed.code == 0, resumed.err
    path = Path(json.loads(resumed.out)["weights"])
    assert path == Path("weights/lenet5.mine.safetensors") and "may differ" not in resumed.err
    assert json.loads(resumed.out)["run"] == str(stopped)
    content = path.read_bytes()
    assert run_zoo(*TRAIN, "--tag", "mine", "--force").code == 0
    assert path.read_bytes() == content
    assert "is finished" in explained(run_zoo("train", "--resume", "lenet5.mine"), 1)


@pytest.mark.parametrize(
    ("words", "flag"),
    [
        (("lenet5",), "ARCHITECTURE"),
        (("--data", "digits"), "--data"),
        (("--epochs", "2"), "--epochs"),
        (("--opt", "sgd"), "--opt"),
        (("-p", "activation=relu"), "--param"),
        (("--no-hflip",), "--hflip"),
        (("--warmup-epochs", "0"), "--warmup-epochs"),
        (("--tag", "other"), "--tag"),
        (("--name", "other"), "--name"),
        (("--like", "lenet5.digits"), "--like"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_options_that_would_change_the_result_are_refused(
    run_zoo: Run, stopped: Path, explained: Explained, words: tuple[str, ...], flag: str
) -> None:
    before = (stopped / "checkpoint.safetensors").read_bytes()
    assert f"`{flag}`" in explained(run_zoo("train", "--resume", str(stopped), *words), 2)
    assert (stopped / "checkpoint.safetensors").read_bytes() == before


def test_a_resumed_run_may_have_another_data_root(
    run_zoo: Run, stopped: Path, explained: Explained, tmp_path: Path
) -> None:
    explained(run_zoo("train", "--resume", "nowhere"), 1)
    ran = run_zoo("train", "--resume", str(stopped), "--data-root", str(tmp_path), "-o", "elsewhere")
    assert ran.code == 0, ran.err
    assert Path("elsewhere/lenet5.mine.safetensors").exists()


def test_resuming_under_other_versions_warns(run_zoo: Run, stopped: Path) -> None:
    record = json.loads((stopped / "run.json").read_text())
    record["environment"] |= {"torch": "2.0.1", "threads": "64"}
    (stopped / "run.json").write_text(json.dumps(record))
    ran = run_zoo("train", "--resume", str(stopped))
    assert ran.code == 0 and "torch 2.0.1 then, " in ran.err and "threads 64 then, " in ran.err


def test_a_recipe_file_says_it_all_and_flags_win(run_zoo: Run) -> None:
    Path("mine.toml").write_text(
        'architecture = "lenet5"\ndata = "digits"\nepochs = 1\nbatch_size = 512\nloss = "focal"\n'
        '[params]\nactivation = "relu"\n[loss_params]\ngamma = 1.5\n'
    )
    ran = run_zoo("train", "--recipe", "mine.toml", "-b", "256", "--loss-param", "gamma=3", "--device", "cpu", "--json")
    assert ran.code == 0, ran.err
    recipe = read_card(Path(json.loads(ran.out)["weights"]))[0].recipe
    assert (recipe["batch_size"], recipe["epochs"], recipe["loss"], recipe["version"]) == (256, 1, "focal", VERSION)
    assert recipe["params"] == {"activation": "relu"} and recipe["loss_params"] == {"gamma": 3.0}


def test_an_error_in_a_recipe_file_comes_first(run_zoo: Run, explained: Explained, here: Path) -> None:
    path = here / "mine.toml"
    for text, says in (
        ("epocs = 3", "epochs?"),
        ('lr = "high"', "a number"),
        ("version = 99", "version 99"),
        ("epochs = 3", "ARCHITECTURE"),
        ('architecture = "lenet5"\ndata = "digits"\n[params]\nactivation = "rellu"', "rellu"),
        ('architecture = "lenet5"\ndata = "digits"\npatience = 2', "--hold-out"),
    ):
        path.write_text(text)
        assert says in explained(run_zoo("train", "--recipe", "mine.toml"), 2)
    assert "`--recipe` and `--like`" in explained(
        run_zoo("train", "--recipe", "mine.toml", "--like", "lenet5.digits"), 2
    )
    assert [entry.name for entry in here.iterdir()] == ["mine.toml"]


def test_training_like_weights_gives_the_same_weights(run_zoo: Run, trained: Path) -> None:
    ran = run_zoo("train", "--like", str(trained), "--tag", "tiny", "--device", "cpu", "--json")
    assert ran.code == 0 and "may differ" not in ran.err, ran.err
    assert Path(json.loads(ran.out)["weights"]).read_bytes() == trained.read_bytes()


def test_training_like_weights_augments_as_they_were(run_zoo: Run) -> None:
    """And from a card of before there was such augmentation, there is none."""
    words = ("--aa", "trivial", "--reprob", "0.3", "--mixup", "0.2", "--cutmix", "1", "--tag", "mixed")
    assert run_zoo(*TRAIN, *words).code == 0
    path = Path("weights/lenet5.mixed.safetensors")
    before = path.read_bytes()
    assert run_zoo("train", "--like", str(path), "--tag", "mixed", "--device", "cpu", "--force").code == 0
    assert path.read_bytes() == before
    weights = load_weights(path)
    added = {"aa", "reprob", "mixup", "cutmix"}
    old = {name: value for name, value in weights.card.recipe.items() if name not in added}
    save_weights(Path("old.safetensors"), weights.tensors, replace(weights.card, recipe=old))
    assert run_zoo("train", "--like", "old.safetensors", "--tag", "old", "--device", "cpu").code == 0
    again = read_card(Path("weights/lenet5.old.safetensors"))[0].recipe
    assert not any(again[name] for name in added)


def test_training_like_weights_warns_of_other_versions(
    run_zoo: Run, trained: Path, tmp_path: Path, explained: Explained
) -> None:
    weights = load_weights(trained)
    recipe = {name: value for name, value in weights.card.recipe.items() if name != "version"}
    card = replace(weights.card, versions={**weights.card.versions, "numpy": "1.0", "device": "cuda"}, recipe=recipe)
    path = tmp_path / "old.safetensors"
    save_weights(path, weights.tensors, card)
    ran = run_zoo("train", "--like", str(path), "--epochs", "1", "--device", "cpu")
    assert ran.code == 0
    for part in ("numpy 1.0 then, ", "device cuda then, cpu here", "random numbers differently"):
        assert part in ran.err
    save_weights(path, weights.tensors, replace(card, recipe={}), force=True)
    assert "records no recipe" in explained(run_zoo("train", "--like", str(path)), 1)


@pytest.mark.parametrize(
    "options",
    [
        ("--opt", "muon", "--sched", "one_cycle", "--model-ema-decay", "0.9", "--clip-grad", "1"),
        (
            "--opt",
            "sgd",
            "--momentum",
            "0.8",
            "--sched",
            "step",
            "--decay-milestones",
            "0.5",
            "--grad-accum-steps",
            "2",
        ),
        ("--hold-out", "0.2", "--patience", "3"),
    ],
    ids=["muon", "sgd", "hold-out"],
)
def test_the_cards_command_gives_the_same_file(run_zoo: Run, options: tuple[str, ...]) -> None:
    assert run_zoo(*TRAIN, *options).code == 0
    path = Path("weights/lenet5.digits.safetensors")
    first = path.read_bytes()
    _, *words = shlex.split(read_card(path)[0].command)
    assert run_zoo(*words, "--device", "cpu", "--force").code == 0
    assert path.read_bytes() == first
