"""One process at a time holds a run; a worker process that outlives it does not."""

import errno
import fcntl
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from zoo.contract.callback import Callback
from zoo.contract.errors import TrainingError
from zoo.registry.registry import Registry
from zoo.training.job import run_job
from zoo.training.prepare import RunPaths
from zoo.training.recipe.recipe import Recipe
from zoo.training.run.lock import Lock

HOLD = """
import sys
from pathlib import Path
from zoo.training.run.lock import Lock
lock = Lock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "run.json"
    path.touch()
    return path


def test_lock_is_released_when_its_process_is_killed(file: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdin is not None
    assert process.stdout.readline() == "held\n"
    with pytest.raises(TrainingError, match="Another process"):
        Lock(file)
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()
    Lock(file).release()


def test_it_is_asked_for_as_network_file_systems_need_it(file: Path) -> None:
    """NFS locks no file that is open for reading alone."""
    lock = Lock(file)
    descriptor = lock._lock._context.lock_file_fd
    assert fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDWR
    lock.release()


def test_where_there_are_no_locks_a_run_goes_on_and_says_so(
    small: Registry,
    recipe: Callable[..., Recipe],
    paths: Callable[..., RunPaths],
    monkeypatch: pytest.MonkeyPatch,
    callback: Callable[..., Callback],
) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refused)
    warnings: list[str] = []

    def on_message(text: str, *, warning: bool = False) -> None:
        if warning:
            warnings.append(text)

    run_job(small, recipe(epochs=1), paths("here"), callback(on_message=on_message))
    assert len([text for text in warnings if "runs/here" in text]) == 1


def test_a_forked_worker_does_not_keep_it(file: Path) -> None:
    lock = Lock(file)
    stay, end = os.pipe()
    born, birth = os.pipe()
    child = os.fork()
    if not child:
        os.close(end)
        os.write(birth, b"1")
        os.read(stay, 1)  # until the test is over
        os._exit(0)
    os.read(born, 1)
    lock.release()
    try:
        Lock(file).release()
    finally:
        os.close(end)
        os.waitpid(child, 0)
        for descriptor in (stay, born, birth):
            os.close(descriptor)
