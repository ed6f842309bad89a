"""Resume an interrupted run. Everything that decides its result comes from the run folder."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from zoo.contract.callback import SILENT, Callback
from zoo.contract.errors import DeviceError, OutputError, TrainingError, UsageError, WeightsError
from zoo.contract.specs import Architecture
from zoo.data.read_options import MEMORY_LIMIT
from zoo.files.atomic import refuse_existing, refuse_unwritable
from zoo.files.card import read_card
from zoo.files.claim import claimed
from zoo.models.devices import explain_out_of_memory, pick_device
from zoo.registry.registry import Registry
from zoo.report.events import require_tensorboard
from zoo.training.checkpoint import CHECKPOINT_EVERY
from zoo.training.distributed.process_group import SINGLE_PROCESS, ProcessGroup, explain_lost_rank
from zoo.training.job import Result, open_trainer, store_result
from zoo.training.prepare import RunPaths, prepare_on_all_ranks
from zoo.training.run.concurrent_runs import refuse_concurrent_run
from zoo.training.run.destination import resume_command, weights_folder
from zoo.training.run.folder import Run
from zoo.training.run.record import Record, plugins_of, read_record, refuse_other_dataset


@dataclass(frozen=True, kw_only=True)
class ResumeOverrides:
    """What may differ from how the run was started: none of it changes the result.

    `data_root` and `weights` are those of the run where they are `None`; see `zoo.training.run.destination` for which
    folders of a record are accepted. `force` is not taken from the record. All else is as in `RunPaths`.
    """

    data_root: Path | None = None
    weights: Path | None = None
    device: str = "auto"
    workers: int | None = None
    memory_limit: float = MEMORY_LIMIT
    cache: bool = True
    download: bool = False
    force: bool = False
    checkpoint_every: float = CHECKPOINT_EVERY
    tensorboard: bool = False


def find_run(name: str) -> tuple[Path, Record]:
    """The path and the record of a run folder.

    Args:
        name: its path, or its name in `runs/`.

    Raises:
        TrainingError: it is not a run folder of this release.
    """
    path = Path(name)
    in_runs = Path("runs") / name
    path = in_runs if not path.is_dir() and in_runs.is_dir() else path
    return path, read_record(path)


def resume_job(
    registry: Registry,
    path: Path,
    record: Record,
    overrides: ResumeOverrides,
    callback: Callback = SILENT,
    group: ProcessGroup = SINGLE_PROCESS,
) -> Result:
    """Train on from the checkpoint in the run folder `path`, or from the first step where there is none.

    Args:
        record: of the run; see `find_run`.
        callback: as in `run_job`.
        group: of the world size that the run was started with; only rank 0 needs the folder.

    Raises:
        ZooError: the run is finished or running, or cannot be resumed with the same result.
    """
    callback = callback if group.is_main else SILENT
    if overrides.tensorboard:
        require_tensorboard()
    run = Run.reopen(path) if group.is_main else None
    try:
        _check_world_size(path, record, group)
        paths = _run_paths(path, record, overrides, group)
        _check_plugins(registry, path, record)
        weights_file = paths.weights_file(registry.find(Architecture, record.recipe.architecture).spec.name)
        callback.on_message(f"resumes {path} with the data in {paths.data_root}; stores the weights in {weights_file}")
        if run is not None and not run.checkpoint.exists():
            callback.on_message("there is no checkpoint; starts from the first step")
        command = resume_command(group.launcher, path, paths.weights, force=paths.force)
        with (
            _claimed(weights_file, path, record, paths) if group.is_main else nullcontext(),
            explain_lost_rank(f"See the error of that rank, then resume: {command}"),
            explain_out_of_memory(paths.device),
        ):
            job = prepare_on_all_ranks(registry, record.recipe, paths, callback, group)
            refuse_other_dataset(record, job.data)
            with open_trainer(job, run, callback, group) as trainer:
                trainer.train()
                return store_result(job, run, trainer.state, group)
    finally:
        if run is not None:
            run.release()


def _check_plugins(registry: Registry, path: Path, record: Record) -> None:
    for kind, current in plugins_of(registry, record.recipe).items():
        if current != (recorded := record.plugins.get(kind)):
            raise TrainingError(
                f"The run {path} was started with the {kind} of {recorded}, and {current} is installed.",
                "Install that version, or train again.",
            )


@contextmanager
def _claimed(weights_file: Path, path: Path, record: Record, paths: RunPaths) -> Iterator[None]:
    """Fail before any work where the weights could not be stored, and keep other processes from storing theirs."""
    try:
        refuse_existing(weights_file, paths.force or _may_be_from_run(weights_file, record))
    except OutputError as error:  # another name is no option for a run that is resumed
        raise OutputError(error.cause, "Move it away, or use --force to replace it.") from None
    refuse_unwritable(weights_file)
    if paths.force:
        yield
        return
    refuse_concurrent_run(path.parent, weights_file, path)
    with claimed(weights_file):
        yield


def _check_world_size(path: Path, record: Record, group: ProcessGroup) -> None:
    """Each rank draws random numbers for its own images and has BatchNorm batches of its own."""
    recorded = int(record.environment.get("ranks", 1))
    if recorded != group.world_size:
        launcher = f"torchrun --nproc-per-node {recorded} -m zoo" if recorded > 1 else "zoo"
        raise TrainingError(
            f"The run {path} was started with world size {recorded}, not {group.world_size}: its weights would differ.",
            f"Resume with the same world size: {launcher} train --resume {path}",
        )


def _run_paths(path: Path, record: Record, overrides: ResumeOverrides, group: ProcessGroup) -> RunPaths:
    if group.device is not None and group.device.type != record.device:
        raise UsageError(
            f"The run was started on {record.device}; its weights would differ on {group.device.type}.",
            f"Use --device {record.device}.",
        )
    if overrides.device not in ("auto", record.device):
        raise UsageError(
            f"The run was started on {record.device}; its weights would differ on {overrides.device}.",
            "Omit `--device`.",
        )
    try:
        device = group.device or pick_device(record.device)
    except DeviceError as error:
        raise DeviceError(
            f"{error.cause} The run was started on it, and its weights would differ on another device.",
            "Resume it on a machine that has one, or train again.",
        ) from None
    weights = weights_folder(path, record, overrides.weights) if group.is_main else Path(record.weights)
    return RunPaths(
        data_root=overrides.data_root or Path(record.data_root),
        weights=weights,
        tag=record.tag,
        device=device,
        initial_weights=Path(record.initial_weights) if record.initial_weights else None,
        workers=overrides.workers,
        memory_limit=overrides.memory_limit,
        cache=overrides.cache,
        download=overrides.download,
        force=overrides.force,
        checkpoint_every=overrides.checkpoint_every,
        tensorboard=overrides.tensorboard,
    )


def _may_be_from_run(path: Path, record: Record) -> bool:
    """Whether the weights file may be what this run stored before it was killed. At the end, tensors are compared."""
    try:
        return dict(read_card(path)[0].recipe) == record.recipe.to_dict()
    except WeightsError:
        return False
