"""A whole training job: from names to a stored weights file with its card."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from zoo.atomic import refuse_existing, refuse_unwritable
from zoo.card import Card
from zoo.data import Data, open_data
from zoo.environment import versions
from zoo.evaluate import Evaluation, evaluate
from zoo.fitting import Wanted
from zoo.folders import SUFFIX
from zoo.losses import build_loss
from zoo.models import build_model
from zoo.params import check_params
from zoo.registry import Entry, Registry
from zoo.report.events import open_events, require_tensorboard
from zoo.report.write import write_report
from zoo.specs import Architecture, Dataset, Loss
from zoo.training.loop import Epoch, Step, train
from zoo.training.recipe import Recipe
from zoo.training.run import Run
from zoo.weights import load_into, load_weights, save_weights


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where a job reads and writes. None of it changes the weights."""

    data_root: Path
    weights: Path = Path("weights")
    runs: Path = Path("runs")
    tag: str
    run_name: str | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    workers: int = 0
    download: bool = False
    force: bool = False
    tensorboard: bool = False

    def weights_file(self, architecture: str) -> Path:
        """`WEIGHTS/ARCH.TAG.safetensors`."""
        return self.weights / f"{architecture}.{self.tag}{SUFFIX}"


@dataclass(frozen=True)
class Result:
    """What a job came to: the weights file, its card, the run folder, and the evaluation of the file as stored."""

    path: Path
    card: Card
    run: Path
    evaluation: Evaluation


def run_job(
    registry: Registry,
    recipe: Recipe,
    places: Places,
    *,
    on_data: Callable[[Data], None] = lambda data: None,
    on_step: Callable[[Step], None] = lambda step: None,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
) -> Result:
    """Train what `recipe` says and store it.

    Raises:
        ZooError: anything that is asked for is missing or unsound, or training cannot go on. Nothing is left
            behind then, but for the run folder where an epoch was finished, and the weights where only the report
            failed.
    """
    if places.tensorboard:
        require_tensorboard()
    architecture = registry.find(Architecture, recipe.architecture)
    dataset = registry.find(Dataset, recipe.data)
    loss = build_loss(registry.find(Loss, recipe.loss), recipe.loss_params)
    path = places.weights_file(architecture.spec.name)
    refuse_existing(path, places.force)
    refuse_unwritable(path)
    data = open_data(
        dataset,
        architecture.spec,
        places.data_root,
        places.device,
        wanted=Wanted(image_size=recipe.image_size, channels=recipe.channels),
        download=places.download,
        workers=places.workers,
    )
    on_data(data)
    build: dict[str, Any] = {"num_classes": len(data.classes), "in_channels": data.preprocess.channels}
    module = build_model(architecture, **build, params=recipe.params, seed=recipe.seed)
    card = _card(architecture, dataset, data, recipe, places)
    with (
        _run(places, recipe, architecture.spec.name) as run,
        open_events(run.path, places.tensorboard) as events,
    ):
        for epoch in train(module, data, loss, recipe, hflip=dataset.spec.hflip, device=places.device, on_step=on_step):
            measured = replace(card, metrics=epoch.evaluation.metrics(data.name, "test"))
            save_weights(run.weights, module.state_dict(), measured, force=True)
            run.record(epoch)
            events.epoch(epoch.number, epoch.row())
            on_epoch(epoch)
        stored = load_weights(run.weights)
        module = build_model(architecture, **build, params=recipe.params)
        load_into(module, stored, run.weights)
        final = evaluate(
            module.to(places.device),
            data.test,
            data.preprocess,
            loss,
            num_classes=len(data.classes),
            device=places.device,
        )
        card = replace(card, metrics=final.metrics(data.name, "test"))
        card = save_weights(path, stored.tensors, card, force=places.force)  # before what may fail and is only shown
        write_report(run.path, card, final, module, data.test)
        events.picture(run.path / "confusion.png", recipe.epochs)
    return Result(path, card, run.path, final)


@contextmanager
def _run(places: Places, recipe: Recipe, architecture: str) -> Iterator[Run]:
    name = places.run_name or f"{architecture}.{places.tag}"
    run = Run.start(places.runs, name, recipe, numbered=places.run_name is None)
    try:
        yield run
    finally:
        run.discard_if_empty()


def _card(
    architecture: Entry[Architecture], dataset: Entry[Dataset], data: Data, recipe: Recipe, places: Places
) -> Card:
    tag = ["--tag", places.tag] if places.tag != recipe.data else []
    return Card(
        architecture=architecture.spec.name,
        plugin=architecture.plugin.distribution,
        plugin_version=architecture.plugin.version,
        params=check_params(architecture.spec, recipe.params),
        classes=data.classes,
        preprocess=data.preprocess,
        dataset=dataset.spec.name,
        recipe=recipe.to_dict(),
        command=recipe.command(*tag),
        versions={**versions(), "device": places.device.type},
        licence=dataset.spec.licence,
    )
