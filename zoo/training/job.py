"""A whole training job: from names to a stored weights file with its card."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from zoo.atomic import refuse_existing, refuse_unwritable
from zoo.batches import label_counts
from zoo.card import Card
from zoo.data import Data
from zoo.errors import TrainingError
from zoo.evaluate import Evaluation, evaluate
from zoo.registry import Registry
from zoo.report.events import open_events, require_tensorboard
from zoo.report.write import write_report
from zoo.specs import Architecture
from zoo.training.checkpoint import read_checkpoint
from zoo.training.loop import Diverged, Epoch, Step, Training
from zoo.training.prepare import Job, Places, prepare
from zoo.training.recipe import Recipe
from zoo.training.record import Record, look
from zoo.training.run import Run
from zoo.training.saver import Saver
from zoo.training.signals import Signals
from zoo.training.state import State
from zoo.weights import save_weights

CHECKPOINT_EVERY = 60.0  # seconds


@dataclass(frozen=True)
class Result:
    """What a job came to: the weights file, its card, the run folder, and the evaluation of the file as stored."""

    path: Path
    card: Card
    run: Path
    evaluation: Evaluation


@dataclass(frozen=True, kw_only=True)
class Told:
    """Who is told of what, and how often a checkpoint is written.

    Args:
        stopped: of the run folder, when a run ends early and can be gone on with.
        checkpoint_every: seconds.
        tensorboard: whether events for TensorBoard are written into the run folder.
    """

    reading: Callable[[str, int, int], None] = lambda split, done, n: None
    data: Callable[[Data], None] = lambda data: None
    step: Callable[[Step], None] = lambda step: None
    epoch: Callable[[Epoch], None] = lambda epoch: None
    stopped: Callable[[Path], None] = lambda run: None
    checkpoint_every: float = CHECKPOINT_EVERY
    tensorboard: bool = False


def run_job(registry: Registry, recipe: Recipe, places: Places, told: Told | None = None) -> Result:
    """Train what `recipe` says and store it.

    Raises:
        ZooError: anything that is asked for is missing or unsound, or training cannot go on. Nothing is left
            behind then, but for the run folder where it holds a checkpoint, and the weights where only the report
            failed.
    """
    told = told or Told()
    if told.tensorboard:
        require_tensorboard()
    architecture = registry.find(Architecture, recipe.architecture).spec.name
    path = places.weights_file(architecture)
    refuse_existing(path, places.force)
    refuse_unwritable(path)
    job = prepare(registry, recipe, places, path, told.data, told.reading)
    name = places.run_name or f"{architecture}.{places.tag}"
    run = Run.start(places.runs, name, _record(job), numbered=places.run_name is None)
    try:
        return carry_out(job, run, told)
    finally:
        if not (run.checkpoint.exists() or run.result.exists()):
            run.discard()
        run.release()


def carry_out(job: Job, run: Run, told: Told) -> Result:
    """Train from the run's checkpoint, or from the beginning where there is none, to the stored weights.

    Raises:
        ZooError: training cannot go on.
    """
    device = job.places.device
    module = job.model().to(device)
    if device.type != "mps":
        module.to(memory_format=torch.channels_last)
    state = State.fresh(module, job.recipe, device)
    if resumed := run.checkpoint.exists():
        state.restore(*read_checkpoint(run.checkpoint))
        if state.rows:
            run.record(state.rows)
    training = Training(state, job.plan, job.recipe, job.data, job.minimised, device, job.loss)
    with Signals() as signals, open_events(run.path, told.tensorboard) as events:
        saver = Saver(run, state, signals, told.checkpoint_every, state.step if resumed else None)
        try:
            for epoch in training.epochs(signals, on_step=told.step, after_step=saver.save_if_due):
                card = replace(job.card, metrics=epoch.evaluation.metrics(job.data.name, epoch.split))
                save_weights(run.weights, state.measured.state_dict(), card, force=True)
                run.record(state.rows)
                saver.save()
                events.epoch(epoch.number, epoch.row())
                told.epoch(epoch)
            result = _store(job, run, state)
        except Diverged as error:
            raise _diverged(error, job, run, saver) from None
        except BaseException as error:
            saver.save_at_end(error)
            if saver.saved is not None:
                told.stopped(run.path)
            raise
        events.picture(result.run / "confusion.png", job.recipe.epochs)
    return result


def _store(job: Job, run: Run, state: State) -> Result:
    """Measure the weights that the run came to on the test split, and put them where they belong."""
    tensors = state.measured.state_dict() if state.best is None else state.best.tensors
    module = job.model()
    module.load_state_dict(tensors)
    final = evaluate(
        module.to(job.places.device),
        job.data.test,
        job.data.preprocess,
        job.loss,
        num_classes=len(job.data.classes),
        device=job.places.device,
    )
    card = replace(job.card, metrics=final.metrics(job.data.name, "test"))
    card = save_weights(job.path, tensors, card, force=job.places.force)
    run.finish(job.path, card.digest)  # before what may fail and is only shown
    trained_on = label_counts(job.plan.train, len(job.data.classes))
    write_report(run.path, card, final, module, job.data.test, trained_on)
    return Result(job.path, card, run.path, final)


def _record(job: Job) -> Record:
    return Record(
        recipe=job.recipe,
        plugin=f"{job.card.plugin} {job.card.plugin_version}",
        data=look(job.data),
        environment=dict(job.card.versions),
        tag=job.places.tag,
        weights=str(job.places.weights.absolute()),
        data_root=str(job.places.data_root.absolute()),
        device=str(job.places.device),
        force=job.places.force,
    )


def _diverged(error: Diverged, job: Job, run: Run, saver: Saver) -> TrainingError:
    epoch, step = divmod(error.step, job.plan.steps)
    kept = "" if saver.saved is None else f" The last good checkpoint, {run.checkpoint}, is of step {saver.saved:,}."
    return TrainingError(
        f"The loss is no longer finite at step {step + 1:,} of epoch {epoch + 1}, at a learning rate of "
        f"{job.plan.lr(error.step):.2g}.{kept}",
        "Try a lower --lr, more --warmup-epochs, or --clip 1.",
    )
