"""`zoo.train`: from an architecture and a data set to stored weights."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from os import PathLike, fspath
from pathlib import Path
from typing import Any, TypedDict, Unpack

from zoo.api.installed import registry_of
from zoo.api.progress import reporting
from zoo.contract.callback import Callback
from zoo.contract.errors import UsageError
from zoo.contract.names import NAME, is_file_name
from zoo.contract.specs import Dataset
from zoo.data.read_options import MEMORY_LIMIT, MOST_WORKERS
from zoo.evaluation.evaluate import Evaluation
from zoo.files import folders
from zoo.files.environment import differences, versions
from zoo.models.arguments import check_integer, check_number, check_path
from zoo.models.devices import describe, pick_device
from zoo.models.load import Model, open_model
from zoo.registry.image_folders import find_data, tag_of
from zoo.registry.registry import Registry
from zoo.training.checkpoint import CHECKPOINT_EVERY
from zoo.training.distributed.process_group import ProcessGroup
from zoo.training.distributed.rendezvous import init_process_group
from zoo.training.extend import extend_job
from zoo.training.job import run_job
from zoo.training.prepare import RunPaths
from zoo.training.recipe.file import to_recipe
from zoo.training.recipe.recipe import Recipe
from zoo.training.resume import ResumeOverrides, find_run, resume_job
from zoo.training.run.record import Record, parse_record


class RecipeFields(TypedDict, total=False):
    """The fields of a `zoo.Recipe` besides architecture and data set, as keyword arguments of `zoo.train`."""

    params: Mapping[str, Any]
    img_size: int | None
    channels: int | None
    loss: str
    loss_params: Mapping[str, Any]
    initial_checkpoint: str
    freeze: bool
    freeze_bn: bool | None
    head_init_scale: float | None
    layer_decay: float
    epochs: int
    batch_size: int | None
    drop_last: bool
    grad_accum_steps: int
    opt: str
    lr: float | None
    weight_decay: float | None
    momentum: float | None
    clip_grad: float
    sched: str
    decay_milestones: tuple[float, ...]
    decay_rate: float
    warmup_epochs: float
    model_ema_decay: float
    hold_out: float
    patience: int
    crop: int | None
    hflip: bool | None
    aa: str
    reprob: float
    mixup: float
    cutmix: float
    balance: str
    exif_orientation: bool | None
    skip_corrupt: bool
    amp: bool | None
    torchcompile: bool
    seed: int


@dataclass(frozen=True)
class TrainResult:
    """The result of a training run.

    Args:
        path: the run folder, with the recipe, the history and a report.
        weights: the stored weights file.
        evaluation: of the stored weights on the test split.
        epochs: how many were trained.
        stored_epoch: the epoch whose weights are stored: the best on the hold-out, or the last.
    """

    path: Path
    weights: Path
    evaluation: Evaluation
    epochs: int
    stored_epoch: int
    registry: Registry = field(repr=False, compare=False)

    @property
    def report(self) -> Path:
        """The report, one file with its pictures: `report.html` in the run folder."""
        return self.path / "report.html"

    @property
    def metrics(self) -> dict[str, float]:
        """`top1`, `top5` (fractions of images, 0 to 1) and `loss` (mean over images) on the test split."""
        return {"top1": self.evaluation.top1, "top5": self.evaluation.top5, "loss": self.evaluation.loss}

    @cached_property
    def model(self) -> Model:
        """The stored weights, loaded: the module, its card, labels and preprocessing."""
        return open_model(self.registry, str(self.weights.absolute()))


def train(
    architecture: str | Recipe | None = None,
    *,
    data: str | PathLike[str] | None = None,
    resume: str | PathLike[str] | None = None,
    extend: int | None = None,
    tag: str | None = None,
    output: str | PathLike[str] | None = None,
    runs: str | PathLike[str] | None = None,
    name: str | None = None,
    force: bool = False,
    device: str = "auto",
    data_root: str | PathLike[str] | None = None,
    download: bool = False,
    workers: int | None = None,
    memory_limit: float = MEMORY_LIMIT,
    cache: bool = True,
    checkpoint_every: float = CHECKPOINT_EVERY,
    tensorboard: bool = False,
    progress: bool = False,
    callback: Callback | None = None,
    registry: Registry | None = None,
    **fields: Unpack[RecipeFields],
) -> TrainResult:
    """Train an architecture on a data set and store the weights with their card.

    The same recipe, seed, machine and versions give the same weights on a CPU. A run that is interrupted or killed
    resumes from its last checkpoint to the same weights. Started by torchrun, all processes train together.

    Args:
        architecture: its name; or a whole `zoo.Recipe`, and then neither `data` nor fields of a recipe.
        data: the name of the data set, or the path of a folder of images.
        resume: the run folder of a run to resume, or its name in `runs/`; its recipe decides everything else. `force`,
            and an `output` that is not in the current folder, must be passed again.
        extend: go on with the finished run `resume` for this many epochs, in a new run folder beside it. It starts from
            the weights after the run's last epoch, with a learning-rate schedule of its own.
        tag: the weights are stored as `ARCH.TAG.safetensors`; by default the name of the data set, or of the
            folder of images.
        output: the folder for the weights file; by default `weights`.
        runs: the folder for run folders; by default `runs`.
        name: of the run folder; by default `ARCH.TAG`, with a number if that exists.
        force: replace a weights file of the same name.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        data_root: the folder of data sets; by default `$ZOO_DATA`, or a folder in your cache.
        download: download the data set, and initial weights that a plugin provides, if they are missing.
        workers: processes that read images; by default one a core, up to 8.
        memory_limit: GiB of decoded images of a split to keep in memory; a larger split is read in every epoch.
        cache: keep decoded images on disk for the next time.
        checkpoint_every: seconds between checkpoints within an epoch.
        tensorboard: write events for TensorBoard into the run folder.
        progress: show progress on standard error, or in a notebook.
        callback: receives messages, progress, steps and epochs.
        registry: of plugins; the installed ones by default.
        fields: the fields of a `zoo.Recipe`, such as `epochs`, `batch_size`, `lr`, `opt` and `seed`.

    Raises:
        UsageError: arguments exclude each other, or an argument or a field of the recipe is unknown or out of range.
        ZooError: something that the recipe names is missing or damaged, or training cannot go on.

    Example:
        >>> import zoo
        >>> run = zoo.train("lenet5", data="digits", epochs=3, seed=0)  # doctest: +SKIP
        >>> run.metrics["top1"], run.model.predict("seven.png", top=1)  # doctest: +SKIP
    """
    registry = registry_of(registry)
    check_integer("workers", workers, 0, MOST_WORKERS + 1)
    check_number("memory_limit", memory_limit)
    check_number("checkpoint_every", checkpoint_every)
    for argument, value in (("resume", resume), ("output", output), ("runs", runs), ("data_root", data_root)):
        check_path(argument, value)
    with init_process_group(device) as group:
        main = group.is_main
        with reporting(progress and main, callback if main else None) as report:
            root = None if data_root is None else Path(data_root)
            weights = None if output is None else Path(output)
            if extend is not None and resume is None:
                raise UsageError("`--extend` requires `--resume`.", "Name the finished run with --resume RUN.")
            if resume is not None:
                if architecture is not None or data is not None or fields or tag or runs or name:
                    raise UsageError(
                        "A resumed run keeps its recipe, tag and folder.", "Leave these arguments out, or resume."
                    )
                overrides = ResumeOverrides(
                    data_root=root,
                    weights=weights,
                    device=device,
                    workers=workers,
                    memory_limit=memory_limit,
                    cache=cache,
                    download=download,
                    force=force,
                    checkpoint_every=checkpoint_every,
                    tensorboard=tensorboard,
                )
                path, record = _find_run(fspath(resume), group)
                if extend is not None:
                    result = extend_job(registry, path, record, extend, overrides, report, group)
                else:
                    _warn_of_changes(record, report)
                    result = resume_job(registry, path, record, overrides, report, group)
            else:
                recipe = _recipe(architecture, data, fields)
                dataset, source = find_data(registry, recipe.data, root)
                default_tag = registry.find(Dataset, dataset).spec.name
                if dataset != recipe.data and source is not None:  # it is a path, which the recipe does not record
                    recipe, root = replace(recipe, data=dataset), source
                    default_tag = tag_of(root)
                paths = RunPaths(
                    data_root=folders.data_root(root),
                    weights=weights or Path("weights"),
                    runs=Path("runs" if runs is None else runs),
                    tag=default_tag if tag is None else _tag(tag),
                    run_name=_run_name(name),
                    device=group.device or pick_device(device),
                    workers=workers,
                    memory_limit=memory_limit,
                    cache=cache,
                    download=download,
                    force=force,
                    checkpoint_every=checkpoint_every,
                    tensorboard=tensorboard,
                )
                result = run_job(registry, recipe, paths, report, group)
    return TrainResult(result.run, result.path, result.evaluation, result.epochs, result.stored, registry)


def _find_run(name: str, group: ProcessGroup) -> tuple[Path, Record]:
    """The run folder and its record, which only rank 0 reads."""
    path = Path(name)
    if group.is_main:
        path, record = find_run(name)
        group.broadcast_bytes(record.to_json())
    else:
        record = parse_record(group.broadcast_bytes(b""), path)
    return path, record


def _warn_of_changes(record: Record, report: Callback) -> None:
    """Warn if the environment has changed since the run was started."""
    here = {**versions(), **describe(pick_device("cpu"))}
    before = {key: record.environment[key] for key in here if key in record.environment}
    changes = [line for line in differences(before, here) if not line.startswith("device ")]
    if changes:
        report.on_message(
            f"the weights may differ from those of an uninterrupted run: {'; '.join(changes)}", warning=True
        )


def _recipe(architecture: str | Recipe | None, data: str | PathLike[str] | None, fields: Mapping[str, Any]) -> Recipe:
    if isinstance(architecture, Recipe):
        if data is not None or fields:
            raise UsageError(
                "A Recipe already has a data set and all fields.", "Leave out `data` and the fields, or the Recipe."
            )
        return architecture
    if not isinstance(architecture, str | None):
        raise UsageError(
            f"The architecture is an object of type {type(architecture).__name__}, not a name.",
            "Pass the name of an architecture, or a zoo.Recipe.",
        )
    if architecture is None or data is None:
        missing = "architecture" if architecture is None else "data"
        raise UsageError(f"zoo.train requires `{missing}`.", "Pass an architecture and `data`, or `resume`.")
    named = fspath(data) if isinstance(data, PathLike) else data
    return to_recipe({"architecture": architecture, "data": named, **fields}, "zoo.train(...)")


def _tag(tag: str) -> str:
    if not NAME.fullmatch(tag):
        raise UsageError(f"The tag {tag!r} is not a name.", "Use lower-case letters, digits and underscores.")
    return tag


def _run_name(name: str | None) -> str | None:
    if name is not None and not is_file_name(name):
        raise UsageError(
            f"The run name {name[:60]!r} is not a name that a folder can have on every system.",
            "Use letters, digits, dots, dashes and underscores; `--runs` sets the folder it is in.",
        )
    return name
