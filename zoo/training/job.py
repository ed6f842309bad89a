"""A whole training job: from a recipe to a stored weights file with its card."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from zoo.contract.callback import SILENT, Callback
from zoo.contract.errors import TrainingError, WeightsError, lost_worker
from zoo.contract.specs import Architecture
from zoo.data.batches import label_counts
from zoo.evaluation.evaluate import Evaluation, evaluate
from zoo.files.atomic import refuse_existing, refuse_other_encoding, refuse_unwritable
from zoo.files.card import Card, read_card
from zoo.files.claim import claimed
from zoo.files.weights import put_tensors, save_weights, tensors_digest
from zoo.models.devices import explain_out_of_memory
from zoo.registry.registry import Registry
from zoo.report.content import RunFacts
from zoo.report.events import open_events, require_tensorboard
from zoo.report.write import write_report
from zoo.training.checkpoint.file import read_checkpoint, refuse_position
from zoo.training.checkpoint.saver import Saver
from zoo.training.checkpoint.state import State
from zoo.training.checkpoint.storage_dtype import as_stored
from zoo.training.distributed.ddp import broadcast_checkpoint
from zoo.training.distributed.evaluate import evaluate_distributed
from zoo.training.distributed.process_group import SINGLE_PROCESS, ProcessGroup, explain_lost_rank
from zoo.training.hold_out import Subset
from zoo.training.prepare import Job, RunPaths, prepare_on_all_ranks
from zoo.training.recipe.complete import complete_recipe
from zoo.training.recipe.recipe import Recipe
from zoo.training.recipe.table import recipe_rows
from zoo.training.run.concurrent_runs import refuse_concurrent_run
from zoo.training.run.destination import resume_command
from zoo.training.run.folder import Run, refuse_taken
from zoo.training.run.record import Record, describe_dataset
from zoo.training.signals import Signals
from zoo.training.step_rng import StepRNG
from zoo.training.trainer import Diverged, Epoch, Trainer

MIN_TRAIN_IMAGES = 1000  # that the report's accuracy in training is of, at least, where there are as many


@dataclass(frozen=True)
class Result:
    """What training produced: the weights file, its card, the run folder, and the evaluation of the stored weights.

    Args:
        epochs: number of epochs trained.
        stored: the epoch whose weights these are.
    """

    path: Path
    card: Card
    run: Path
    evaluation: Evaluation
    epochs: int
    stored: int


def run_job(
    registry: Registry,
    recipe: Recipe,
    paths: RunPaths,
    callback: Callback = SILENT,
    group: ProcessGroup = SINGLE_PROCESS,
) -> Result:
    """Train as `recipe` says, completed by `complete_recipe`, and store the weights.

    Args:
        callback: receives messages, progress, epochs and an interrupt, in the main process only.
        group: the ranks that train together. All of them call this; only rank 0 writes files.

    Raises:
        ZooError: something is missing or damaged, or training failed. Nothing is left behind, except a run folder
            that holds a checkpoint, and the weights where only the report failed.
    """
    callback = callback if group.is_main else SILENT
    recipe = complete_recipe(registry, recipe, download=paths.download)
    with explain_out_of_memory(paths.device), _claimed_weights_file(registry, recipe, paths, group):
        job = prepare_on_all_ranks(registry, recipe, paths, callback, group)
        with _new_run(job, group) as run, open_trainer(job, run, callback, group) as trainer:
            trainer.train()
            return store_result(job, run, trainer.state, group)


@contextmanager
def _claimed_weights_file(registry: Registry, recipe: Recipe, paths: RunPaths, group: ProcessGroup) -> Iterator[None]:
    """Fail before any work where the results could not be written, and keep other processes from writing them too.

    With `force`, the run that ends last replaces the file, so nobody is kept out.
    """
    if paths.tensorboard:
        require_tensorboard()
    if not group.is_main:
        yield
        return
    weights_file = paths.weights_file(registry.find(Architecture, recipe.architecture).spec.name)
    refuse_existing(weights_file, paths.force)
    refuse_unwritable(weights_file)
    refuse_other_encoding(paths.runs)
    if paths.run_name is not None:
        refuse_taken(paths.runs / paths.run_name)
    if paths.force:
        yield
        return
    refuse_concurrent_run(paths.runs, weights_file)
    with claimed(weights_file):
        refuse_existing(weights_file, force=False)  # another process may have stored it meanwhile
        yield


@contextmanager
def _new_run(job: Job, group: ProcessGroup) -> Iterator[Run | None]:
    """A new run folder, on rank 0. It is removed at the end if it holds neither a checkpoint nor a result."""
    if not group.is_main:
        yield None
        return
    paths = job.paths
    name = paths.run_name or f"{job.architecture.spec.name.replace('/', '-')}.{paths.tag}"
    run = Run.start(paths.runs, name, _record(job), numbered=paths.run_name is None)
    try:
        if not paths.force:
            refuse_concurrent_run(paths.runs, job.weights_file, run.path)  # one may have started meanwhile
        yield run
    finally:
        if not (run.checkpoint.exists() or run.result.exists()):
            run.discard()
        run.release()


@contextmanager
def open_trainer(job: Job, run: Run | None, callback: Callback, group: ProcessGroup) -> Iterator[Trainer]:
    """A trainer that continues from the run's checkpoint, if there is one, and writes checkpoints and the history.

    Where the block is interrupted, or the data or another rank fails, a last checkpoint is written, and the exception
    gets a note with the command that resumes the run.

    Args:
        run: the run folder; `None` on ranks other than 0.

    Raises:
        TrainingError: the loss is no longer finite, the checkpoint is damaged, or another rank was lost.
    """
    device, paths = job.paths.device, job.paths
    if run is not None and not run.is_locked:
        callback.on_message(f"this file system has no file locks; let no other process resume {run.path}", warning=True)
    folder = _run_path(run, group)
    module = job.initial_model().to(device)
    if device.type != "mps":
        module.to(memory_format=torch.channels_last)
    state = State.initial(module, job.recipe, device, job.head)
    checkpoint = read_checkpoint(run.checkpoint) if run is not None and run.checkpoint.exists() else None
    checkpoint = broadcast_checkpoint(checkpoint, group)
    if checkpoint is not None:
        state.restore(*checkpoint)
        refuse_position(folder / "checkpoint.safetensors", state.step, len(state.history), job.plan.steps)
        if run is not None and state.history:
            run.write_history(state.history)
        callback.on_message(f"resumes after step {state.step:,} of {job.plan.epochs * job.plan.steps:,}")
    resume = resume_command(group.launcher, folder, paths.weights, force=paths.force)
    with (
        explain_lost_rank(f"See the error of that rank, then resume: {resume}"),
        Signals(group.all_reduce_max if group.world_size > 1 else None) as signals,
        open_events(folder, paths.tensorboard and group.is_main) as events,
    ):
        saved_step = state.step if checkpoint is not None and run is not None else None
        saver = Saver(run, state, signals, paths.checkpoint_every, saved_step, resume)

        def on_epoch_end(epoch: Epoch) -> None:
            if run is not None:
                card = replace(job.card, metrics=epoch.evaluation.metrics(job.data.name, epoch.split))
                save_weights(run.weights, state.eval_module.state_dict(), card, force=True)
                run.write_history(state.history)
            saver.save()
            events.epoch(epoch.number, epoch.row())
            callback.on_epoch(epoch)

        try:
            yield Trainer(
                state,
                job.plan,
                job.recipe,
                job.data,
                job.train_loss,
                device,
                group,
                eval_loss=job.loss,
                signals=signals,
                callback=callback,
                on_step_end=saver.save_if_due,
                on_epoch_end=on_epoch_end,
            )
        except Diverged as error:
            raise _diverged(error, job, run, saver) from None
        except BaseException as error:
            lost = lost_worker(error)  # a signal raises it, at any line
            saver.save_at_end(lost or error)
            if saver.saved is not None:
                how = "Stopped" if isinstance(lost or error, Exception) else "Interrupted"
                total = job.plan.epochs * job.plan.steps
                (lost or error).add_note(f"{how} at step {saver.saved:,} of {total:,}. Resume: {resume}")
                callback.on_interrupt(folder, saver.saved, total)
            if lost is not None:
                raise lost from error
            raise
        events.image(folder / "confusion.png", len(state.history))


def store_result(job: Job, run: Run | None, state: State, group: ProcessGroup) -> Result:
    """Evaluate the trained weights on the test split, and store them with their card and the report."""
    tensors, storage_dtype = as_stored(state.eval_module.state_dict() if state.best is None else state.best.tensors)
    module = job.model()
    put_tensors(module, tensors)
    StepRNG(job.recipe.seed, job.paths.device, group.rank).seed(state.step, "evaluation")
    evaluation = evaluate_distributed(
        module.to(job.paths.device), job.data.test, job.data, job.loss, job.paths.device, group
    )
    card = replace(job.card, metrics=evaluation.metrics(job.data.name, "test"), storage_dtype=storage_dtype)
    path = job.weights_file
    if run is not None:
        card = save_weights(path, tensors, card, force=job.paths.force or _has_tensors(path, tensors))
        _write_report(job, run, state, card, evaluation, module)
        run.finish(path, card.digest)  # until then the run can be resumed, and gives the same weights
    epochs = len(state.history)
    stored = epochs if state.best is None else state.best.epoch
    return Result(path, card, _run_path(run, group), evaluation, epochs, stored)


def _write_report(job: Job, run: Run, state: State, card: Card, evaluation: Evaluation, module: nn.Module) -> None:
    train, root = job.plan.train, os.path.abspath(job.paths.data_root)  # noqa: PTH100  (which leaves links alone)
    shown = torch.linspace(0, train.n - 1, min(train.n, max(evaluation.n, MIN_TRAIN_IMAGES))).long()
    facts = RunFacts(
        run=run.path,
        weights=job.weights_file,
        data=Path(root) if len(job.data.test_files) else None,
        seconds=sum(job.plan.images / max(row["images_per_second"], 0.1) for row in state.history),
        train=evaluate(
            *(module, Subset(train, shown), job.data.preprocess, job.loss),
            num_classes=len(job.data.classes),
            device=job.paths.device,
        ),
    )
    write_report(
        *(run.path, card, evaluation, module, job.data.test, label_counts(train, len(job.data.classes))),
        settings=recipe_rows(card.recipe),
        facts=facts,
        file_of=lambda index: _below(job.data.test_file(index), root),
    )


def _below(file: str, root: str) -> str:
    """A file relative to the folder of the data set that it is in; as it is if it is elsewhere, or empty."""
    return os.path.abspath(file).removeprefix(f"{root}{os.sep}") if file else ""  # noqa: PTH100


def _run_path(run: Run | None, group: ProcessGroup) -> Path:
    """The path of the run folder, on every rank."""
    return Path(os.fsdecode(group.broadcast_bytes(os.fsencode(run.path) if run is not None else b"")))


def _has_tensors(path: Path, tensors: Mapping[str, Tensor]) -> bool:
    """Whether `path` holds these very weights, because this run was killed right after it had stored them."""
    try:
        plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        return read_card(path)[0].digest == tensors_digest(plain)
    except WeightsError:
        return False


def _record(job: Job) -> Record:
    return Record(
        recipe=job.recipe,
        plugins=job.plugins,
        dataset=describe_dataset(job.data),
        environment=dict(job.card.versions),
        tag=job.paths.tag,
        weights=str(job.paths.weights.absolute()),
        data_root=str(job.paths.data_root.absolute()),
        device=job.paths.device.type if "ranks" in job.card.versions else str(job.paths.device),
        force=job.paths.force,
        initial_weights=str(job.initial.path.absolute()) if job.initial else "",
    )


def _diverged(error: Diverged, job: Job, run: Run | None, saver: Saver) -> TrainingError:
    epoch, step = divmod(error.step, job.plan.steps)
    kept = ""
    if run is not None and saver.saved is not None:
        kept = f" The last checkpoint before that, {run.checkpoint}, is of step {saver.saved:,}."
    return TrainingError(
        f"The loss is not finite at step {step + 1:,} of epoch {epoch + 1}, with a learning rate of "
        f"{job.plan.lr(error.step):.2g}.{kept}",
        "Try a lower --lr, more --warmup-epochs, or --clip-grad 1.",
    )
