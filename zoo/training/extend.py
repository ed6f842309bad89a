"""Go on with a finished run: train its weights for more epochs, as a run of its own."""

import json
from dataclasses import replace
from pathlib import Path

from zoo.contract.callback import SILENT, Callback
from zoo.contract.errors import TrainingError, UsageError, WeightsError
from zoo.contract.reading import MAX_JSON
from zoo.files.card import read_card
from zoo.files.regular import read_regular
from zoo.models.devices import pick_device
from zoo.registry.registry import Registry
from zoo.training.distributed.process_group import SINGLE_PROCESS, ProcessGroup
from zoo.training.job import Result, run_job
from zoo.training.prepare import RunPaths
from zoo.training.recipe.recipe import Recipe
from zoo.training.resume import ResumeOverrides
from zoo.training.run.destination import resume_command, weights_folder
from zoo.training.run.record import Record

RESULT, LAST = "result.json", "last.safetensors"  # see `zoo.training.run.folder.Run`


def extended_recipe(recipe: Recipe, run: Path, epochs: int) -> Recipe:
    """The recipe that starts from the weights after the last epoch of a run, with a schedule of its own."""
    return replace(recipe, epochs=epochs, initial_checkpoint=str(run / LAST))


def extend_job(
    registry: Registry,
    path: Path,
    record: Record,
    epochs: int,
    overrides: ResumeOverrides,
    callback: Callback = SILENT,
    group: ProcessGroup = SINGLE_PROCESS,
) -> Result:
    """Train the weights of the finished run in `path` for `epochs` more epochs, in a new run folder beside it.

    The learning-rate schedule starts anew, and so does the state of the optimizer. The stored weights replace those of
    the run.

    Raises:
        UsageError: `epochs` is out of range.
        TrainingError: the run is not finished.
        ZooError: as `run_job`.
    """
    if type(epochs) is not int or epochs < 1:
        raise UsageError(f"`--extend {epochs!r}` is not a number of epochs.", "Use 1 or more.")
    force, weights = overrides.force, Path(record.weights)
    if group.is_main:
        weights = weights_folder(path, record, overrides.weights)
        if not (path / RESULT).exists():
            command = resume_command(group.launcher, path, weights, force=overrides.force)
            raise TrainingError(f"The run {path} is not finished, so it cannot be extended.", f"Resume it: {command}")
        force = force or _is_result(weights / record.weights_file.name, path / RESULT)
    paths = RunPaths(
        data_root=overrides.data_root or Path(record.data_root),
        weights=weights,
        runs=path.parent,
        tag=record.tag,
        device=group.device or pick_device(overrides.device),
        workers=overrides.workers,
        memory_limit=overrides.memory_limit,
        cache=overrides.cache,
        download=overrides.download,
        force=force,
        checkpoint_every=overrides.checkpoint_every,
        tensorboard=overrides.tensorboard,
    )
    if group.is_main:
        callback.on_message(f"goes on with the weights of {path} for {epochs:,} more epochs")
    return run_job(registry, extended_recipe(record.recipe, path, epochs), paths, callback, group)


def _is_result(weights: Path, result: Path) -> bool:
    """Whether the weights file is the one that the run stored, which its extension may replace."""
    try:
        return bool(read_card(weights)[0].digest == json.loads(read_regular(result, MAX_JSON))["digest"])
    except (WeightsError, OSError, ValueError, KeyError, TypeError):
        return False
