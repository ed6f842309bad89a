"""Training is flat: from `run_job` to `optimizer.step` a reader follows three calls, from the command five."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch

import zoo
from zoo.cli.main import run
from zoo.registry.registry import Registry
from zoo.training.job import run_job
from zoo.training.prepare import RunPaths
from zoo.training.recipe.recipe import Recipe
from zoo.training.resume import ResumeOverrides, find_run, resume_job

PACKAGE = str(Path(zoo.__file__).parent)


class Stop(BaseException):
    """Ends training at its first optimizer step."""


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The functions of zoo on the stack at the first `optimizer.step`, innermost first."""
    names: list[str] = []

    def step(self: Any, *_: Any) -> None:
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            if frame.f_code.co_filename.startswith(PACKAGE):
                names.append(frame.f_code.co_qualname)
            frame = frame.f_back
        raise Stop

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    return names


def test_run_job(
    small: Registry, recipe: Callable[..., Recipe], paths: Callable[..., RunPaths], stack: list[str]
) -> None:
    with pytest.raises(Stop):
        run_job(small, recipe(), paths("flat"))
    assert stack == ["Trainer.step", "Trainer.train", "run_job"]


def test_resume_job(
    small: Registry,
    recipe: Callable[..., Recipe],
    paths: Callable[..., RunPaths],
    stack: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("zoo.training.trainer.Trainer.train", lambda self: (_ for _ in ()).throw(Stop))
        patched.setattr("zoo.training.run.folder.Run.discard", lambda self: None)
        with pytest.raises(Stop):
            run_job(small, recipe(), paths("flat"))
    with pytest.raises(Stop):
        resume_job(small, *find_run("flat"), ResumeOverrides())
    assert stack == ["Trainer.step", "Trainer.train", "resume_job"]


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stack: list[str]) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Stop):
        run(["train", "lenet5", "--data", "digits", "--device", "cpu"])
    assert stack[:5] == ["Trainer.step", "Trainer.train", "run_job", "train", "command"]
