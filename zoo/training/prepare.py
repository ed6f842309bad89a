"""From the names in a recipe to what a run works with: the data, the loss, a fresh model and its card."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from zoo.contract.callback import SILENT, Callback
from zoo.contract.errors import UsageError
from zoo.contract.params import check_params
from zoo.contract.pretrained import Metric
from zoo.contract.specs import Architecture, Dataset, Loss
from zoo.data.datasets import LoadedDataset, open_dataset
from zoo.data.fitting import InputOverrides, chosen_size, params_for_size
from zoo.data.read_options import MEMORY_LIMIT, ReadOptions
from zoo.files.card import Card
from zoo.files.environment import versions
from zoo.files.folders import weights_name
from zoo.files.regular import is_regular
from zoo.models.build import build_model
from zoo.models.devices import describe
from zoo.models.losses import LossFunction, build_loss
from zoo.registry.pretrained import pretrained_path
from zoo.registry.registry import Entry, Registry
from zoo.training.balance import class_weights, weights_param
from zoo.training.checkpoint import CHECKPOINT_EVERY
from zoo.training.distributed.ddp import check_batch_size, check_same_on_all_ranks
from zoo.training.distributed.process_group import SINGLE_PROCESS, ProcessGroup
from zoo.training.initial_weights import InitialWeights, read_initial_weights, split_init
from zoo.training.optim.head import head_names
from zoo.training.optim.optimizers import OPTIMIZERS
from zoo.training.plan import MAX_BATCH_SIZE, MIN_BATCH_SIZE, Plan, default_batch_size, few_images, make_plan
from zoo.training.recipe.recipe import Recipe
from zoo.training.run.record import describe_dataset, plugins_of

REPORT_DROPPED = 0.02  # of the images; a last partial batch up to this fraction is dropped without a message
FEW_IMAGES = 5000  # up to which fine-tuning of pretrained weights is suggested
FEW_STEPS = 100  # of a whole run; fewer hardly train a model


@dataclass(frozen=True, kw_only=True)
class RunPaths:
    """Where and how a run reads and writes. Only `device` can change the resulting weights.

    Args:
        data_root: folder of the data sets.
        weights: folder of the resulting weights file, which is called `ARCH.TAG.safetensors`.
        runs: folder of run folders.
        tag: of the weights file.
        run_name: of the run folder; `None` for `ARCH.TAG`, numbered where that exists.
        initial_weights: the path of the initial weights; `None` to find them by their name in the recipe.
        workers, memory_limit, cache: as in `zoo.data.read_options.ReadOptions`.
        download: download the data set, and initial weights that a plugin provides, where they are missing.
        force: replace an existing weights file.
        checkpoint_every: seconds between checkpoints within an epoch.
        tensorboard: write TensorBoard events into the run folder.
    """

    data_root: Path
    weights: Path = Path("weights")
    runs: Path = Path("runs")
    tag: str
    run_name: str | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    initial_weights: Path | None = None
    workers: int | None = None
    memory_limit: float = MEMORY_LIMIT
    cache: bool = True
    download: bool = False
    force: bool = False
    checkpoint_every: float = CHECKPOINT_EVERY
    tensorboard: bool = False

    def weights_file(self, architecture: str) -> Path:
        """`WEIGHTS/ARCH.TAG.safetensors`."""
        return self.weights / weights_name(architecture, self.tag)


@dataclass(frozen=True, kw_only=True)
class Job:
    """A run that can start: everything is loaded and checked.

    Args:
        plugins: as in the run's record.
        loss: is reported.
        train_loss: is minimised; the same loss, or one with class weights.
        initial: the initial weights; `None` for fresh ones.
        head: names of the tensors of the model's head; empty where the recipe does not treat the head differently.
    """

    recipe: Recipe
    paths: RunPaths
    architecture: Entry[Architecture]
    plugins: Mapping[str, str]
    data: LoadedDataset
    loss: LossFunction
    train_loss: LossFunction
    plan: Plan
    card: Card
    initial: InitialWeights | None = None
    head: frozenset[str] = frozenset()

    @property
    def weights_file(self) -> Path:
        """Where the resulting weights are stored."""
        return self.paths.weights_file(self.architecture.spec.name)

    def model(self) -> nn.Module:
        """The model with its fresh weights, on the CPU."""
        return _built(self.architecture, self.recipe, self.data)

    def initial_model(self) -> nn.Module:
        """The model with its initial weights, on the CPU.

        Raises:
            WeightsError: the weights that the recipe starts from do not fit.
        """
        module = self.model()
        if self.initial is not None:
            scale = 1.0 if self.recipe.head_init_scale is None else self.recipe.head_init_scale
            self.initial.load_into(module, self.head, self.data.classes, scale)
        return module

    def with_head(self) -> "Job":
        """The same job, with the names of the head's tensors where the recipe needs them.

        Raises:
            PluginError: the head cannot be identified.
        """
        if self.initial is None and self.recipe.layer_decay == 1 and not OPTIMIZERS[self.recipe.opt].hidden_only:
            return self
        return replace(self, head=head_names(self.architecture, self.model(), **_build_args(self.recipe, self.data)))


def prepare(
    registry: Registry,
    recipe: Recipe,
    paths: RunPaths,
    callback: Callback = SILENT,
    group: ProcessGroup = SINGLE_PROCESS,
) -> Job:
    """Find and load everything that `recipe` names.

    Args:
        callback: receives the progress of reading, the data set, and messages about the plan.
        group: the ranks that train together; each prepares for itself.

    Raises:
        ZooError: something is missing or damaged, or does not fit together.
    """
    architecture = registry.find(Architecture, recipe.architecture)
    dataset = registry.find(Dataset, recipe.data)
    loss_entry = registry.find(Loss, recipe.loss)
    recipe = replace(
        recipe,
        architecture=registry.recorded_name(Architecture, recipe.architecture),
        data=registry.recorded_name(Dataset, recipe.data),
        loss=registry.recorded_name(Loss, recipe.loss),
    )
    loss = build_loss(loss_entry, recipe.loss_params, paths.device)
    class_weights_param = weights_param(loss_entry.spec, recipe.loss_params) if recipe.balance == "weights" else None
    initial = _initial_weights(registry, recipe, architecture, paths)
    recipe = replace(recipe, img_size=chosen_size(architecture.spec, recipe.img_size, recipe.params))
    if recipe.exif_orientation is None and dataset.spec.exif_orientation:
        recipe = replace(recipe, exif_orientation=True)
    overrides = InputOverrides(
        img_size=recipe.img_size, channels=recipe.channels, exif_orientation=bool(recipe.exif_orientation)
    )
    data = open_dataset(
        dataset,
        architecture.spec,
        paths.data_root,
        paths.device,
        overrides=overrides if initial is None else initial.input_overrides(recipe),
        download=paths.download,
        options=ReadOptions(
            workers=paths.workers,
            memory_limit=paths.memory_limit,
            cache=paths.cache,
            skip_corrupt=recipe.skip_corrupt,
            on_progress=lambda split, done, n: callback.on_progress(f"reading {split} images", done, n),
        ),
    )
    recipe = replace(recipe, params=params_for_size(architecture.spec, recipe.params, data.preprocess.size[0]))
    if initial is not None:
        data = initial.with_mean_and_std(data)
        recipe = replace(recipe, initial_checkpoint=f"{split_init(recipe.initial_checkpoint)[0]}@{initial.digits}")
    callback.on_dataset(data)
    plan = make_plan(
        recipe,
        data,
        dataset.spec.hflip,
        world_size=group.world_size,
        has_batch_norm=lambda: _has_batch_norm(_built(architecture, recipe, data)),
    )
    _report_plan(plan, recipe, callback)
    if initial is None and plan.train.n <= FEW_IMAGES:
        _suggest_pretrained(architecture, callback)
    recipe = replace(recipe, batch_size=recipe.batch_size or default_batch_size(plan.train.n))
    if recipe.freeze_bn is None:
        recipe = replace(recipe, freeze_bn=few_images(plan.train.n))
    train_loss = loss
    if class_weights_param is not None:
        weights = class_weights(plan.train.labels, len(data.classes))
        train_loss = build_loss(loss_entry, {**recipe.loss_params, class_weights_param: weights}, paths.device)
    plugins = plugins_of(registry, recipe)
    environment = {**_versions(plugins), **describe(paths.device), **group.describe()}
    job = Job(
        recipe=recipe,
        paths=paths,
        architecture=architecture,
        plugins=plugins,
        data=data,
        loss=loss,
        train_loss=train_loss,
        plan=plan,
        card=_card(architecture, dataset, data, recipe, paths.tag, environment),
        initial=initial,
    ).with_head()
    _refuse_unreadable_card(job.card)
    check_batch_size(plan.batch_size, group)
    if initial is not None:
        job.initial_model()  # weights that do not fit are refused before a run folder is made
        callback.on_message(initial.describe(recipe, job.head, data))
    return job


def prepare_on_all_ranks(
    registry: Registry, recipe: Recipe, paths: RunPaths, callback: Callback, group: ProcessGroup
) -> Job:
    """`prepare` on every rank. A download is done by one rank of each machine.

    Raises:
        ZooError: as `prepare`, or the recipe or data of a rank differs.
    """
    if not paths.download:
        job = prepare(registry, recipe, paths, callback, group)
    else:
        job = group.main_first(lambda: prepare(registry, recipe, paths, callback, group))
    if group.world_size > 1:
        check_same_on_all_ranks({"recipe": job.recipe.to_dict(), "data set": describe_dataset(job.data)}, group)
    return job


def _initial_weights(
    registry: Registry, recipe: Recipe, architecture: Entry[Architecture], paths: RunPaths
) -> InitialWeights | None:
    if not recipe.initial_checkpoint:
        return None
    initial = read_initial_weights(
        *(registry, recipe.initial_checkpoint, architecture, paths.initial_weights), download=paths.download
    )
    result = paths.weights_file(architecture.spec.name)
    if result.exists() and result.samefile(initial.path):
        raise UsageError(
            f"Training would replace its own initial weights, {result}, so that it could not be resumed.",
            "Use another --tag.",
        )
    return initial


def _built(architecture: Entry[Architecture], recipe: Recipe, data: LoadedDataset) -> nn.Module:
    """The architecture of a recipe with fresh weights, on the CPU."""
    return build_model(architecture, **_build_args(recipe, data), seed=recipe.seed)


def _build_args(recipe: Recipe, data: LoadedDataset) -> dict[str, Any]:
    return {
        "num_classes": len(data.classes),
        "in_channels": data.preprocess.channels,
        "params": recipe.params,
    }


def _has_batch_norm(module: nn.Module) -> bool:
    return any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in module.modules())


def _report_plan(plan: Plan, recipe: Recipe, callback: Callback) -> None:
    n = plan.train.n
    dropped = n - plan.images
    if recipe.hold_out:
        callback.on_message(f"trains on {n:,} images and holds {plan.eval_split.n:,} out for validation")
    if recipe.batch_size is None and plan.batch_size < MAX_BATCH_SIZE:
        callback.on_message(f"the batch size is {plan.batch_size}, chosen for {n:,} training images; -b sets another")
    if recipe.batch_size is not None and recipe.batch_size > n:
        callback.on_message(f"the batch size is {n:,}: there are fewer training images than {recipe.batch_size:,}")
    elif dropped > n * REPORT_DROPPED:
        callback.on_message(f"drops the last partial batch: {dropped:,} of {n:,} images an epoch")
    if (total := plan.steps * plan.epochs) < FEW_STEPS:
        smaller = min(default_batch_size(n), plan.batch_size // 2)
        other = f", or -b {smaller}" if smaller >= MIN_BATCH_SIZE else ""
        callback.on_message(
            f"the run has only {total} optimizer steps in all; train for more, such as "
            f"--epochs {-(-FEW_STEPS // plan.steps)}{other}",
            warning=True,
        )


def _suggest_pretrained(architecture: Entry[Architecture], callback: Callback) -> None:
    """Name the weights that the plugin provides for this architecture, those on this machine first."""
    tags = sorted(architecture.spec.pretrained, key=lambda tag: not is_regular(pretrained_path(architecture, tag)))
    if tags:
        download = "" if is_regular(pretrained_path(architecture, tags[0])) else " --download"
        callback.on_message(
            f"there are pretrained weights of {architecture.spec.name}, and few images train better from those: "
            f"--initial-checkpoint {architecture.spec.name}.{tags[0]}{download}"
        )


def _card(
    architecture: Entry[Architecture],
    dataset: Entry[Dataset],
    data: LoadedDataset,
    recipe: Recipe,
    tag: str,
    environment: Mapping[str, str],
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
        versions=environment,
        licence=dataset.spec.licence,
    )


def _refuse_unreadable_card(card: Card) -> None:
    """Raise `UsageError` where weights with this card could not be read back, before they are trained."""
    for name, value in asdict(card).items():
        try:
            json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
        except ValueError:
            raise UsageError(
                f"The {name} of this run cannot be recorded: {ascii(value)[:200]} has bytes that are not UTF-8, or a "
                "number that is not finite.",
                "Rename the file or folder, or correct the value.",
            ) from None
    metric = Metric(name="loss", value=0.0, dataset=card.dataset, split="test", n=1)
    complete = replace(card, metrics=(metric,), digest=f"sha256:{0:064}")
    try:
        Card.from_dict(json.loads(json.dumps(complete.to_dict())))
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"Weights of this run could not be read back: {error}.", "Correct the recipe or the names in the data set."
        ) from error


def _versions(plugins: Mapping[str, str]) -> dict[str, str]:
    """Versions of Python, zoo and its packages, and of the other distributions that provide plugins."""
    known = versions()
    others = dict(plugin.rsplit(" ", 1) for plugin in plugins.values())
    return {**known, **{name: version for name, version in others.items() if name not in known}}
