"""A whole training job: from names to a stored weights file with its card."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from zoo.contract.errors import TrainingError, WeightsError
from zoo.contract.specs import Architecture
from zoo.data.batches import label_counts
from zoo.data.datasets import LoadedDataset
from zoo.evaluation.evaluate import Evaluation
from zoo.files.atomic import refuse_existing, refuse_unwritable
from zoo.files.card import Card, read_card
from zoo.files.weights import save_weights, tensors_digest
from zoo.models.memory import enough_memory
from zoo.registry.registry import Registry
from zoo.report.events import open_events, require_tensorboard
from zoo.report.write import write_report
from zoo.training.checkpoint.file import read_checkpoint
from zoo.training.checkpoint.saver import Saver
from zoo.training.checkpoint.state import State
from zoo.training.checkpoint.storage_dtype import as_stored
from zoo.training.distributed.ddp import broadcast_checkpoint, check_same_on_all_ranks
from zoo.training.distributed.evaluate import evaluate_distributed
from zoo.training.distributed.process_group import SINGLE_PROCESS, ProcessGroup, explain_lost_rank
from zoo.training.prepare import Job, RunPaths, prepare
from zoo.training.recipe.recipe import Recipe
from zoo.training.recipe.table import recipe_rows
from zoo.training.run.concurrent_runs import refuse_rival
from zoo.training.run.folder import Run, refuse_taken
from zoo.training.run.record import Record, look
from zoo.training.signals import Signals
from zoo.training.trainer import Diverged, Epoch, Step, Trainer

CHECKPOINT_EVERY = 60.0  # seconds


@dataclass(frozen=True)
class Result:
    """What a job came to: the weights file, its card, the run folder, and the evaluation of the file as stored.

    Args:
        epochs: how many were trained.
        stored: the epoch whose weights these are.
    """

    path: Path
    card: Card
    run: Path
    evaluation: Evaluation
    epochs: int
    stored: int


@dataclass(frozen=True, kw_only=True)
class TrainCallbacks:
    """Who is told of what, and how often a checkpoint is written.

    Args:
        start: of what a run begins from and is judged by, a line each.
        stopped: of the run folder, when a run ends early and can be gone on with.
        checkpoint_every: seconds.
        tensorboard: whether events for TensorBoard are written into the run folder.
    """

    reading: Callable[[str, int, int], None] = lambda split, done, n: None
    data: Callable[[LoadedDataset], None] = lambda data: None
    start: Callable[[str], None] = lambda said: None
    step: Callable[[Step], None] = lambda step: None
    epoch: Callable[[Epoch], None] = lambda epoch: None
    stopped: Callable[[Path], None] = lambda run: None
    checkpoint_every: float = CHECKPOINT_EVERY
    tensorboard: bool = False


def run_job(
    registry: Registry,
    recipe: Recipe,
    places: RunPaths,
    told: TrainCallbacks | None = None,
    group: ProcessGroup = SINGLE_PROCESS,
) -> Result:
    """Train what `recipe` says and store it.

    Args:
        group: that train together; all of them call this, and rank 0 alone writes and is told.

    Raises:
        ZooError: anything that is asked for is missing or unsound, or training cannot go on. Nothing is left
            behind then, but for the run folder where it holds a checkpoint, and the weights where only the report
            failed.
    """
    with enough_memory(places.device):
        return _run_job(registry, recipe, places, told or TrainCallbacks(), group)


def _run_job(registry: Registry, recipe: Recipe, places: RunPaths, told: TrainCallbacks, group: ProcessGroup) -> Result:
    if told.tensorboard:
        require_tensorboard()
    architecture = registry.find(Architecture, recipe.architecture).spec.name
    path = places.weights_file(architecture)
    if group.is_main:
        refuse_existing(path, places.force)
        refuse_unwritable(path)
        if places.run_name is not None:
            refuse_taken(places.runs / places.run_name)
        if not places.force:
            refuse_rival(places.runs, path)
    job = prepare_together(registry, recipe, places, path, told, group)
    if not group.is_main:
        return carry_out(job, None, told, group)
    name = places.run_name or f"{architecture}.{places.tag}"
    run = Run.start(places.runs, name, _record(job), numbered=places.run_name is None)
    try:
        if not places.force:
            refuse_rival(places.runs, path, run.path)  # which has begun since
        return carry_out(job, run, told, group)
    finally:
        if not (run.checkpoint.exists() or run.result.exists()):
            run.discard()
        run.release()


def prepare_together(
    registry: Registry, recipe: Recipe, places: RunPaths, path: Path, told: TrainCallbacks, group: ProcessGroup
) -> Job:
    """`prepare` on every rank, which must come to the same; where data may be downloaded, one after another.

    Raises:
        ZooError: as `prepare`, or a rank has another recipe or other data.
    """

    def work() -> Job:
        return prepare(registry, recipe, places, path, told.data, told.start, told.reading, group)

    job: Job = group.main_first(work) if places.download else work()
    if group.world_size > 1:
        check_same_on_all_ranks({"recipe": job.recipe.to_dict(), "data set": look(job.data)}, group)
    return job


def carry_out(job: Job, run: Run | None, told: TrainCallbacks, group: ProcessGroup = SINGLE_PROCESS) -> Result:
    """Train from the run's checkpoint, or from the beginning where there is none, to the stored weights.

    Args:
        run: `None` on a rank that does not lead.

    Raises:
        ZooError: training cannot go on.
    """
    device = job.places.device
    if run is not None and not run.locked:
        told.start(f"warning: there are no locks on this file system; let no other process go on with {run.path}")
    where = Path(group.broadcast_bytes(str(run.path).encode() if run else b"").decode())
    module = job.first_model().to(device)
    if device.type != "mps":
        module.to(memory_format=torch.channels_last)
    state = State.fresh(module, job.recipe, device, job.head)
    begun = broadcast_checkpoint(read_checkpoint(run.checkpoint) if run and run.checkpoint.exists() else None, group)
    if begun is not None:
        state.restore(*begun)
        if run and state.rows:
            run.record(state.rows)
        told.start(f"goes on after step {state.step:,} of {job.plan.epochs * job.plan.steps:,}")
    training = Trainer(state, job.plan, job.recipe, job.data, job.minimised, device, group, job.loss)
    lost = f"See what it said; then go on: {group.launcher} train --resume {where}"
    shown = told.tensorboard and group.is_main
    agree = group.all_reduce_max if group.world_size > 1 else None
    with explain_lost_rank(lost), Signals(agree) as signals, open_events(where, shown) as events:
        saved = state.step if begun and run else None
        saver = Saver(run, state, signals, told.checkpoint_every, saved, group.launcher)
        try:
            for epoch in training.epochs(signals, on_step=told.step, after_step=saver.save_if_due):
                if run is not None:
                    card = replace(job.card, metrics=epoch.evaluation.metrics(job.data.name, epoch.split))
                    save_weights(run.weights, state.measured.state_dict(), card, force=True)
                    run.record(state.rows)
                saver.save()
                events.epoch(epoch.number, epoch.row())
                told.epoch(epoch)
            result = _store(job, run, where, state, group)
        except Diverged as error:
            raise _diverged(error, job, run, saver) from None
        except BaseException as error:
            saver.save_at_end(error)
            if saver.saved is not None:
                told.stopped(where)
            raise
        events.image(result.run / "confusion.png", result.epochs)
    return result


def _store(job: Job, run: Run | None, where: Path, state: State, group: ProcessGroup) -> Result:
    """Measure the weights that the run came to on the test split, and put them where they belong."""
    tensors, storage_dtype = as_stored(state.measured.state_dict() if state.best is None else state.best.tensors)
    module = job.model()
    module.load_state_dict(tensors)
    device = job.places.device
    final = evaluate_distributed(module.to(device), job.data.test, job.data, job.loss, device, group)
    card = replace(job.card, metrics=final.metrics(job.data.name, "test"), storage_dtype=storage_dtype)
    if run is not None:
        card = save_weights(job.path, tensors, card, force=job.places.force or _is_there(job.path, tensors))
        trained_on = label_counts(job.plan.train, len(job.data.classes))
        write_report(where, card, final, module, job.data.test, trained_on, recipe_rows(card.recipe))
        run.finish(job.path, card.digest)  # until then the run can be gone on with, to the same weights
    epochs = len(state.rows)
    return Result(job.path, card, where, final, epochs, epochs if state.best is None else state.best.epoch)


def _is_there(path: Path, tensors: Mapping[str, Tensor]) -> bool:
    """Whether `path` has these very weights, as where this run was killed after it had stored them."""
    try:
        plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        return read_card(path)[0].digest == tensors_digest(plain)
    except WeightsError:
        return False


def _record(job: Job) -> Record:
    return Record(
        recipe=job.recipe,
        plugins=job.plugins,
        data=look(job.data),
        environment=dict(job.card.versions),
        tag=job.places.tag,
        weights=str(job.places.weights.absolute()),
        data_root=str(job.places.data_root.absolute()),
        device=job.places.device.type if "ranks" in job.card.versions else str(job.places.device),
        force=job.places.force,
        init=str(job.start.path.absolute()) if job.start else "",
    )


def _diverged(error: Diverged, job: Job, run: Run | None, saver: Saver) -> TrainingError:
    epoch, step = divmod(error.step, job.plan.steps)
    kept = ""
    if run is not None and saver.saved is not None:
        kept = f" The last good checkpoint, {run.checkpoint}, is of step {saver.saved:,}."
    return TrainingError(
        f"The loss is no longer finite at step {step + 1:,} of epoch {epoch + 1}, at a learning rate of "
        f"{job.plan.lr(error.step):.2g}.{kept}",
        "Try a lower --lr, more --warmup-epochs, or --clip-grad 1.",
    )
