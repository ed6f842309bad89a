"""Two runs at once must not write the same weights file: the later one is refused when it starts."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from zoo.contract.callback import Callback
from zoo.contract.errors import TrainingError
from zoo.data.datasets import LoadedDataset
from zoo.registry.registry import Registry
from zoo.training.job import run_job
from zoo.training.prepare import RunPaths
from zoo.training.recipe.recipe import Recipe
from zoo.training.resume import ResumeOverrides, find_run, resume_job
from zoo.training.run.folder import Run

Make = Callable[..., Recipe]
Put = Callable[..., RunPaths]
Hearing = Callable[..., Callback]


def stop(_: object) -> None:
    raise KeyboardInterrupt


def test_second_run_to_the_same_file_is_refused(small: Registry, recipe: Make, paths: Put, callback: Hearing) -> None:
    """Wherever its run folder is called; with --force, or with another name for the weights, it may begin."""
    first = paths("first")
    told = []

    def begin_others(_: object) -> None:
        if told:
            return
        told.append(True)
        with pytest.raises(TrainingError, match=r"runs/first.* weights/\S+"):
            run_job(small, recipe(), replace(first, run_name="second"), callback(on_dataset=pytest.fail))
        with pytest.raises(TrainingError, match="runs/first"):
            run_job(small, recipe(), replace(first, run_name="third", weights=Path("../here/weights").resolve()))
        assert [path.name for path in Path("runs").iterdir()] == ["first"]
        run_job(small, recipe(), replace(first, run_name="elsewhere", weights=Path("elsewhere")))
        run_job(small, recipe(), replace(first, run_name="tagged", tag="tagged"))
        run_job(small, recipe(), replace(first, run_name="forced", force=True)).path.unlink()

    run_job(small, recipe(), first, callback(on_epoch=begin_others))
    assert told and len(list(Path("weights").iterdir())) == 2


def test_one_that_began_while_the_data_was_read_is_found_too(
    small: Registry, recipe: Make, paths: Put, callback: Hearing
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_job(small, recipe(), paths("same"), callback(on_epoch=stop))
    held = []

    def meanwhile(_: LoadedDataset) -> None:
        held.append(Run.reopen(Path("runs/same")))

    with pytest.raises(TrainingError, match="runs/same"):
        run_job(small, recipe(), replace(paths("same"), run_name="late"), callback(on_dataset=meanwhile))
    assert [path.name for path in Path("runs").iterdir()] == ["same"]
    held[0].release()


def test_a_run_that_would_go_on_is_refused_as_well(
    small: Registry, recipe: Make, paths: Put, callback: Hearing
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_job(small, recipe(), paths("same"), callback(on_epoch=stop))
    refused = []

    def go_on(_: object) -> None:
        with pytest.raises(TrainingError, match="runs/other"):
            resume_job(small, *find_run("same"), ResumeOverrides())
        refused.append(True)

    run_job(small, recipe(epochs=1), replace(paths("same"), run_name="other"), callback(on_epoch=go_on)).path.unlink()
    assert refused
    resume_job(small, *find_run("same"), ResumeOverrides())
