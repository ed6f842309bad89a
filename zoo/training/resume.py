"""Go on with a run that was interrupted: everything that decides it comes from its folder."""

from dataclasses import dataclass
from pathlib import Path

from zoo.contract.errors import DeviceError, OutputError, TrainingError, UsageError, WeightsError
from zoo.contract.specs import Architecture
from zoo.data.load_split import MEMORY_LIMIT
from zoo.files.atomic import refuse_existing, refuse_unwritable
from zoo.files.card import read_card
from zoo.models.devices import explain_out_of_memory, pick_device
from zoo.registry.registry import Registry
from zoo.report.events import require_tensorboard
from zoo.training.distributed.process_group import SINGLE_PROCESS, ProcessGroup, explain_lost_rank
from zoo.training.job import Result, TrainCallbacks, carry_out, prepare_together
from zoo.training.prepare import RunPaths
from zoo.training.run.concurrent_runs import refuse_rival
from zoo.training.run.folder import Run
from zoo.training.run.record import Record, plugins_of, read_record, refuse_other_data


@dataclass(frozen=True, kw_only=True)
class ResumeOverrides:
    """What may be said anew: it changes nothing of the result. `None` takes what the run was begun with."""

    data_root: Path | None = None
    weights: Path | None = None
    device: str = "auto"
    workers: int | None = None
    memory_limit: float = MEMORY_LIMIT
    cache: bool = True
    download: bool = False
    force: bool = False


def find_run(name: str) -> tuple[Path, Record]:
    """The run folder that `name` stands for, a path or the name of a folder in `runs/`, and its record.

    Raises:
        TrainingError: it is no run folder of this release.
    """
    path = Path(name)
    inside = Path("runs") / name
    path = inside if not path.is_dir() and inside.is_dir() else path
    return path, read_record(path)


def resume_job(
    registry: Registry,
    path: Path,
    record: Record,
    anew: ResumeOverrides,
    told: TrainCallbacks | None = None,
    group: ProcessGroup = SINGLE_PROCESS,
) -> Result:
    """Train on from the checkpoint in the run folder `path`, or from the beginning where it has none yet.

    Args:
        group: as many as the run was begun with; rank 0 alone needs the folder.

    Raises:
        ZooError: the run is finished, is running, or cannot go on as it began.
    """
    told = told or TrainCallbacks()
    if told.tensorboard:
        require_tensorboard()
    run = Run.reopen(path) if group.is_main else None
    try:
        _refuse_other_ranks(path, record, group)
        places = _places(record, anew, group)
        entry = registry.find(Architecture, record.recipe.architecture)
        for kind, here in plugins_of(registry, record.recipe).items():
            if here != (before := record.plugins.get(kind)):
                raise TrainingError(
                    f"The run {path} was begun with the {kind} of {before}, and here is {here}.",
                    "Install that version, or train again.",
                )
        weights = places.weights_file(entry.spec.name)
        if group.is_main:
            _refuse_existing(weights, places.force or _ours(weights, record))
            refuse_unwritable(weights)
            if not places.force:
                refuse_rival(path.parent, weights, path)
        if run is not None and not run.checkpoint.exists():
            told.start("there is no checkpoint, so it begins at the first step")
        go_on = f"See what it said; then go on: {group.launcher} train --resume {path}"
        with explain_lost_rank(go_on), explain_out_of_memory(places.device):
            job = prepare_together(registry, record.recipe, places, weights, told, group)
            refuse_other_data(record, job.data)
            return carry_out(job, run, told, group)
    finally:
        if run is not None:
            run.release()


def _refuse_existing(weights: Path, force: bool) -> None:
    try:
        refuse_existing(weights, force)
    except OutputError as error:  # a run that goes on cannot choose another name
        raise OutputError(error.cause, "Move it away, or say --force to replace it.") from None


def _refuse_other_ranks(path: Path, record: Record, group: ProcessGroup) -> None:
    """Each rank draws for its own images and has its own BatchNorm batches, so another number gives other weights."""
    before = int(record.environment.get("ranks", 1))
    if before != group.world_size:
        again = f"torchrun --nproc-per-node {before} -m zoo" if before > 1 else "zoo"
        raise TrainingError(
            f"The run {path} was started with world size {before}, not {group.world_size}: its weights would differ.",
            f"Resume with the same world size: {again} train --resume {path}",
        )


def _places(record: Record, anew: ResumeOverrides, group: ProcessGroup) -> RunPaths:
    if group.device is not None and group.device.type != record.device:
        raise UsageError(
            f"The run was begun on {record.device}; on {group.device.type} it would come to other weights.",
            f"Say --device {record.device}.",
        )
    if anew.device not in ("auto", record.device):
        raise UsageError(
            f"The run was begun on {record.device}; on {anew.device} it would come to other weights.",
            "Leave --device out.",
        )
    try:
        device = group.device or pick_device(record.device)
    except DeviceError as error:
        raise DeviceError(
            f"{error.cause} The run was begun on it, and would come to other weights elsewhere.",
            "Resume it on a machine that has one, or train again.",
        ) from None
    return RunPaths(
        data_root=anew.data_root or Path(record.data_root),
        weights=_near(anew.weights or Path(record.weights)),
        tag=record.tag,
        device=device,
        init=Path(record.init) if record.init else None,
        workers=anew.workers,
        memory_limit=anew.memory_limit,
        cache=anew.cache,
        download=anew.download,
        force=anew.force or record.force,
    )


def _near(path: Path) -> Path:
    """`path` as seen from the present folder, where it lies in it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _ours(path: Path, record: Record) -> bool:
    """Whether `path` may be what the run itself wrote, killed before it could say so; at its end that is known."""
    try:
        return dict(read_card(path)[0].recipe) == record.recipe.to_dict()
    except WeightsError:
        return False
