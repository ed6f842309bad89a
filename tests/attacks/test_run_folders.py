"""Run folders that somebody else made: what they say is checked, and they write only where that is expected."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from zoo.contract.errors import TrainingError
from zoo.files.metadata import to_metadata
from zoo.files.weights import tensors_digest
from zoo.training.checkpoint.file import FORMAT, KEY, read_checkpoint
from zoo.training.checkpoint.metadata import parse_metadata
from zoo.training.checkpoint.saver import Saver
from zoo.training.run.destination import is_expected, resume_command
from zoo.training.run.record import parse_record

Run = Callable[..., Any]
Refused = Callable[..., str]
TRAIN = ("train", "lenet5", "--data", "digits", "-b", "256", "--device", "cpu", "--epochs", "2")
HUGE = 10**400


@pytest.fixture
def stopped(run_zoo: Run, here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that Ctrl-C ended in the middle of its second epoch of five steps."""

    def due(self: Saver) -> None:
        if self._state.step == 7:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Saver, "save_if_due", due)
        assert run_zoo(*TRAIN).code == 130
    return here / "runs" / "lenet5.digits"


def change_record(run: Path, **fields: Any) -> None:
    record = json.loads((run / "run.json").read_text()) | fields
    (run / "run.json").write_text(json.dumps(record))


def change_checkpoint(
    run: Path,
    metadata: Callable[[dict[str, Any]], Any] = lambda data: data,
    tensors: Callable[[dict[str, torch.Tensor]], Any] = lambda values: None,
) -> None:
    """Write the checkpoint again with its checksums correct."""
    path = run / "checkpoint.safetensors"
    values, data = read_checkpoint(path)
    tensors(values)
    data = metadata(data)
    header = to_metadata(KEY, {"format": FORMAT, "metadata": data, "digest": tensors_digest(values)})
    path.write_bytes(safetensors.torch.save(values, header))


@pytest.mark.parametrize("place", ["absolute", "above", "home", "link"])
def test_weights_go_only_where_they_are_expected(
    run_zoo: Run, refused: Refused, stopped: Path, tmp_path: Path, place: str
) -> None:
    """Another folder must be named on the command line."""
    elsewhere = tmp_path / "elsewhere"
    folder = {
        "absolute": str(elsewhere),
        "above": f"{stopped.parents[1]}/../elsewhere",
        "home": f"{Path.home()}/.zoo_attack/weights",
        "link": str(stopped.parents[1] / "link" / "elsewhere"),
    }[place]
    (stopped.parents[1] / "link").symlink_to(tmp_path)
    change_record(stopped, weights=folder)
    message = refused(run_zoo("train", "--resume", str(stopped)), 2)
    assert folder in message and "--output" in message
    assert not elsewhere.exists() and not Path(folder).exists()
    assert (stopped / "checkpoint.safetensors").exists()
    if place == "absolute":
        ran = run_zoo("train", "--resume", str(stopped), "--output", folder)
        assert ran.code == 0, ran.err
        assert (elsewhere / "lenet5.digits.safetensors").exists()


def test_expected_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "project"
    run = project / "runs" / "mine"
    run.mkdir(parents=True)
    monkeypatch.chdir(project)
    assert all(is_expected(project / name, run) for name in ("weights", "models/a", "."))
    assert not any(is_expected(Path(name), run) for name in ("/", "/tmp", str(tmp_path), str(project / "..")))
    (project / "out").symlink_to(tmp_path)
    (project / "weights").symlink_to(tmp_path)
    assert not is_expected(project / "out", run)
    assert is_expected(project / "weights", run), "where zoo train would write, too"
    monkeypatch.chdir(tmp_path)
    (project / "weights").unlink()
    assert is_expected(project / "weights", run)
    monkeypatch.chdir("/")
    (project / "weights").symlink_to(tmp_path)
    monkeypatch.chdir(run)
    assert is_expected(project / "weights", Path("../mine").absolute()) is False


