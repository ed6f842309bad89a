"""From the names in a recipe to what a run works with: the data, the loss, a fresh model and its card."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from zoo.contract.errors import UsageError
from zoo.contract.params import check_params
from zoo.contract.specs import Architecture, Dataset, Loss
from zoo.data.datasets import LoadedDataset, open_dataset
from zoo.data.fitting import InputOverrides
from zoo.data.load_split import MEMORY_LIMIT, ReadOptions
from zoo.files.card import Card
from zoo.files.environment import versions
from zoo.files.folders import weights_name
from zoo.models.build import build_model
from zoo.models.devices import describe
from zoo.models.losses import LossFunction, build_loss
from zoo.registry.registry import Entry, Registry
from zoo.training.balance import class_weights, weights_param
from zoo.training.distributed.ddp import check_batch_size
from zoo.training.distributed.process_group import SINGLE_PROCESS, ProcessGroup
from zoo.training.initial_weights import Start, read_start, split_init
from zoo.training.optim.head import head_names
from zoo.training.plan import Plan, make_plan
from zoo.training.recipe.recipe import Recipe
from zoo.training.run.record import plugins_of

WORTH_TELLING = 0.02  # share of the images that an epoch leaves out


@dataclass(frozen=True, kw_only=True)
class RunPaths:
    """Where and how a job reads and writes. None of it changes the weights.

    Args:
        init: where the weights to begin from lie, where that is known; else the recipe's name for them is looked up.
        workers, memory_limit, cache: as in `zoo.data.load_split.ReadOptions`.
    """

    data_root: Path
    weights: Path = Path("weights")
    runs: Path = Path("runs")
    tag: str
    run_name: str | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    init: Path | None = None
    workers: int | None = None
    memory_limit: float = MEMORY_LIMIT
    cache: bool = True
    download: bool = False
    force: bool = False

    def weights_file(self, architecture: str) -> Path:
        """`WEIGHTS/ARCH.TAG.safetensors`."""
        return self.weights / weights_name(architecture, self.tag)


@dataclass(frozen=True, kw_only=True)
class Job:
    """A run that can begin: everything is found, loaded and known to fit.

    Args:
        plugins: as in a run's record.
        loss: what is reported.
        minimised: the same, or with a weight for each class.
    """

    recipe: Recipe
    places: RunPaths
    architecture: Entry[Architecture]
    plugins: Mapping[str, str]
    data: LoadedDataset
    loss: LossFunction
    minimised: LossFunction
    plan: Plan
    card: Card
    path: Path
    start: Start | None = None
    head: frozenset[str] = frozenset()

    def model(self) -> nn.Module:
        """The model with its fresh weights, on the CPU."""
        return build_model(self.architecture, **self._build(), seed=self.recipe.seed)

    def first_model(self) -> nn.Module:
        """The model with the weights that training begins from, on the CPU.

        Raises:
            WeightsError: those that the recipe names do not fit.
        """
        module = self.model()
        if self.start is not None:
            self.start.put_into(module, self.head, self.data.classes)
        return module

    def with_head(self) -> "Job":
        """The same job, which knows the head of its model where it needs to.

        Raises:
            PluginError: the head cannot be told apart.
        """
        if self.start is None and self.recipe.layer_decay == 1 and self.recipe.opt != "muon":
            return self
        return replace(self, head=head_names(self.architecture, self.model(), **self._build()))

    def _build(self) -> dict[str, Any]:
        return {
            "num_classes": len(self.data.classes),
            "in_channels": self.data.preprocess.channels,
            "params": self.recipe.params,
        }


def prepare(
    registry: Registry,
    recipe: Recipe,
    places: RunPaths,
    path: Path,
    on_data: Callable[[LoadedDataset], None],
    on_start: Callable[[str], None] = lambda said: None,
    on_reading: Callable[[str, int, int], None] = lambda split, done, n: None,
    group: ProcessGroup = SINGLE_PROCESS,
) -> Job:
    """Find and load everything that `recipe` names.

    Args:
        path: where the weights will be.
        on_start: told what is held out, and what is taken over from the weights that the recipe begins from, if any.
        on_reading: told how many of how many images of a split have been read.
        group: that train together.

    Raises:
        ZooError: something that is asked for is missing or unsound, or does not go together.
    """
    architecture = registry.find(Architecture, recipe.architecture)
    dataset = registry.find(Dataset, recipe.data)
    losses = registry.find(Loss, recipe.loss)
    recipe = replace(
        recipe,
        architecture=registry.recorded_name(Architecture, recipe.architecture),
        data=registry.recorded_name(Dataset, recipe.data),
        loss=registry.recorded_name(Loss, recipe.loss),
    )
    loss = build_loss(losses, recipe.loss_params, places.device)
    weighted = weights_param(losses.spec, recipe.loss_params) if recipe.balance == "weights" else None
    start = read_start(recipe.initial_checkpoint, architecture, places.init) if recipe.initial_checkpoint else None
    if start is not None and path.exists() and path.samefile(start.path):
        raise UsageError(
            f"The weights {path} would be replaced by those that begin from them, and a run that was interrupted could "
            "not go on.",
            "Say another --tag.",
        )
    data = open_dataset(
        dataset,
        architecture.spec,
        places.data_root,
        places.device,
        overrides=start.wanted(recipe)
        if start
        else InputOverrides(image_size=recipe.img_size, channels=recipe.channels),
        download=places.download,
        options=ReadOptions(
            workers=places.workers,
            memory_limit=places.memory_limit,
            cache=places.cache,
            skip_corrupt=recipe.skip_corrupt,
            on_progress=on_reading,
        ),
    )
    if start is not None:
        data = start.as_seen(data)
        recipe = replace(recipe, initial_checkpoint=f"{split_init(recipe.initial_checkpoint)[0]}@{start.digits}")
    on_data(data)
    plan = make_plan(recipe, data, dataset.spec.hflip)
    if recipe.hold_out:
        on_start(f"of the training images, {plan.train.n:,} are trained on and {plan.judged.n:,} are held out")
    if recipe.batch_size > plan.train.n:
        on_start(f"the {plan.train.n:,} training images are one batch: they are fewer than {recipe.batch_size:,}")
    elif (left := plan.train.n - plan.steps * plan.batch_size * plan.grad_accum_steps) > plan.train.n * WORTH_TELLING:
        on_start(f"each epoch leaves {left:,} of {plan.train.n:,} training images out, which fill no whole step")
    minimised = loss
    if weighted is not None:
        weights = class_weights(plan.train.labels, len(data.classes))
        minimised = build_loss(losses, {**recipe.loss_params, weighted: weights}, places.device)
    plugins = plugins_of(registry, recipe)
    took_part = {**_versions(plugins), **describe(places.device), **group.describe()}
    job = Job(
        recipe=recipe,
        places=places,
        architecture=architecture,
        plugins=plugins,
        data=data,
        loss=loss,
        minimised=minimised,
        plan=plan,
        card=_card(architecture, dataset, data, recipe, places.tag, took_part),
        path=path,
        start=start,
    ).with_head()
    check_batch_size(job.plan.batch_size, group)
    if start is not None:
        job.first_model()  # refused now rather than when a run folder is there
        on_start(start.said(recipe, job.head, data))
    return job


def _card(
    architecture: Entry[Architecture],
    dataset: Entry[Dataset],
    data: LoadedDataset,
    recipe: Recipe,
    tag: str,
    took_part: Mapping[str, str],
) -> Card:
    return Card(
        architecture=architecture.spec.name,
        plugin=architecture.plugin.distribution,
        entry_point=architecture.plugin.name,
        plugin_version=architecture.plugin.version,
        params=check_params(architecture.spec, recipe.params),
        classes=data.classes,
        preprocess=data.preprocess,
        dataset=dataset.spec.name,
        recipe=recipe.to_dict(),
        command=recipe.command(*(["--tag", tag] if tag != recipe.data else [])),
        versions=took_part,
        licence=dataset.spec.licence,
    )


def _versions(plugins: Mapping[str, str]) -> dict[str, str]:
    """What takes part, with the plugins that are distributed apart from zoo."""
    known = versions()
    apart = dict(plugin.rsplit(" ", 1) for plugin in plugins.values())
    return {**known, **{name: version for name, version in apart.items() if name not in known}}
