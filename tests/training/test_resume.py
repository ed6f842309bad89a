"""A run that was stopped and resumed ends in the very bytes of one that was not."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from zoo.contract.callback import Callback
from zoo.contract.errors import DataError, DeviceError, OutputError, TrainingError, UsageError
from zoo.files.weights import load_weights, save_weights
from zoo.registry.registry import Registry
from zoo.training.checkpoint import saver as saver_module
from zoo.training.checkpoint.file import read_checkpoint
from zoo.training.checkpoint.saver import Saver
from zoo.training.distributed.evaluate import evaluate_distributed
from zoo.training.job import run_job
from zoo.training.prepare import RunPaths
from zoo.training.recipe.recipe import Recipe
from zoo.training.resume import ResumeOverrides, find_run, resume_job
from zoo.training.trainer import Trainer

Make = Callable[..., Recipe]
Put = Callable[..., RunPaths]
Hearing = Callable[..., Callback]
RECIPES: dict[str, dict[str, Any]] = {
    "adamw": {},
    "sgd": {"opt": "sgd", "clip_grad": 0.5, "grad_accum_steps": 2, "sched": "step", "epochs": 4, "batch_size": 16},
    "muon": {"opt": "muon", "sched": "one_cycle", "model_ema_decay": 0.9},
    "hold-out": {"hold_out": 0.2, "model_ema_decay": 0.9, "momentum": 0.8, "epochs": 4, "batch_size": 16},
    "early end": {"hold_out": 0.2, "patience": 2, "epochs": 30, "lr": 0.05, "warmup_epochs": 0.0},
    "augmented": {
        "aa": "trivial",
        "reprob": 0.5,
        "mixup": 0.3,
        "cutmix": 1.0,
        "grad_accum_steps": 2,
        "batch_size": 16,
    },
    "sampler": {"balance": "sampler", "hold_out": 0.2, "epochs": 4, "batch_size": 16},
    "weights": {"balance": "weights"},
    "no momentum": {"opt": "sgd", "momentum": 0.0, "sched": "constant", "crop": 0, "hflip": False},
}


def stop_at(monkeypatch: pytest.MonkeyPatch, *steps: int, error: BaseException | None = None) -> None:
    """Let Ctrl-C come after these steps, once each."""
    left = list(steps)

    def due(self: Saver) -> None:
        if left and self._state.step == left[0]:
            left.pop(0)
            raise error or KeyboardInterrupt

    monkeypatch.setattr(Saver, "save_if_due", due)


def go_on(small: Registry, name: str, **more: Any) -> bytes:
    path, record = find_run(name)
    return resume_job(small, path, record, ResumeOverrides(**more)).path.read_bytes()


@pytest.mark.parametrize("name", RECIPES)
def test_resumed_runs_end_in_the_same_bytes(
    small: Registry, recipe: Make, paths: Put, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Stopped after the first step, within an epoch, at an epoch's last step, and once more."""
    made = recipe(**RECIPES[name])
    alone = run_job(small, made, paths("same"))
    expected = alone.path.read_bytes()
    history = _history(alone.run)
    alone.path.unlink()
    alone.run.rename("alone")
    stop_at(monkeypatch, 1, 3, 4, 7)
    with pytest.raises(KeyboardInterrupt):
        run_job(small, made, paths("same"))
    for step in (3, 4, 7):
        assert read_checkpoint(Path("runs/same/checkpoint.safetensors"))[1]["step"] < step
        with pytest.raises(KeyboardInterrupt):
            go_on(small, "same")
    torch.manual_seed(99)  # whatever was drawn in between
    assert go_on(small, "same") == expected
    assert _history(Path("runs/same")) == history


def test_versions_include_the_plugins_distribution(small: Registry, recipe: Make, paths: Put) -> None:
    assert run_job(small, recipe(epochs=1), paths("same")).card.versions["kit"] == "1"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"batch_size": 40, "grad_accum_steps": 2, "drop_last": True}, "70 of 150"),
        ({"batch_size": None}, " 8, "),
        ({"batch_size": 140, "hold_out": 0.2}, "than 140"),
        ({"batch_size": 30}, ""),
    ],
)
def test_it_is_told_where_an_epoch_is_not_what_was_asked_for(
    small: Registry, recipe: Make, paths: Put, fields: dict[str, Any], message: str, callback: Hearing
) -> None:
    messages: list[str] = []

    def hear(text: str, *, warning: bool = False) -> None:
        messages.extend([] if warning else [text])

    run_job(small, recipe(epochs=1, **fields), paths("same"), callback(on_message=hear))
    assert any(message in line for line in messages) if message else not messages


