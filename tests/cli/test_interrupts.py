"""Ctrl-C, SIGTERM and SIGKILL at any time: the exit code is right, old outputs stay, and nothing partial is left."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Start = Callable[..., subprocess.Popen[str]]
Tree = Callable[[Path], dict[str, bytes | None]]
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
WAIT = 180  # seconds, for a slow machine

SLOW = """
import time, numpy as np
def load(root, split, download):
    return Slow()
class Slow:
    def __len__(self):
        return {count}
    def __getitem__(self, index):
        if index == 3:
            import sys
            print("reading", file=sys.stderr, flush=True)
        time.sleep(0.05 if index < 4 else 60)
        return np.zeros((8, 8), np.uint8), index % 2
"""
PLUGIN = """
from zoo import Dataset, hookimpl
@hookimpl
def zoo_specs():
    names = tuple("0123456789")
    yield Dataset(name="slow", summary="Takes its time", load="slow_sets:load", classes=names, input_shape=(1, 8, 8))
"""


def stop(process: subprocess.Popen[str], line: str, number: signal.Signals, *, group: bool = False) -> str:
    """Wait until standard error holds `line`, send the signal (to all its processes, for `group`), and give all of
    standard error."""
    assert process.stderr is not None
    clock = threading.Timer(WAIT, process.kill)
    clock.start()
    try:
        seen = ""
        for got in process.stderr:
            seen += got
            if line in got:
                os.killpg(process.pid, number) if group else process.send_signal(number)
                break
        else:
            pytest.fail(f"{line!r} never came: {seen}")
        return seen + process.stderr.read()
    finally:
        process.wait()
        clock.cancel()
        if process.stdout is not None:
            process.stdout.close()


def ended(process: subprocess.Popen[str], err: str, number: signal.Signals) -> None:
    assert process.returncode == CODES[number], err
    assert "Traceback" not in err and "Exception ignored" not in err, err
    if number == signal.SIGINT:
        assert err.splitlines()[-1].startswith("Interrupted") and err.count("nterrupted") == 1


@pytest.fixture
def slow(tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """PYTHONPATH of a plugin whose data set takes minutes to read, and says when it has begun."""
    site = tmp_path / "site"
    (site / "slow-1.0.dist-info").mkdir(parents=True)
    (site / "slow-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: slow\nVersion: 1.0\n")
    (site / "slow-1.0.dist-info" / "entry_points.txt").write_text("[zoo]\nslow = slow_plugin\n")
    (site / "slow_plugin.py").write_text(PLUGIN)
    (site / "slow_sets.py").write_text(SLOW.replace("{count}", str(getattr(request, "param", 40))))
    return str(site)


def test_while_training_reads_its_data(start_zoo: Start, here: Path, slow: str) -> None:
    process = start_zoo("train", "lenet5", "--data", "slow", python_path=slow)
    ended(process, stop(process, "reading", signal.SIGTERM), signal.SIGTERM)
    assert not list(here.iterdir())


@pytest.mark.parametrize("slow", [6000], indirect=True)  # so many are read by worker processes
@pytest.mark.parametrize("number", CODES, ids=lambda number: number.name)
def test_signal_to_the_whole_group_while_workers_read(
    start_zoo: Start, here: Path, slow: str, number: signal.Signals
) -> None:
    """A terminal sends Ctrl-C to every process of the command, and a service manager SIGTERM."""
    process = start_zoo("train", "lenet5", "--data", "slow", "-j", "1", python_path=slow, start_new_session=True)
    ended(process, stop(process, "reading", number, group=True), number)
    assert not list(here.iterdir())


@pytest.mark.parametrize("number", CODES, ids=lambda number: number.name)
def test_while_workers_stream_the_data_of_an_epoch(
    start_zoo: Start, here: Path, pictures: Path, number: signal.Signals
) -> None:
    """Workers stay from epoch to epoch; they end with the run, which can be gone on with."""
    data = ("--data", "folder", "--data-root", str(pictures), "--memory-limit", "0", "-j", "2")
    process = start_zoo("train", "lenet5", *data, "--epochs", "1000", "-b", "4", start_new_session=True)
    err = stop(process, "2/1000  ", number, group=True)
    ended(process, err, number)
    assert "zoo train --resume runs/lenet5.folder" in err
    until = time.monotonic() + WAIT
    while _runs(process.pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not _runs(process.pid)


def _runs(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_while_training_before_the_first_epoch_is_over(start_zoo: Start, here: Path) -> None:
    """An epoch of this one takes minutes; what is left, if anything, is a run that can be gone on with."""
    options = ("--data", "digits", "--img-size", "224", "--epochs", "3", "-b", "64")
    process = start_zoo("train", "resnet20", *options)
    err = stop(process, "training and", signal.SIGINT)
    ended(process, err, signal.SIGINT)
    run = here / "runs" / "resnet20.digits"
    left = sorted(path.name for path in run.iterdir()) if run.exists() else []
    assert left in ([], ["checkpoint.safetensors", "recipe.json", "run.json"])
    assert ("zoo train --resume runs/resnet20.digits" in err) == bool(left)
    assert [path.name for path in here.iterdir()] == ["runs"][: len(left)]


def test_while_training_after_an_epoch(start_zoo: Start, run_zoo: Callable[..., Any], here: Path) -> None:
    """The last finished epoch stays, whole, and the weights file that was there stays as it was."""
    (here / "weights").mkdir()
    (here / "weights" / "lenet5.digits.safetensors").write_bytes(b"old")
    process = start_zoo("train", "lenet5", "--data", "digits", "--epochs", "1000", "--force")
    ended(process, stop(process, " 1/1000  ", signal.SIGTERM), signal.SIGTERM)
    assert [path.name for path in (here / "weights").iterdir()] == ["lenet5.digits.safetensors"]
    assert (here / "weights" / "lenet5.digits.safetensors").read_bytes() == b"old"
    run = here / "runs" / "lenet5.digits"
    assert sorted(path.name for path in run.iterdir()) == [
        "checkpoint.safetensors",
        "history.csv",
        "last.safetensors",
        "recipe.json",
        "run.json",
    ]
    assert run_zoo("weights", "verify", str(run / "last.safetensors")).code == 0


@pytest.mark.parametrize(
    ("line", "number"), [("evaluating the model", signal.SIGTERM), ("exporting onnx", signal.SIGINT)]
)
def test_while_exporting(
    start_zoo: Start, here: Path, trained: Path, exported: Path, tree: Tree, line: str, number: signal.Signals
) -> None:
    out = here / "out"
    out.mkdir()
    for path in exported.iterdir():
        (out / path.name).write_bytes(path.read_bytes())
    before = tree(here)
    process = start_zoo("export", str(trained), "-f", "onnx", "-o", "out", "--force")
    ended(process, stop(process, line, number), number)
    assert tree(here) == before


def test_an_export_that_was_killed_is_cleared_by_the_next(
    start_zoo: Start, run_zoo: Callable[..., Any], here: Path, trained: Path
) -> None:
    process = start_zoo("export", str(trained), "-f", "torchscript", "-o", "out")
    stop(process, "exporting torchscript", signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    left = sorted(path.name for path in here.iterdir())
    assert left in (["out"], [".out.lock", "out"], [f".out.{process.pid}.partial", ".out.lock"])
    if "out" in left:
        assert run_zoo("verify", "out").code == 0
    assert run_zoo("export", str(trained), "-f", "torchscript", "-o", "out", "--force").code == 0
    assert [path.name for path in here.iterdir()] == ["out"]
    assert run_zoo("verify", "out").code == 0


def test_while_evaluating(start_zoo: Start, here: Path, trained: Path, slow: str) -> None:
    process = start_zoo("evaluate", str(trained), "--data", "slow", python_path=slow)
    ended(process, stop(process, "reading", signal.SIGINT), signal.SIGINT)
    assert not list(here.iterdir())


@pytest.mark.parametrize(("command", "number"), [("predict", signal.SIGINT), ("verify", signal.SIGTERM)])
def test_while_predict_and_verify_begin(
    start_zoo: Start, here: Path, exported: Path, tree: Tree, tmp_path: Path, command: str, number: signal.Signals
) -> None:
    """They wait for a plugin, so that the moment is known."""
    site = tmp_path / "site"
    (site / "slow-1.0.dist-info").mkdir(parents=True)
    (site / "slow-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: slow\nVersion: 1.0\n")
    (site / "slow-1.0.dist-info" / "entry_points.txt").write_text("[zoo]\nslow = slow_plugin\n")
    (site / "slow_plugin.py").write_text(WAITING)
    before = tree(exported)
    process = start_zoo(command, str(exported), *(["a.png"] if command == "predict" else []), python_path=str(site))
    ended(process, stop(process, "waiting", number), number)
    assert tree(exported) == before and not list(here.iterdir())


WAITING = """
import sys, time
from zoo import hookimpl
@hookimpl
def zoo_specs():
    print("waiting", file=sys.stderr, flush=True)
    time.sleep(60)
    yield from ()