def test_resume_command_repeats_what_it_must(here: Path) -> None:
    run = Path("runs/my run")
    assert resume_command("zoo", run, Path("weights"), force=False) == "zoo train --resume 'runs/my run'"
    assert resume_command("zoo", run, Path("/x y"), force=True).endswith("--output '/x y' --force")


def test_force_of_a_record_is_not_used(run_zoo: Run, refused: Refused, stopped: Path, here: Path) -> None:
    change_record(stopped, force=True)
    file = here / "weights" / "lenet5.digits.safetensors"
    file.parent.mkdir()
    file.write_bytes(b"mine")
    assert "--force" in refused(run_zoo("train", "--resume", str(stopped)), 1)
    assert file.read_bytes() == b"mine"
    assert run_zoo("train", "--resume", str(stopped), "--force").code == 0
    assert file.read_bytes() != b"mine"


def test_resuming_shows_where_it_reads_and_writes(run_zoo: Run, stopped: Path, tmp_path: Path) -> None:
    ran = run_zoo("train", "--resume", str(stopped), "-o", str(tmp_path / "else where"))
    assert ran.code == 0
    assert str(tmp_path / "else where" / "lenet5.digits.safetensors") in ran.err and str(tmp_path / "data") in ran.err


@pytest.mark.parametrize(
    "fields",
    [
        {"tag": "../../x"},
        {"tag": ""},
        {"tag": "a/b"},
        {"tag": 1},
        {"weights": "relative"},
        {"weights": "/a\0b"},
        {"weights": "/" + "x/" * 5000},
        {"weights": None},
        {"data_root": "../data"},
        {"data_root": ["/data"]},
        {"force": "yes"},
        {"force": 1},
        {"device": None},
        {"device": "no device"},
        {"initial_weights": {}},
        {"environment": {"ranks": "many"}},
        {"environment": {"ranks": "0"}},
        {"environment": {"ranks": "9" * 4000}},
        {"environment": {"ranks": 2}},
        {"environment": []},
        {"plugins": {"architecture": 1}},
        {"plugins": None},
        {"dataset": []},
        {"dataset": {"classes": 7}},
        {"zoo": 1},
        {"zoo": None},
        {"format": "3"},
        {"recipe": []},
        {"recipe": {"version": 3, "architecture": "lenet5", "data": "digits", "epochs": 1e308}},
        {"recipe": {"version": 3, "architecture": "lenet5", "data": "digits", "warmup_epochs": HUGE}},
        {"recipe": {"version": 3, "architecture": "../x", "data": "digits"}},
        {"surplus": 1},
    ],
    ids=lambda fields: str(fields)[:40],
)
def test_fields_of_a_record_are_checked(run_zoo: Run, refused: Refused, stopped: Path, fields: dict[str, Any]) -> None:
    change_record(stopped, **fields)
    before = sorted(path.name for path in stopped.parents[1].rglob("*"))
    ran = run_zoo("train", "--resume", str(stopped))
    assert ran.code in (1, 2)
    assert len(refused(ran, ran.code)) < 1500
    assert sorted(path.name for path in stopped.parents[1].rglob("*")) == before


@pytest.mark.parametrize(
    "content", [b"", b"\xff", b"[]", b"null", b"[" * 100_000, b'{"zoo": NaN}', b"1" * 5000, b'{"a": "\\ud800"}']
)
def test_damaged_records_are_refused(content: bytes) -> None:
    with pytest.raises(TrainingError, match="damaged"):
        parse_record(content, Path("runs/x/run.json"))


def row(epoch: int, **fields: Any) -> dict[str, Any]:
    values = {"epoch": epoch, "lr": 0.1, "train_loss": 1, "test_loss": 1.0, "test_top1": 0.5, "images_per_second": 9.0}
    return values | fields