def test_a_shift_that_may_leave_nothing_to_see_is_refused(small: Registry, recipe: Make, paths: Put) -> None:
    run_job(small, recipe(epochs=1, crop=7), paths("same"))
    with pytest.raises(UsageError, match="8×8 pixels"):
        run_job(small, recipe(epochs=1, crop=8), paths("other"))


@pytest.mark.parametrize("workers", [0, 2])
def test_data_that_is_streamed_is_gone_on_with_where_it_stopped(
    small: Registry, recipe: Make, paths: Put, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    made = recipe(hold_out=0.2, epochs=2, batch_size=16)
    put = paths("same", workers=workers, memory_limit=0.0)
    alone = run_job(small, made, replace(put, weights=Path("alone"), run_name="alone"))
    stop_at(monkeypatch, 3)
    with pytest.raises(KeyboardInterrupt):
        run_job(small, made, put)
    assert go_on(small, "same", workers=workers, memory_limit=0.0) == alone.path.read_bytes()


def _history(run: Path) -> list[list[str]]:
    """The history, but for the speed."""
    return [line.split(",")[:-1] for line in (run / "history.csv").read_text().splitlines()]


def test_seed_determines_the_bytes(small: Registry, recipe: Make, paths: Put) -> None:
    first = run_job(small, recipe(), replace(paths("same"), weights=Path("a"), run_name="a"))
    again = run_job(small, recipe(), replace(paths("same"), weights=Path("b"), run_name="b"))
    other = run_job(small, recipe(seed=1), replace(paths("same"), weights=Path("c"), run_name="c"))
    assert first.path.read_bytes() == again.path.read_bytes()
    assert first.card.digest != other.card.digest


def test_a_run_killed_before_its_first_checkpoint_begins_again(
    small: Registry, recipe: Make, paths: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = run_job(small, recipe(), paths("same"))
    bytes_ = expected.path.read_bytes()
    expected.path.unlink()
    (expected.run / "result.json").unlink()
    assert not (expected.run / "checkpoint.safetensors").exists()
    assert go_on(small, "same") == bytes_


def test_a_run_killed_after_it_stored_its_weights_finishes(
    small: Registry, recipe: Make, paths: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weights file is there, and is its own; nobody has to say --force."""
    done = run_job(small, recipe(), paths("same"))
    expected = done.path.read_bytes()
    (done.run / "result.json").unlink()
    assert go_on(small, "same") == expected
    with pytest.raises(TrainingError, match=r"is finished.*weights/net\.same"):
        go_on(small, "same")


def test_a_weights_file_of_another_run_is_not_replaced(
    small: Registry, recipe: Make, paths: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_at(monkeypatch, 2)
    with pytest.raises(KeyboardInterrupt):
        run_job(small, recipe(), paths("same"))
    run_job(small, recipe(seed=1), replace(paths("same"), run_name="other"))
    before = Path("weights/net.same.safetensors").read_bytes()
    with pytest.raises(OutputError, match="already exists") as caught:
        go_on(small, "same")
    assert "Move it away" in caught.value.next_step
    assert Path("weights/net.same.safetensors").read_bytes() == before
    assert go_on(small, "same", force=True) != before


def test_nor_are_those_of_the_same_recipe_on_other_data(
    small: Registry, recipe: Make, paths: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which they are is known at the end: the run's own would be the same."""
    done = run_job(small, recipe(), replace(paths("same"), run_name="other"))
    weights = load_weights(done.path)
    done.path.unlink()
    stop_at(monkeypatch, 2)
    with pytest.raises(KeyboardInterrupt):
        run_job(small, recipe(), paths("same"))
    save_weights(done.path, {name: value * 2 for name, value in weights.tensors.items()}, weights.card)
    before = done.path.read_bytes()
    with pytest.raises(OutputError, match="already exists"):
        go_on(small, "same")
    assert done.path.read_bytes() == before
    assert go_on(small, "same", force=True) != before


@pytest.mark.parametrize("place", ["middle", "header", "truncated", "empty"])
def test_a_damaged_checkpoint_is_refused_and_left_alone(
    small: Registry, recipe: Make, paths: Put, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    path = _stopped(small, recipe, paths, monkeypatch)
    good = path.read_bytes()
    damaged = {
        "middle": good[: len(good) // 2] + bytes([good[len(good) // 2] ^ 1]) + good[len(good) // 2 + 1 :],
        "header": good.replace(b'"step', b'"stap').replace(b'\\"step\\"', b'\\"stap\\"'),
        "truncated": good[:-9],
        "empty": b"",
    }[place]
    assert damaged != good
    path.write_bytes(damaged)
    with pytest.raises(TrainingError, match=r"checkpoint\.safetensors cannot be used"):
        go_on(small, "same")
    assert path.read_bytes() == damaged


def test_failed_report_is_written_on_resume(
    small: Registry, recipe: Make, paths: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any, **named: Any) -> None:
        raise OutputError("No space left on device.", "Make room.")

    with monkeypatch.context() as patched:
        patched.setattr("zoo.training.job.write_report", full)
        with pytest.raises(OutputError, match="No space left"):
            run_job(small, recipe(), paths("same"))
    made = Path("weights/net.same.safetensors").read_bytes()
    assert not Path("runs/same/report.md").exists() and Path("runs/same/checkpoint.safetensors").exists()
    assert go_on(small, "same") == made and Path("runs/same/report.md").exists()


def test_nan_in_evaluation_names_step_and_checkpoint(
    small: Registry, recipe: Make, paths: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs = iter((1.0, float("nan")))
    monkeypatch.setattr(
        "zoo.training.trainer.evaluate_distributed",
        lambda *args: replace(evaluate_distributed(*args), loss=next(epochs)),
    )
    with pytest.raises(TrainingError, match=r"step 5 of epoch 2.* is of step 5\."):
        run_job(small, recipe(), paths("same"))


@pytest.mark.parametrize("where", ["zoo.training.augment.pipeline.Augmenter.__call__", "zoo.training.job.open_events"])
@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")])
def test_out_of_memory_is_a_device_error(
    small: Registry, recipe: Make, paths: Put, monkeypatch: pytest.MonkeyPatch, where: str, error: Exception
) -> None:
    monkeypatch.setattr(where, lambda *given, **more: (_ for _ in ()).throw(error))
    with pytest.raises(DeviceError, match="out of memory"):
        run_job(small, recipe(), paths("same"))
    assert not Path("runs").exists()


def _stopped(small: Registry, recipe: Make, paths: Put, monkeypatch: pytest.MonkeyPatch) -> Path:
    stop_at(monkeypatch, 2)
    with pytest.raises(KeyboardInterrupt):
        run_job(small, recipe(), paths("same"))
    return Path("runs/same/checkpoint.safetensors")


@pytest.mark.parametrize(
    ("was", "now", "says"),
    [
        ("self.labels % 3", "self.labels % 2", "other labels"),
        ("count = 150", "count = 151", "151 training images.* 150"),
        ("else 60", "else 61", "61 test images"),
        ("% 3\n", "% 3\n        self.images = self.images[:, ::-1]\n", "other train images"),
        ("% 3\n", "% 3\n        self.images[-1] ^= split == 'test'\n", "other test images"),
        ("width=8):", "width=8, more=0):\n    width += 1", "does not fit the model.*0.bias"),
    ],
    ids=["labels", "train", "test", "pixels", "tested", "model"],
)
def test_data_or_a_model_that_is_another_now_is_refused(
    small: Registry, recipe: Make, paths: Put, monkeypatch: pytest.MonkeyPatch, was: str, now: str, says: str
) -> None:
    import small_kit

    path = _stopped(small, recipe, paths, monkeypatch)
    before = path.read_bytes()
    source = Path(small_kit.__file__).read_text()
    assert was in source
    exec(source.replace(was, now), small_kit.__dict__)
    with pytest.raises(TrainingError, match=says):
        go_on(small, "same")
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"zoo": "0.0.1"}, "zoo 0.0.1"),
        ({"plugins": {"architecture": "kit 0.9"}}, "architecture of kit 0.9.*kit 1 is installed"),
        (
            {"plugins": {"architecture": "kit 1", "dataset": "kit 1", "loss": "losses 2"}},
            "loss of losses 2.*kit 1 is installed",
        ),
        ({"recipe": {"architecture": "net"}}, "damaged"),
        ({"tag": "same", "more": 2}, "damaged"),
        ({"tag": 1}, "damaged .tag is 1"),
        ({"plugins": ["kit 1"]}, "damaged .plugins is"),
        ({"dataset": None}, "damaged .dataset is None"),
    ],
    ids=["zoo", "architecture", "loss", "recipe", "fields", "tag", "plugins", "data"],
)
def test_damaged_or_newer_run_record_is_refused(
    small: Registry, recipe: Make, paths: Put, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], says: str
) -> None:
    _stopped(small, recipe, paths, monkeypatch)
    path = Path("runs/same/run.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(TrainingError, match=says):
        go_on(small, "same")


def test_a_folder_that_is_no_run_and_another_device_are_refused(
    small: Registry, recipe: Make, paths: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    _stopped(small, recipe, paths, monkeypatch)
    for name in ("nowhere", "."):
        with pytest.raises(TrainingError, match="not a run folder"):
            find_run(name)
    with pytest.raises(UsageError, match="started on cpu"):
        go_on(small, "same", device="cuda")


def test_a_run_that_is_running_is_not_resumed(
    small: Registry, recipe: Make, paths: Put, monkeypatch: pytest.MonkeyPatch, callback: Hearing
) -> None:
    tried = []

    def resume(*_: object) -> None:
        with pytest.raises(TrainingError, match="Another process is running"):
            go_on(small, "same")
        tried.append(True)

    run_job(small, recipe(), paths("same"), callback(on_epoch=resume))
    assert len(tried) == 3


def test_full_disk_keeps_the_last_checkpoint(
    small: Registry, recipe: Make, paths: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = run_job(small, recipe(), replace(paths("same"), weights=Path("alone"), run_name="alone"))
    write, count = saver_module.write_checkpoint, iter(range(9))

    def full(path: Path, *rest: Any) -> None:
        if next(count) == 2:
            raise OutputError(f"{path} could not be written: No space left on device.", "Make room.")
        write(path, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(saver_module, "write_checkpoint", full)
        with pytest.raises(OutputError) as raised:
            run_job(small, recipe(), paths("same", checkpoint_every=0.0))
    assert "step 2" in raised.value.cause and "--resume runs/same" in raised.value.next_step
    assert go_on(small, "same") == alone.path.read_bytes()


def test_an_error_in_the_data_keeps_what_was_trained(
    small: Registry, recipe: Make, paths: Put, monkeypatch: pytest.MonkeyPatch, callback: Hearing
) -> None:
    stop_at(monkeypatch, 3, error=DataError("A picture is gone.", "Put it back."))
    interrupted = list[tuple[Path, int, int]]()

    def on_interrupt(run: Path, step: int, total: int) -> None:
        interrupted.append((run, step, total))

    with pytest.raises(DataError):
        run_job(small, recipe(), paths("same"), callback(on_interrupt=on_interrupt))
    assert [(run, step) for run, step, _ in interrupted] == [(Path("runs/same"), 3)] and interrupted[0][2] > 3
    assert read_checkpoint(Path("runs/same/checkpoint.safetensors"))[1]["step"] == 3


def test_stop_within_a_step_keeps_the_last_checkpoint(
    small: Registry, recipe: Make, paths: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a step can not be gone on from: it would be taken twice."""
    alone = run_job(small, recipe(), replace(paths("same"), weights=Path("alone"), run_name="alone"))
    step = Trainer.step

    def torn(self: Trainer, batches: Any) -> None:
        if self.state.step == 6:
            self.state.module.get_parameter("0.weight").data.zero_()
            raise KeyboardInterrupt
        step(self, batches)

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "step", torn)
        with pytest.raises(KeyboardInterrupt):
            run_job(small, recipe(), paths("same"))
    assert read_checkpoint(Path("runs/same/checkpoint.safetensors"))[1]["step"] == 5
    assert go_on(small, "same") == alone.path.read_bytes()


def test_nan_loss_names_step_lr_and_checkpoint(
    small: Registry, recipe: Make, paths: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Trainer.step

    def broken(self: Trainer, batches: Any) -> None:
        if self.state.step == 6:
            self.state.module.get_parameter("0.weight").data.fill_(float("nan"))
        step(self, batches)

    monkeypatch.setattr(Trainer, "step", broken)
    with pytest.raises(TrainingError) as raised:
        run_job(small, recipe(sched="constant", warmup_epochs=0.0), paths("same", checkpoint_every=0.0))
    assert "at step 2 of epoch 2, with a learning rate of 0.001." in raised.value.cause
    assert "checkpoint.safetensors, is of step 6" in raised.value.cause
    tensors, facts = read_checkpoint(Path("runs/same/checkpoint.safetensors"))
    assert facts["step"] == 6 and all(bool(tensor.isfinite().all()) for tensor in tensors.values())
    with pytest.raises(TrainingError):
        run_job(small, recipe(seed=1, lr=1e30, opt="sgd"), paths("other"))
    assert not Path("runs/other").exists()
