"""Errors for unknown names suggest the closest match."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
TRAIN = ("train", "lenet5", "--data", "digits")

BAD = [
    # arguments, exit code, what the next step or the cause names
    (("trian",), 2, "train"),
    (("exprot", "lenet5"), 2, "export"),
    (("train", "lenet", "--data", "digits"), 1, "lenet5"),
    (("train", "LeNet5", "--data", "digits"), 1, "lenet5"),
    (("train", "lenet5", "--data", "digit"), 1, "digits"),
    (("train", "lenet5", "--data", "Digits"), 1, "digits"),
    (("train", "lenet5", "--data", ""), 1, "zoo list datasets"),
    (("train", "lenet5", "--data", "imagenet22k"), 1, "zoo list datasets"),
    ((*TRAIN, "--loss", "cross_entopy"), 1, "cross_entropy"),
    ((*TRAIN, "--loss", "zzz"), 1, "zoo list losses"),
    ((*TRAIN, "-p", "activatoin=relu"), 1, "activation"),
    ((*TRAIN, "-p", "activation=rellu"), 2, "relu"),
    ((*TRAIN, "--loss", "focal", "--loss-param", "gama=1"), 1, "gamma"),
    ((*TRAIN, "--loss", "focal", "--loss-param", "gamma=much"), 2, "2.0"),
    ((*TRAIN, "--loss", "focal", "--loss-param", "gamma=-1"), 1, "gamma"),
    ((*TRAIN, "--device", "gpu"), 2, "cuda"),
    ((*TRAIN, "--device", ""), 2, "cpu"),
    ((*TRAIN, "--device", "meta"), 1, "cpu"),
    ((*TRAIN, "--device", "cuda:99"), 1, "cpu"),
    ((*TRAIN, "--opt", "adam"), 2, "adamw"),
    ((*TRAIN, "--epoch", "1"), 2, "--epochs"),
    (("export", "lenet5", "--format", "onx"), 1, "onnx"),
    (("export", "lenet5", "--format", "onnx,torchscipt"), 1, "torchscript"),
    (("export", "lenet5", "--format", " , "), 2, "--format"),
    (("export", "resnet19"), 1, "resnet18"),
    (("export", "lenet5.nowhere"), 1, "lenet5.tiny"),
    (("export", "nowhere.nowhere"), 1, "zoo weights list"),
    (("summary", "restnet18"), 1, "resnet18"),
    (("summary", "lenet5", "-p", "activaton=relu"), 1, "activation"),
    (("evaluate", "lenet5.tinny"), 1, "lenet5.tiny"),
    (("predict", "lenet5.tinny", "x.png"), 1, "lenet5.tiny"),
    (("weights", "show", "lenet5.tinny"), 1, "lenet5.tiny"),
    (("weights", "verify", "lenet5.tinny"), 1, "lenet5.tiny"),
    (("weights", "show", "nowhere/a.safetensors"), 1, "zoo weights list"),
    (("weights", "lst"), 2, "list"),
    (("show", "lenett5"), 1, "lenet5"),
    (("show", "crossentropy"), 1, "cross_entropy"),
    (("show", ""), 1, "zoo list"),
    (("list", "architecture"), 2, "architectures"),
    (("verify", "nowhere"), 1, "nowhere"),
    (("--nope",), 2, "zoo --help"),
]


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    BAD,
    ids=lambda value: " ".join(value)[-30:] if isinstance(value, tuple) else "",
)
def test_a_bad_name(
    run_zoo: Run,
    explained: Callable[..., str],
    here: Path,
    trained: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
    named: str,
) -> None:
    monkeypatch.setenv("ZOO_WEIGHTS", str(trained.parent))
    assert named in explained(run_zoo(*arguments), code)
    assert not list(here.iterdir())


def test_the_arguments_that_are_missing_are_named(run_zoo: Run, explained: Callable[..., str]) -> None:
    assert "--data" in explained(run_zoo("train", "lenet5"), 2)
    assert "MODEL" in explained(run_zoo("export"), 2)
    assert "IMAGES" in explained(run_zoo("predict", "lenet5"), 2)


@pytest.mark.parametrize("arguments", [(), ("weights",)])
def test_no_command_at_all_shows_the_help_as_wrong_usage(run_zoo: Run, arguments: tuple[str, ...]) -> None:
    ran = run_zoo(*arguments)
    assert (ran.code, ran.out) == (2, "") and "Usage: zoo" in ran.err


def test_help_and_version_are_results(run_zoo: Run) -> None:
    assert "Usage: zoo" in run_zoo("--help").out and run_zoo("--version").out.startswith("zoo, version ")
    ran = run_zoo("train", "-h")
    assert (ran.code, ran.err) == (0, "") and "--epochs" in ran.out
