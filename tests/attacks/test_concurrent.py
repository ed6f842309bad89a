"""Several processes that want the same place: one gets it, the others end at once with a sentence."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zoo.contract.errors import OutputError
from zoo.files.claim import claimed
from zoo.training.recipe.recipe import Recipe
from zoo.training.run.folder import Run as RunFolder
from zoo.training.run.record import Record

Run = Callable[..., Any]
Refused = Callable[..., str]
Start = Callable[..., "subprocess.Popen[str]"]
WAIT = 300  # seconds, for a slow machine
TRAIN = ("train", "lenet5", "--data", "digits", "--epochs", "1", "-b", "256", "--device", "cpu")
HOLD = """
import sys
from pathlib import Path
from zoo.files.claim import claimed
with claimed(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def hold() -> Callable[[Path], "subprocess.Popen[str]"]:
    """Start a process that claims a path until its standard input is closed."""

    def start(path: Path) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        return process

    return start


def end(process: "subprocess.Popen[str]", number: signal.Signals | None = None) -> None:
    if number is not None:
        process.send_signal(number)
    process.communicate()


def record() -> Record:
    return Record(
        recipe=Recipe(architecture="lenet5", data="digits"),
        plugins={},
        dataset={},
        environment={},
        tag="t",
        weights="/w",
        data_root="/d",
        device="cpu",
        force=False,
    )


def test_claim_names_its_holder_and_leaves_nothing(tmp_path: Path, hold: Any) -> None:
    path = tmp_path / "new" / "folder" / "a.safetensors"
    process = hold(path)
    with pytest.raises(OutputError, match=f"Process {process.pid} is writing"), claimed(path):
        pytest.fail("it was claimed twice")
    with claimed(path.with_name("b.safetensors")):
        pass
    end(process)
    with claimed(path), claimed(path.with_name("b.safetensors")):
        pass
    assert not list(tmp_path.iterdir())


def test_claim_of_a_killed_process_is_none(tmp_path: Path, hold: Any) -> None:
    process = hold(tmp_path / "a")
    end(process, signal.SIGKILL)
    assert [path.name for path in tmp_path.iterdir()] == [".a.lock"]
    with claimed(tmp_path / "a"):
        pass
    assert not list(tmp_path.iterdir())


def test_claims_are_exclusive_under_load(tmp_path: Path) -> None:
    """Four processes take turns: no two hold the claim at once, and none fails otherwise."""
    code = """
import os, sys
from pathlib import Path
from zoo.contract.errors import OutputError
from zoo.files.claim import claimed
path, held = Path(sys.argv[1]), 0
while held < 20:
    try:
        with claimed(path):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL))
            os.unlink(path)
            held += 1
    except OutputError:
        pass
"""
    place = tmp_path / "new" / "a"
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(place)], stderr=subprocess.PIPE, text=True) for _ in range(4)
    ]
    errors = [process.communicate(timeout=WAIT)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, errors
    assert not list(tmp_path.rglob("*a*"))


@pytest.mark.parametrize("kind", ["fifo", "link", "folder"])
@pytest.mark.usefixtures("in_time")
def test_strange_lock_files_do_not_hang(tmp_path: Path, kind: str) -> None:
    lock = tmp_path / ".a.lock"
    target = tmp_path / "target"
    target.write_text("mine")
    if kind == "fifo":
        os.mkfifo(lock)
    elif kind == "link":
        lock.symlink_to(target)
    else:
        lock.mkdir()
    try:
        with claimed(tmp_path / "a"):
            pass
    except OutputError:
        pass
    assert target.read_text() == "mine"


def test_train_is_refused_before_it_reads_data(run_zoo: Run, refused: Refused, here: Path, hold: Any) -> None:
    process = hold(here / "weights" / "lenet5.digits.safetensors")
    ran = run_zoo(*TRAIN)
    message = refused(ran, 1)
    assert str(process.pid) in message and "lenet5.digits" in message and "training and" not in ran.err
    assert not (here / "runs").exists()
    assert run_zoo(*TRAIN, "--tag", "other").code == 0
    assert run_zoo(*TRAIN, "--force").code == 0
    end(process)


def test_export_is_refused_before_it_begins(run_zoo: Run, refused: Refused, here: Path, hold: Any) -> None:
    assert run_zoo(*TRAIN).code == 0
    process = hold(here / "out")
    for force in ((), ("--force",)):
        ran = run_zoo("export", "lenet5.digits", "-f", "torchscript", "-o", "out", *force)
        message = refused(ran, 1)
        assert str(process.pid) in message and "out" in message and "evaluating" not in ran.err
    end(process, signal.SIGKILL)
    assert run_zoo("export", "lenet5.digits", "-f", "torchscript", "-o", "out").code == 0
    assert sorted(path.name for path in here.iterdir()) == ["out", "runs", "weights"]


def test_run_may_start_while_another_is_discarded(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name is free from the moment at which the other begins to be removed."""
    first = RunFolder.start(here / "runs", "same", record(), numbered=False)
    started = []
    rmtree = shutil.rmtree

    def meanwhile(path: Path, **more: Any) -> None:
        monkeypatch.setattr("shutil.rmtree", rmtree)
        started.append(RunFolder.start(here / "runs", "same", record(), numbered=False))
        rmtree(path, **more)

    monkeypatch.setattr("shutil.rmtree", meanwhile)
    first.discard()
    first.release()
    assert [path.name for path in (here / "runs").iterdir()] == ["same"]
    assert sorted(path.name for path in (here / "runs" / "same").iterdir()) == ["recipe.json", "run.json"]
    started[0].discard()
    started[0].release()
    assert not list(here.glob("runs/*"))


def test_discarding_what_somebody_removed(here: Path) -> None:
    run = RunFolder.start(here / "runs", "gone", record(), numbered=False)
    shutil.rmtree(run.path)
    run.discard()
    run.release()


@pytest.mark.slow
def test_four_trains_of_one_tag_at_once(start_zoo: Start, run_zoo: Run, here: Path) -> None:
    processes = [start_zoo(*TRAIN) for _ in range(4)]
    errors = [process.communicate(timeout=WAIT)[1] for process in processes]
    assert sorted(process.returncode for process in processes) == [0, 1, 1, 1], errors
    assert not [error for error in errors if "Traceback" in error]
    assert [path.name for path in (here / "runs").iterdir()] == ["lenet5.digits"]
    assert [path.name for path in (here / "weights").iterdir()] == ["lenet5.digits.safetensors"]
    assert run_zoo("weights", "verify", "lenet5.digits").code == 0