"""
# A test run that a shell started in the background ignores SIGINT, and so would the processes that it starts.
DEFAULT_SIGINT = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
IMPORTED = """
import os, signal, sys, time
import click
def lost(number, frame):
    raise RuntimeError("a worker was killed")
signal.signal(signal.SIGCHLD, lost)  # as PyTorch's DataLoader does
os.kill(os.getpid(), signal.{signal})
for _ in range(1000):
    pass
worker = os.fork()
if not worker:
    os._exit(0)
os.waitpid(worker, 0)
print("imported whole", file=sys.stderr, flush=True)
@click.command()
def command():
    time.sleep(60)
"""


@pytest.mark.parametrize("number", CODES, ids=lambda number: number.name)
def test_imports_finish_first(start_zoo: Start, tmp_path: Path, number: signal.Signals) -> None:
    """Extension modules that are stopped while they start take the process down, and nothing is tidied. Workers, which
    are told to stop too, end meanwhile."""
    site = tmp_path / "site"
    (site / "calm-1.0.dist-info").mkdir(parents=True)
    (site / "calm-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: calm\nVersion: 1.0\n")
    (site / "calm-1.0.dist-info" / "entry_points.txt").write_text("[zoo]\ncalm = calm_plugin\n")
    (site / "calm_plugin.py").write_text(
        "from zoo import *\n@hookimpl\ndef zoo_specs():\n"
        "    yield Command(name='calm', summary='Sleeps', run='calm_command:command')\n"
    )
    (site / "calm_command.py").write_text(IMPORTED.format(signal=number.name))
    process = start_zoo("calm", python_path=str(site))
    err = process.communicate(timeout=WAIT)[1]
    ended(process, err, number)
    assert "imported whole" in err


def test_ignored_signals_stay_ignored() -> None:
    """As `nohup` and a shell's background jobs do."""
    code = (
        "import os, signal; signal.signal(signal.SIGINT, signal.SIG_IGN); from zoo.cli.interrupts import install; "
        "install(); os.kill(os.getpid(), signal.SIGINT); print('on')"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=WAIT)
    assert (ran.returncode, ran.stdout) == (0, "on\n")


@pytest.mark.parametrize("number", CODES, ids=lambda number: number.name)
def test_signal_while_an_error_is_printed(number: signal.Signals) -> None:
    """As when Ctrl-C is pressed twice, or a launcher ends a rank that is about to say why it ends."""
    code = DEFAULT_SIGINT + (
        "import os, signal, sys; import zoo.cli.main as main; sys.argv = ['zoo', 'no_such_command']; "
        f"main._explain = lambda *_: os.kill(os.getpid(), signal.{number.name}) or 0; main.main()"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=WAIT)
    assert (ran.returncode, ran.stdout, ran.stderr) == (CODES[number], "", "")


@pytest.mark.parametrize("number", CODES, ids=lambda number: number.name)
def test_signal_at_exit(number: signal.Signals) -> None:
    code = DEFAULT_SIGINT + (
        "import atexit, os, signal, sys; from zoo.cli.main import main; sys.argv = ['zoo', '--version']; "
        f"atexit.register(os.kill, os.getpid(), signal.{number.name}); main()"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=WAIT)
    assert (ran.returncode, ran.stderr) == (-number, "") and ran.stdout.startswith("zoo")
