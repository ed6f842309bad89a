"""Two processes started by torchrun train what one process does, and to the same bytes after kills."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from zoo.cli.main import run
from zoo.files.weights import load_weights

pytestmark = pytest.mark.slow
LAUNCH = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "zoo")
PLAIN = (
    "lenet5",
    "--data",
    "digits",
    "--epochs",
    "2",
    "-b",
    "64",
    "--grad-accum-steps",
    "2",
    "--crop",
    "0",
    "--device",
    "cpu",
)
# BatchNorm, EMA, gradient accumulation, a hold-out, and random shifts.
FULL = (
    *("resnet20", "--data", "digits", "--img-size", "16", "--epochs", "4", "-b", "64", "--grad-accum-steps", "2"),
    *("--hold-out", "0.5", "--model-ema-decay", "0.9", "--device", "cpu", "--tag", "full", "--checkpoint-every", "0"),
)


RUN = "runs/resnet20.full"


@contextmanager
def started(folder: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """`zoo` on two ranks in a folder; all its processes are killed at the end."""
    folder.mkdir(exist_ok=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ZOO_DATA": str(folder)}
    process = subprocess.Popen(
        [*LAUNCH, *words], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        for each in (*children(process.pid), process.pid):
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        process.communicate()


def launched(folder: Path, *words: str) -> str:
    """The standard error of such a run, which must succeed."""
    with started(folder, *words) as process:
        _, output = process.communicate(timeout=300)
        assert process.returncode == 0, output
    return output


def children(parent: int) -> list[int]:
    """The processes that a launcher has started, by rank."""
    with suppress(FileNotFoundError):
        found = [int(word) for word in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
        return sorted(found, key=_rank)
    return []


def _rank(process: int) -> int:
    environment = Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
    return next((int(entry[5:]) for entry in environment if entry.startswith(b"RANK=")), -1)


def test_two_ranks_train_what_one_process_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = launched(tmp_path, "train", *PLAIN, "--tag", "two")
    assert output.count("2/2  ") == 1 and "on 2 ranks, each cpu" in output and "Warning: find_unused" not in output
    monkeypatch.chdir(tmp_path)
    assert run(["train", *PLAIN, "--tag", "one"]) == 0
    one, two = (load_weights(Path(f"weights/lenet5.{tag}.safetensors")) for tag in ("one", "two"))
    for name, value in one.tensors.items():
        assert (value - two.tensors[name]).abs().max() < 1e-5, name
    assert [metric.n for metric in two.card.metrics] == [359, 359, 359]
    for mine, theirs in zip(one.card.metrics, two.card.metrics, strict=True):
        assert mine.value == pytest.approx(theirs.value, abs=1e-5)
    assert two.card.versions["ranks"] == "2" and "ranks" not in one.card.versions
    assert sorted(path.name for path in Path("runs").iterdir()) == ["lenet5.one", "lenet5.two"]


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="ranks are found in /proc")
def test_a_killed_rank_ends_all_and_resumes_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """First rank 0 is killed, then, when the run is resumed, rank 1."""
    alone, folder = tmp_path / "alone", tmp_path / "here"
    launched(alone, "train", *FULL)
    killed(folder, 0, "train", *FULL)
    killed(folder, 1, "train", "--resume", RUN, "--checkpoint-every", "0")
    monkeypatch.chdir(folder)
    capsys.readouterr()
    assert run(["train", "--resume", RUN]) == 1
    assert "world size 2" in capsys.readouterr().err
    launched(folder, "train", "--resume", RUN)
    expected, found = (path / "weights" / "resnet20.full.safetensors" for path in (alone, folder))
    assert found.read_bytes() == expected.read_bytes()


def killed(folder: Path, victim: int, *words: str) -> None:
    """Start a run, kill the rank `victim` once a checkpoint is written, and check how the other one ends."""
    checkpoint = folder / RUN / "checkpoint.safetensors"
    before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
    with started(folder, *words) as process:
        deadline = time.monotonic() + 120
        while not (checkpoint.exists() and checkpoint.stat().st_mtime_ns > before):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        os.kill(children(process.pid)[victim], signal.SIGKILL)
        _, output = process.communicate(timeout=60)
        assert process.returncode != 0
    go_on = f"torchrun --nproc-per-node 2 -m zoo train --resume {RUN}"
    assert "error: Another rank" in output
    assert go_on in output
    assert "Traceback" not in output.partition("torch/distributed/elastic")[0]  # torchrun's own comes after
    assert not list((folder / "weights").glob("*.safetensors")) and checkpoint.exists()