GOOD = {"step": 7, "seconds": 1.5, "history": [row(1)], "best": None, "optimizer": {}}
BAD: list[Any] = [
    None,
    [],
    {},
    {**GOOD, "surplus": 1},
    *({**GOOD, "step": value} for value in (-1, 1.0, "7", None, True, 2**63, HUGE, 0)),
    *({**GOOD, "seconds": value} for value in (-1.0, "1", None, float("nan"), float("inf"), HUGE, True)),
    *({**GOOD, "history": value} for value in (None, {}, "x", [None], [[]], [{}], [row(2)], [row(1), row(1)])),
    *({**GOOD, "history": [row(1, **more)]} for more in ({"lr": "0"}, {"lr": None}, {"lr": float("nan")}, {"x": 1})),
    {**GOOD, "history": [row(1), {**row(2), "hold_out_loss": 1.0}]},
    {**GOOD, "history": [{"epoch": 1}]},
    {**GOOD, "history": [row(1.0)]},
    *({**GOOD, "best": value} for value in (1, [], {}, {"epoch": 1}, {"epoch": 2, "top1": 0.5, "loss": 1.0})),
    *({**GOOD, "best": {"epoch": 1, "top1": value, "loss": 1.0}} for value in (2, -0.1, "1", None)),
    *({**GOOD, "optimizer": value} for value in (None, [], {"x": 1}, {"optimizer.0.-1.a": 1})),
    *({**GOOD, "optimizer": {"optimizer.0.0.step": value}} for value in ("1", [], float("inf"), True)),
]


@pytest.mark.parametrize("data", BAD, ids=lambda data: str(data)[:30])
def test_metadata_of_a_checkpoint_are_checked(data: Any) -> None:
    parse_metadata(GOOD)
    with pytest.raises(ValueError):
        parse_metadata(data)


@pytest.mark.parametrize(
    ("name", "metadata", "tensors"),
    [
        ("step", lambda data: data | {"step": 70}, None),
        ("step", lambda data: data | {"step": 3}, None),
        ("history", lambda data: data | {"history": []}, None),
        ("history", lambda data: data | {"history": data["history"] * 2}, None),
        ("best", lambda data: data | {"best": {"epoch": 1, "top1": 0.5, "loss": 1.0}}, None),
        ("optimizer", lambda data: data | {"optimizer": {"optimizer.0.0.lr": 0.5}}, None),
        ("optimizer", lambda data: data | {"optimizer": {"optimizer.0.99999.step": 1.0}}, None),
        ("exp_avg", None, lambda values: values.pop("optimizer.0.0.exp_avg")),
        ("exp_avg", None, lambda values: values.update({"optimizer.0.0.exp_avg": torch.zeros(1)})),
        ("step", None, lambda values: values.update({"optimizer.0.0.step": torch.zeros(3)})),
        ("loss_sum", None, lambda values: values.pop("loss_sum")),
        ("loss_sum", None, lambda values: values.update(loss_sum=torch.zeros(2))),
        ("model", None, lambda values: values.update({"model.x": torch.zeros(1)})),
        ("dtype", None, lambda values: values.update({k: v.double() for k, v in values.items() if k[:6] == "model."})),
    ],
)
def test_checkpoints_that_do_not_fit_are_refused(
    run_zoo: Run, refused: Refused, stopped: Path, name: str, metadata: Any, tensors: Any
) -> None:
    change_checkpoint(stopped, metadata or (lambda data: data), tensors or (lambda values: None))
    digest = hashlib.sha256((stopped / "checkpoint.safetensors").read_bytes()).digest()
    refused(run_zoo("train", "--resume", str(stopped)), 1)
    assert hashlib.sha256((stopped / "checkpoint.safetensors").read_bytes()).digest() == digest
    assert not (stopped.parents[1] / "weights").exists()


def test_unchanged_checkpoint_is_resumed(run_zoo: Run, stopped: Path) -> None:
    change_checkpoint(stopped)
    assert run_zoo("train", "--resume", str(stopped)).code == 0


def test_other_output_needs_no_record(run_zoo: Run, stopped: Path) -> None:
    change_record(stopped, weights="/nowhere/at/all")
    assert run_zoo("train", "--resume", str(stopped), "-o", "mine").code == 0
