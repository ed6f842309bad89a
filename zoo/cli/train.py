"""`zoo train`: from an architecture and a data set to a stored weights file."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.cli.options import (
    channels_option,
    data_root_option,
    device_option,
    download_option,
    force_option,
    image_size_option,
    json_option,
    param_option,
    workers_option,
)
from zoo.cli.output import print_json
from zoo.cli.progress import Progress, progress

if TYPE_CHECKING:
    from zoo.cli.main import Lazy
    from zoo.data import Data
    from zoo.training.job import Places, Result
    from zoo.training.loop import Epoch, Step
    from zoo.training.recipe import Recipe


@click.command("train", short_help="Train an architecture")
@click.argument("architecture")
@click.option("--data", required=True, help="Name of a data set; see `zoo list datasets`.")
@data_root_option
@download_option
@click.option("--loss", default="cross_entropy", show_default=True, help="See `zoo list losses`.")
@click.option("--loss-param", "loss_params", multiple=True, metavar="NAME=VALUE", help="Set a parameter of the loss.")
@param_option
@click.option("--epochs", type=click.IntRange(1), default=10, show_default=True)
@click.option("--batch-size", "-b", type=click.IntRange(1), default=128, show_default=True)
@click.option("--opt", "optimizer", type=click.Choice(["adamw", "sgd"]), default="adamw", show_default=True)
@click.option("--lr", type=float, help="Highest learning rate.  [default: 0.001 for adamw, 0.05 for sgd]")
@click.option("--weight-decay", type=float, help="[default: 0.05 for adamw, 0.0005 for sgd]")
@click.option("--sched", "schedule", type=click.Choice(["cosine", "constant"]), default="cosine", show_default=True)
@click.option("--warmup-epochs", type=float, default=1.0, show_default=True, help="Linear rise of the learning rate.")
@click.option("--crop", type=click.IntRange(0), help="Pixels of random shift.  [default: an eighth of the side]")
@click.option("--hflip/--no-hflip", default=None, help="Random mirror images.  [default: what the data set says]")
@image_size_option
@channels_option
@click.option("--amp/--no-amp", default=True, help="bf16 autocast on CUDA.  [default: amp]")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True)
@device_option
@workers_option
@click.option("--tag", help="The weights file is ARCH.TAG.safetensors.  [default: the data set's name]")
@click.option(
    "--output",
    "-o",
    "weights",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("weights"),
    show_default=True,
    help="Folder for the weights file.",
)
@click.option(
    "--runs",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("runs"),
    show_default=True,
    help="Folder for run folders.",
)
@click.option("--name", "run_name", help="Name of the run folder.  [default: ARCH.TAG, numbered where it is taken]")
@click.option("--tensorboard", is_flag=True, help="Write events for TensorBoard into the run folder.")
@force_option
@json_option
@click.pass_obj
def command(lazy: "Lazy", /, as_json: bool, **options: Any) -> None:
    """Train ARCHITECTURE on a data set and store its weights with their card.

    The result is WEIGHTS/ARCH.TAG.safetensors and a run folder with the recipe, the history and a report.
    """
    from zoo.training.job import run_job

    recipe, places = _asked(lazy, options)
    with progress() as show:
        result = run_job(
            lazy.registry,
            recipe,
            places,
            on_data=lambda data: _tell_data(show, recipe, places, data),
            on_step=lambda step: _tell_step(show, recipe, step),
            on_epoch=lambda epoch: _tell_epoch(show, recipe, epoch),
        )
    _tell_result(result, as_json)


def _asked(lazy: "Lazy", options: dict[str, Any]) -> "tuple[Recipe, Places]":
    from zoo.devices import pick_device
    from zoo.errors import UsageError
    from zoo.folders import data_root
    from zoo.params import parse_params
    from zoo.specs import NAME, Architecture, Dataset, Loss
    from zoo.training.job import Places
    from zoo.training.recipe import Recipe

    architecture = lazy.registry.find(Architecture, options["architecture"]).spec
    dataset = lazy.registry.find(Dataset, options["data"]).spec
    tag = options.pop("tag")
    tag = dataset.name if tag is None else tag
    if not NAME.fullmatch(tag):
        raise UsageError(f"The tag {tag!r} is no name.", "Use lower-case letters, digits and underscores.")
    name = options.pop("run_name")
    if name is not None and (not name or Path(name).name != name or name == ".."):
        raise UsageError(f"The run name {name!r} is no plain name.", "Say --runs for another folder.")
    loss = lazy.registry.find(Loss, options["loss"]).spec
    places = Places(
        data_root=data_root(options.pop("data_root")),
        tag=tag,
        run_name=name,
        device=pick_device(options.pop("device")),
        **{key: options.pop(key) for key in ("weights", "runs", "workers", "download", "force", "tensorboard")},
    )
    options["params"] = parse_params(architecture, options["params"])
    options["loss_params"] = parse_params(loss, options["loss_params"])
    return Recipe(**options), places


def _tell_data(show: Progress, recipe: "Recipe", places: "Places", data: "Data") -> None:
    shape = "×".join(map(str, data.preprocess.input_shape))
    show.line(
        f"{recipe.architecture} on {data.name}: {data.train.n:,} training and {data.test.n:,} test images, "
        f"{len(data.classes)} classes, {shape}, on {places.device}"
    )


def _tell_step(show: Progress, recipe: "Recipe", step: "Step") -> None:
    label = f"epoch {step.epoch}/{recipe.epochs}"
    show.update(label, step.done, step.total, f"{step.images_per_second:,.0f} images/s")


def _tell_epoch(show: Progress, recipe: "Recipe", epoch: "Epoch") -> None:
    show.line(
        f"epoch {epoch.number}/{recipe.epochs}  train loss {epoch.train_loss:.4f}  test loss "
        f"{epoch.evaluation.loss:.4f}  top-1 {100 * epoch.evaluation.top1:.2f} %  "
        f"{epoch.images_per_second:,.0f} images/s"
    )


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
