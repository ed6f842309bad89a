"""`zoo train`: from an architecture and a data set to a stored weights file."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from zoo.api.terminal import LOADING, announce
from zoo.cli.data_options import (
    Number,
    cache_option,
    data_root_option,
    download_option,
    memory_limit_option,
    workers_option,
)
from zoo.cli.grouped_options import GroupedCommand
from zoo.cli.options import device_option, force_option, json_option
from zoo.cli.output import print_fields, print_json, print_line
from zoo.cli.progress import progress
from zoo.cli.training.recipe_options import recipe_options, recipe_sections
from zoo.training.checkpoint import CHECKPOINT_EVERY

if TYPE_CHECKING:
    from zoo.api.training import TrainResult
    from zoo.registry.registry import Registry
    from zoo.training.distributed.process_group import ProcessGroup
    from zoo.training.recipe.recipe import Recipe

FOLDER = click.Path(path_type=Path, file_okay=False)
READ = ("data_root", "download", "workers", "memory_limit", "cache")
WRITE = ("output", "force", "tensorboard", "checkpoint_every")
NAMED = ("tag", "runs", "name")  # kept when a run is resumed
WITH_RESUME = {"resume", "extend", "device", "as_json", *READ, *WRITE}

RECIPE = recipe_sections()
SECTIONS = {
    "Recipe and resuming": ("recipe", "like", "resume", "extend"),
    **RECIPE,
    "Data": (*RECIPE["Data"], *READ),
    "Execution": ("device", *RECIPE["Execution"]),
    "Output": (*NAMED, *WRITE, "as_json"),
}


@click.command("train", cls=GroupedCommand, sections=SECTIONS)
@click.argument("architecture", required=False)
@recipe_options
@click.option(
    "--recipe", type=click.Path(path_type=Path, dir_okay=False), help="Read the recipe from a TOML file; flags win."
)
@click.option("--like", metavar="WEIGHTS", help="Repeat the training that these weights record; flags win.")
@click.option("--resume", metavar="RUN", help="Resume the run in this folder from its last checkpoint.")
@click.option(
    "--extend",
    type=click.IntRange(1),
    metavar="N",
    help="Go on with the finished run that --resume names for N more epochs, in a new run folder.",
)
@data_root_option
@download_option
@device_option
@workers_option
@memory_limit_option
@cache_option
@click.option("--tag", help="Store the weights as ARCH.TAG.safetensors.  [default: name of the data set]")
@click.option("--output", "-o", type=FOLDER, help="Folder for the weights file.  [default: weights]")
@click.option("--runs", type=FOLDER, help="Folder for run folders.  [default: runs]")
@click.option("--name", help="Name of the run folder.  [default: ARCH.TAG, with a number if that exists]")
@click.option("--tensorboard", is_flag=True, help="Write TensorBoard events into the run folder.")
@click.option(
    "--checkpoint-every",
    type=Number(0),
    metavar="FLOAT",
    default=CHECKPOINT_EVERY,
    help=f"Seconds between checkpoints within an epoch.  [default: {CHECKPOINT_EVERY:g}]",
)
@force_option
@json_option
@click.pass_context
def command(context: click.Context, /, as_json: bool, **options: Any) -> None:
    """Train ARCHITECTURE on a data set and store its weights with their card.

    Writes WEIGHTS/ARCH.TAG.safetensors and a run folder with the recipe, the history and a report. Resume a run that
    was interrupted or killed with `zoo train --resume runs/NAME`.
    """
    announce(LOADING)
    from zoo.api.training import train
    from zoo.cli.training.recipe_cli import recipe_from_options
    from zoo.cli.training.train_output import TrainOutput
    from zoo.contract.errors import UsageError
    from zoo.models.devices import pick_device
    from zoo.training.distributed.rendezvous import from_environment
    from zoo.training.resume import find_run

    registry, group = context.obj.registry, from_environment()
    arguments = {name: options.pop(name) for name in ("resume", "extend", "device", *READ, *WRITE, *NAMED)}
    if arguments["extend"] is not None and arguments["resume"] is None:
        raise UsageError("`--extend` requires `--resume`.", "Name the finished run with --resume RUN.")
    with progress(group.is_main) as show:
        recipe: Recipe | None = None
        if arguments["resume"] is None:
            like = options["like"]
            recipe = recipe_from_options(registry, options, download=arguments["download"])
            device = str(pick_device(arguments["device"]))
            if changes := _changes_since(registry, like, device, group):
                show.on_message(f"the weights may differ from {like}: {'; '.join(changes)}", warning=True)
            output = TrainOutput(show, recipe, _devices(device, group))
        else:
            _refuse_with_resume(context)
            output = None
            if group.is_main:
                _, record = find_run(arguments["resume"])
                shown, device = record.recipe, record.device
                if arguments["extend"] is not None:
                    shown = replace(shown, epochs=arguments["extend"])
                    device = str(pick_device(arguments["device"]))
                output = TrainOutput(show, shown, _devices(device, group))
        result = train(recipe, **arguments, callback=output, registry=registry)
    if group.is_main:
        _print_result(result, as_json)


def _refuse_with_resume(context: click.Context) -> None:
    from zoo.contract.errors import UsageError

    for parameter in context.command.params:
        name = str(parameter.name)
        if name not in WITH_RESUME and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            flag = max(parameter.opts, key=len) if isinstance(parameter, click.Option) else name.upper()
            raise UsageError(
                f"`{flag}` cannot be used with `--resume`: a resumed run keeps its recipe, tag and folder.",
                f"Leave out {flag}, or start another run without --resume.",
            )


def _devices(device: str, group: "ProcessGroup") -> str:
    if group.world_size == 1:
        return device
    return f"{group.world_size} ranks, each {device.partition(':')[0]}"


def _changes_since(registry: "Registry", like: str | None, device: str, group: "ProcessGroup") -> list[str]:
    """How the versions and the device here differ from those that trained the weights `like`, a line each."""
    if like is None:
        return []
    from zoo.files.card import read_card
    from zoo.files.environment import PACKAGES, differences, versions
    from zoo.models.devices import describe, pick_device
    from zoo.models.stored.files import stored_file

    card, _ = read_card(stored_file(registry, like))
    packages = (*PACKAGES, *(name for name in card.versions if name not in PACKAGES))
    here = {**versions(packages), **describe(pick_device(device)), "ranks": str(group.world_size)}
    changes = differences({"ranks": "1", **card.versions}, here)
    return changes if "version" in card.recipe else [*changes, "that zoo drew its random numbers differently"]


def _print_result(result: "TrainResult", as_json: bool) -> None:
    from zoo.files.card import read_card
    from zoo.training.recipe.table import recipe_rows

    card, _ = read_card(result.weights)
    evaluation = result.evaluation
    if as_json:
        print_json(
            {
                "weights": str(result.weights),
                "run": str(result.path),
                "report": str(result.report),
                "epochs": result.epochs,
                "stored_epoch": result.stored_epoch,
                "top1": evaluation.top1,
                "top5": evaluation.top5,
                "loss": evaluation.loss,
                "dataset": card.dataset,
                "split": "test",
                "n": evaluation.n,
                "digest": card.digest,
            }
        )
        return
    best = ", the best on the hold-out" if "hold_out" in recipe_rows(card.recipe) else ""
    print_line(f"{result.weights}: top-1 {100 * evaluation.top1:.2f} % on {card.dataset} test, n={evaluation.n:,}")
    print_fields(
        {
            "run folder": result.path,
            "report": result.report,
            "stored epoch": f"{result.stored_epoch} of {result.epochs}{best}",
            "next": f"zoo export {_name_of(result.weights, card.architecture)}",
        }
    )


def _name_of(weights: Path, architecture: str) -> str:
    """How to type a weights file: as `ARCH.TAG` if that finds it, else as its path."""
    import shlex

    from zoo.contract.errors import ZooError
    from zoo.files.folders import find_weights, name_of_weights

    name = name_of_weights(weights, architecture)
    try:
        is_listed = find_weights(name).absolute() == weights.absolute()
    except ZooError:
        is_listed = False
    return shlex.quote(name if is_listed else str(weights))
