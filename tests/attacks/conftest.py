"""What the attacks share: an empty folder to be in, processes, the two lines of an error, and an end to what hangs."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from PIL import Image

import zoo_runtime
from zoo.cli.main import run

WEIGHTS = Path(__file__).parents[2] / "weights" / "lenet5.digits.safetensors"
LONGEST = 90  # seconds that a test of something that must not hang may take
MAIN = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background jobs ignore
from zoo.cli.main import main
main()
"""


class Late(BaseException):
    """It hangs. No error of the code under test, which may handle those."""


@pytest.fixture
def refused() -> Callable[..., str]:
    """Check that a command ended with the given code, a cause and a next step, and without a traceback; give both."""

    def check(ran: Any, code: int) -> str:
        assert ran.code == code, ran.err
        assert "Traceback" not in ran.err
        *_, cause, step = ran.err.splitlines()
        assert cause.startswith("error: ") and step.startswith("  next: "), ran.err
        return f"{cause}\n{step}"

    return check


@pytest.fixture
def start_zoo(here: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start `zoo` as a process of its own, in `here`.

    Args:
        before: shell commands to run first, such as `ulimit -n 16`.
    """

    def start(*arguments: str, before: str = ":", cwd: Path | bytes = here, **variables: str) -> subprocess.Popen[str]:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", **variables}
        command = ["sh", "-c", f'{before}; exec "$@"', "sh", sys.executable, "-c", MAIN, *arguments]
        return subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cwd
        )

    return start


@pytest.fixture
def in_time() -> Iterator[None]:
    """Fail a test that hangs: opening a FIFO, for one, waits for ever."""

    def late(number: int, frame: FrameType | None) -> None:
        raise Late

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, LONGEST, 5)  # again where the code under test goes on to hang elsewhere
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder data set: six images of each of two classes, which colour tells apart."""
    root = tmp_path / "pictures"
    for name, colour in (("blue", (20, 30, 200)), ("red", (210, 30, 20))):
        (root / name).mkdir(parents=True)
        for number in range(6):
            Image.new("RGB", (40, 36), tuple(value + 5 * number for value in colour)).save(
                root / name / f"{number}.png"
            )
    return root


@pytest.fixture(scope="session")
def sound_export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export folder of the shipped LeNet-5, ONNX alone. Do not change it: see `export_copy`."""
    folder = tmp_path_factory.mktemp("exports") / "lenet5.digits"
    assert run(["export", str(WEIGHTS), "-f", "onnx", "-o", str(folder)]) == 0
    return folder


@pytest.fixture
def export_copy(sound_export: Path, tmp_path: Path) -> Path:
    """A copy of `sound_export` to change."""
    return shutil.copytree(sound_export, tmp_path / "lenet5.digits")


@pytest.fixture
def reseal() -> Callable[..., None]:
    """Change the manifest of a folder, and make its digests right again: what a careful forger does."""

    def change(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
        path = folder / "manifest.json"
        data = json.loads(path.read_text(encoding="utf-8"))
        edit(data)
        with suppress(ValueError):
            data["digest"] = zoo_runtime.manifest_digest(data)
        path.write_text(json.dumps(data), encoding="utf-8")

    return change
