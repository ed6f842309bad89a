"""Invalid training options, and runs that cannot be resumed, are refused before anything is written."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from zoo.training.checkpoint.saver import Saver

Run = Callable[..., Any]
Explained = Callable[..., str]
Tree = Callable[[Path], dict[str, bytes | None]]
TRAIN = ("train", "lenet5", "--data", "digits", "-b", "512", "--device", "cpu", "--epochs", "1")


@pytest.fixture
def stopped(run_zoo: Run, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that Ctrl-C ended after its first step."""
    with monkeypatch.context() as patched:
        patched.setattr(Saver, "save_if_due", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
        assert run_zoo(*TRAIN, "--tag", "mine").code == 130
    return Path("runs/lenet5.mine")


@pytest.mark.parametrize(
    ("words", "flag"),
    [
        (("resnet20",), "ARCHITECTURE"),
        (("--initial-checkpoint", "lenet5.digits"), "--initial-checkpoint"),
        (("--no-freeze",), "--freeze"),
        (("--layer-decay", "0.5"), "--layer-decay"),
        (("--recipe", "mine.toml"), "--recipe"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_options_that_resuming_cannot_change_are_refused(
    run_zoo: Run, stopped: Path, explained: Explained, tree: Tree, words: tuple[str, ...], flag: str
) -> None:
    before = tree(stopped)
    assert flag in explained(run_zoo("train", "--resume", str(stopped), *words), 2)
    assert tree(stopped) == before


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"zoo": "9.9.9"}, "9.9.9"),
        ({"format": 99}, "lenet5.mine"),
        ({"recipe": {"architecture": "lenet5"}}, "lenet5.mine"),
        ({"recipe": None}, "lenet5.mine"),
        ({"plugins": {"architecture": "zoo-kit 9.9.9"}}, "zoo-kit 9.9.9"),
    ],
    ids=["release", "format", "recipe", "no recipe", "plugin"],
)
def test_a_run_folder_of_another_release_is_refused(
    run_zoo: Run, stopped: Path, explained: Explained, tree: Tree, change: dict[str, object], named: str
) -> None:
    record = json.loads((stopped / "run.json").read_text()) | change
    (stopped / "run.json").write_text(json.dumps(record))
    before = tree(stopped)
    assert named in explained(run_zoo("train", "--resume", str(stopped)), 1)
    assert tree(stopped) == before


@pytest.mark.parametrize(
    ("field", "close"),
    [
        ("freze = true", "freeze"),
        ("layer_deacy = 0.5", "layer_decay"),
        ("inital_checkpoint = 'a.b'", "initial_checkpoint"),
    ],
)
def test_a_misspelt_field_of_a_recipe_is_named(
    run_zoo: Run, explained: Explained, here: Path, field: str, close: str
) -> None:
    (here / "mine.toml").write_text(f'architecture = "lenet5"\ndata = "digits"\n{field}\n')
    message = explained(run_zoo("train", "--recipe", "mine.toml"), 2)
    assert field.split()[0] in message and close in message
    assert [path.name for path in here.iterdir()] == ["mine.toml"]


def test_unsuitable_initial_weights_are_refused(
    run_zoo: Run, explained: Explained, here: Path, tree: Tree, trained: Path, tmp_path: Path
) -> None:
    good = trained.read_bytes()
    for name, content in {
        "truncated": good[: len(good) // 2],
        "short": good[:100],
        "empty": b"",
        "text": b"these are no weights",
        "changed": good[:-1] + bytes([good[-1] ^ 1]),
        "pickle": b"\x80\x04\x95" + b"0" * 100,
    }.items():
        path = tmp_path / f"lenet5.{name}.safetensors"
        path.write_bytes(content)
        assert str(path) in explained(run_zoo(*TRAIN, "--initial-checkpoint", str(path)), 1)
    foreign = tmp_path / "foreign.safetensors"
    safetensors.torch.save_file({"a": torch.zeros(1)}, foreign)
    assert str(foreign) in explained(run_zoo(*TRAIN, "--initial-checkpoint", str(foreign)), 1)
    message = explained(run_zoo("train", "resnet20", *TRAIN[2:], "--initial-checkpoint", str(trained)), 1)
    assert "lenet5" in message and "resnet20" in message
    assert "none.safetensors" in explained(run_zoo(*TRAIN, "--initial-checkpoint", "./none.safetensors"), 1)
    assert "lenet5.none" in explained(run_zoo(*TRAIN, "--initial-checkpoint", "lenet5.none"), 1)
    assert "--initial-checkpoint" in explained(run_zoo(*TRAIN, "--freeze"), 2)
    explained(run_zoo(*TRAIN, "--layer-decay", "0"), 2)
    assert not tree(here)


def test_fine_tuning_can_be_repeated_from_its_card(run_zoo: Run) -> None:
    assert run_zoo(*TRAIN, "-p", "activation=relu", "--tag", "relu").code == 0
    first = run_zoo(*TRAIN, "--initial-checkpoint", "lenet5.relu", "--freeze", "--tag", "tuned", "--json")
    assert first.code == 0 and "head" in first.err
    result = json.loads(first.out)
    from zoo.files.card import read_card

    card = read_card(Path(result["weights"]))[0]
    assert card.params == {"activation": "relu"}
    words = card.command.split()[1:]
    again = run_zoo(*words, "--device", "cpu", "--force", "--json")
    assert json.loads(again.out)["digest"] == result["digest"]
    like = run_zoo("train", "--like", "lenet5.tuned", "--tag", "third", "--device", "cpu", "--json")
    assert json.loads(like.out)["digest"] == result["digest"]


@pytest.mark.parametrize("flag", ["--memory-limit", "--checkpoint-every"])
def test_nan_is_refused(run_zoo: Run, explained: Explained, flag: str) -> None:
    assert "nan" in explained(run_zoo("train", "lenet5", "--data", "digits", flag, "nan"), 2)
