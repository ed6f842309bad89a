"""`zoo train`: from an architecture and a data set to a stored weights file."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.cli.class_counts import class_counts
from zoo.cli.grouped_options import GroupedCommand
from zoo.cli.options import (
    Number,
    cache_option,
    data_root_option,
    device_option,
    download_option,
    force_option,
    json_option,
    memory_limit_option,
    workers_option,
)
from zoo.cli.output import plain, print_json
from zoo.cli.progress import Progress, duration, progress
from zoo.cli.recipe_options import recipe_options, recipe_sections
from zoo.contract.callback import Callback

if TYPE_CHECKING:
    from zoo.cli.main import Lazy
    from zoo.data.datasets import LoadedDataset
    from zoo.training.distributed.process_group import ProcessGroup
    from zoo.training.job import Result
    from zoo.training.prepare import RunPaths
    from zoo.training.recipe.recipe import Recipe
    from zoo.training.trainer import Epoch, Step

FOLDER = click.Path(path_type=Path, file_okay=False)
READING = ("data_root", "download", "workers", "memory_limit", "cache")
ANEW = (*READING, "device", "weights", "force", "checkpoint_every", "tensorboard")  # may go with --resume
RECIPE = recipe_sections()
SECTIONS = {
    "Recipe and resuming": ("recipe", "like", "resume"),
    **RECIPE,
    "Data": (*RECIPE["Data"], "data_root", "download", "workers", "memory_limit", "cache"),
    "Execution": ("device", *RECIPE["Execution"]),
    "Output": ("tag", "weights", "runs", "run_name", "tensorboard", "checkpoint_every", "force", "as_json"),
}
UNASKED = ("resume", "as_json")  # no part of a recipe or of its places


@click.command("train", cls=GroupedCommand, sections=SECTIONS, short_help="Train an architecture")
@click.argument("architecture", required=False)
@recipe_options
@click.option("--recipe", type=click.Path(path_type=Path, dir_okay=False), help="TOML file of the same; flags win.")
@click.option("--like", metavar="WEIGHTS", help="Train again as the card of these weights says; flags win.")
@click.option("--resume", metavar="RUN", help="Go on with the run in this folder.")
@data_root_option
@download_option
@device_option
@workers_option
@memory_limit_option
@cache_option
@click.option("--tag", help="The weights file is ARCH.TAG.safetensors.  [default: the data set's name]")
@click.option("--output", "-o", "weights", type=FOLDER, help="Folder for the weights file.  [default: weights]")
@click.option("--runs", type=FOLDER, help="Folder for run folders.  [default: runs]")
@click.option("--name", "run_name", help="Name of the run folder.  [default: ARCH.TAG, numbered where it is taken]")
@click.option("--tensorboard", is_flag=True, help="Write events for TensorBoard into the run folder.")
@click.option(
    "--checkpoint-every",
    type=Number(0),
    default=60.0,
    show_default=True,
    help="Seconds between checkpoints within an epoch.",
)
@force_option
@json_option
@click.pass_obj
def command(lazy: "Lazy", /, as_json: bool, **options: Any) -> None:
    """Train ARCHITECTURE on a data set and store its weights with their card.

    The result is WEIGHTS/ARCH.TAG.safetensors and a run folder with the recipe, the history and a report. A run that
    was interrupted or killed goes on from its last checkpoint: zoo train --resume runs/NAME.
    """
    from zoo.training.distributed.rendezvous import init_process_group

    with init_process_group(options["device"]) as group, progress(group.is_main) as show:
        if options["resume"] is not None:
            result = _resume(lazy, options, show, group)
        else:
            result = _train(lazy, options, show, group)
        if result.stored != result.epochs:
            show.line(
                f"after {result.epochs} epochs, the weights of epoch {result.stored} are stored: no other did better"
            )
    if group.is_main:
        _tell_result(result, as_json)


def _train(lazy: "Lazy", options: dict[str, Any], show: Progress, group: "ProcessGroup") -> "Result":
    from dataclasses import replace

    from zoo.training.job import run_job

    like = options["like"]
    recipe, places = _asked(lazy, options)
    if group.device is not None:
        places = replace(places, device=group.device)
    if like is not None:
        _tell_differences(show, like, places, group)
    return run_job(lazy.registry, recipe, places, TrainProgress(show, recipe, str(places.device), group), group)


def _asked(lazy: "Lazy", options: dict[str, Any]) -> "tuple[Recipe, RunPaths]":
    from zoo.cli.recipe_cli import recipe_from_options
    from zoo.contract.errors import UsageError
    from zoo.contract.specs import NAME, Dataset
    from zoo.files.folders import data_root
    from zoo.models.devices import pick_device
    from zoo.training.prepare import RunPaths

    options = {name: value for name, value in options.items() if name not in UNASKED}
    tag, name = options.pop("tag"), options.pop("run_name")
    if tag is not None and not NAME.fullmatch(tag):
        raise UsageError(f"The tag {tag!r} is no name.", "Use lower-case letters, digits and underscores.")
    if name is not None and (not name or Path(name).name != name or name == ".."):
        raise UsageError(f"The run name {name!r} is no plain name.", "Say --runs for another folder.")
    place = {key: options.pop(key) for key in (*ANEW, "runs")}
    recipe = recipe_from_options(lazy.registry, options)
    places = RunPaths(
        data_root=data_root(place.pop("data_root")),
        tag=lazy.registry.find(Dataset, recipe.data).spec.name if tag is None else tag,
        run_name=name,
        device=pick_device(place.pop("device")),
        weights=place.pop("weights") or Path("weights"),
        runs=place.pop("runs") or Path("runs"),
        **place,
    )
    return recipe, places


def _resume(lazy: "Lazy", options: dict[str, Any], show: Progress, group: "ProcessGroup") -> "Result":
    from zoo.contract.errors import UsageError
    from zoo.files.environment import differences, versions
    from zoo.models.devices import describe, pick_device
    from zoo.training.resume import ResumeOverrides, find_run, resume_job
    from zoo.training.run.record import parse_record

    run = options.pop("resume")
    anew = {name: options.pop(name) for name in ANEW}
    said = [name for name, value in options.items() if value not in (None, ())]
    if said:
        words = {"architecture": "ARCHITECTURE", "run_name": "--name"}
        words |= {"params": "--param", "loss_params": "--loss-param"}
        flag = words.get(said[0], f"--{said[0].replace('_', '-')}")
        raise UsageError(
            f"A run that is resumed goes on as it was begun, so {flag} cannot be said.",
            f"Leave it out, or begin another run, without --resume {run}.",
        )
    path = Path(run)
    if group.is_main:
        path, record = find_run(run)
        group.broadcast_bytes(record.to_json())
    else:
        record = parse_record(group.broadcast_bytes(b""), path)
    here = {**versions(), **describe(pick_device("cpu"))}
    changed = differences({name: record.environment[name] for name in here if name in record.environment}, here)
    changed = [line for line in changed if not line.startswith("device ")]
    if changed:
        show.line(f"warning: the weights may differ from those of a run that was not interrupted: {'; '.join(changed)}")
    callback = TrainProgress(show, record.recipe, record.device, group)
    return resume_job(lazy.registry, path, record, ResumeOverrides(**anew), callback, group)


class TrainProgress(Callback):
    """Shows a training run on the terminal."""

    def __init__(self, show: Progress, recipe: "Recipe", device: str, group: "ProcessGroup") -> None:
        self._show, self._recipe, self._launcher = show, recipe, group.launcher
        ranks = f"{group.world_size} ranks, each {device.partition(':')[0]}"
        self._device = device if group.world_size == 1 else ranks

    def on_message(self, text: str, *, warning: bool = False) -> None:
        self._show.line(f"warning: {text}" if warning else text)

    def on_progress(self, stage: str, done: int, total: int, detail: str = "") -> None:
        self._show.on_progress(stage, done, total, detail)

    def on_dataset(self, dataset: "LoadedDataset") -> None:
        from zoo.data.batches import label_counts

        shape = "×".join(map(str, dataset.preprocess.input_shape))
        self._show.line(
            f"{self._recipe.architecture} on {dataset.name}: {dataset.train.n:,} training and {dataset.test.n:,} test "
            f"images, {len(dataset.classes)} classes, {shape}, on {self._device}"
        )
        counts = (label_counts(split, len(dataset.classes)) for split in (dataset.train, dataset.test))
        for line in (*class_counts(dataset.classes, *counts), *dataset.notes):
            self._show.line(plain(line))

    def on_step(self, step: "Step") -> None:
        detail = f"{step.images_per_second:,.0f} images/s, {duration(step.seconds_left)} to go in all"
        self._show.on_progress(f"epoch {step.epoch}/{self._recipe.epochs}", step.done, step.total, detail)

    def on_epoch(self, epoch: "Epoch") -> None:
        split = "test" if epoch.split == "test" else "hold-out"
        last = epoch.number == self._recipe.epochs
        self._show.line(
            f"epoch {epoch.number}/{self._recipe.epochs}  train loss {epoch.train_loss:.4f}  {split} loss "
            f"{epoch.evaluation.loss:.4f}  top-1 {100 * epoch.evaluation.top1:.2f} %  "
            f"{epoch.images_per_second:,.0f} images/s" + ("" if last else f"  {duration(epoch.seconds_left)} to go")
        )

    def on_interrupt(self, run: Path) -> None:
        self._show.line(f"interrupted; resume with: {self._launcher} train --resume {run}")


def _tell_differences(show: Progress, like: str, places: "RunPaths", group: "ProcessGroup") -> None:
    from zoo.files.card import read_card
    from zoo.files.environment import PACKAGES, differences, versions
    from zoo.files.folders import find_weights
    from zoo.models.devices import describe

    card, _ = read_card(find_weights(like))
    packages = (*PACKAGES, *(name for name in card.versions if name not in PACKAGES))
    here = {**versions(packages), **describe(places.device), "ranks": str(group.world_size)}
    changed = differences({"ranks": "1", **card.versions}, here)
    if "version" not in card.recipe:
        changed.append("an earlier zoo then, which drew its random numbers in another way")
    if changed:
        show.line(f"warning: the weights may differ from {like}: {'; '.join(changed)}")


def _tell_result(result: "Result", as_json: bool) -> None:
    measured = result.evaluation
    if as_json:
        print_json(
            {
                "weights": str(result.path),
                "run": str(result.run),
                "top1": measured.top1,
                "top5": measured.top5,
                "loss": measured.loss,
                "dataset": result.card.dataset,
                "split": "test",
                "n": measured.n,
                "digest": result.card.digest,
            }
        )
        return
    click.echo(f"{result.path}: top-1 {100 * measured.top1:.2f} % on {result.card.dataset} test, n={measured.n:,}")
