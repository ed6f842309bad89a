"""What the tests of the command line share: a folder of their own, trained weights, processes, and two lines."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from zoo.cli.main import run

MAIN = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background jobs ignore
from zoo.cli.main import main
main()
"""
QUICK = ("--epochs", "1", "-b", "256", "--lr", "0.003", "--device", "cpu")

Tree = Callable[[Path], dict[str, bytes | None]]
Explained = Callable[..., str]


@pytest.fixture(autouse=True)
def in_an_empty_folder(here: Path) -> None:
    """Every test is in a folder of its own."""


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights file, `lenet5.tiny.safetensors`, of a LeNet-5 that saw the digits once."""
    folder = tmp_path_factory.mktemp("trained")
    places = ["--tag", "tiny", "-o", str(folder), "--runs", str(folder / "runs")]
    assert run(["train", "lenet5", "--data", "digits", *QUICK, *places]) == 0
    return folder / "lenet5.tiny.safetensors"


@pytest.fixture(scope="session")
def exported(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The export folder of `trained`, TorchScript alone."""
    folder = tmp_path_factory.mktemp("exported") / "lenet5.tiny"
    assert run(["export", str(trained), "-f", "torchscript", "-o", str(folder)]) == 0
    return folder


@pytest.fixture
def tree() -> Tree:
    """Give everything under a folder, hidden things too: path to content, or to `None` where it is a folder."""

    def look(folder: Path) -> dict[str, bytes | None]:
        return {
            path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
            for path in sorted(folder.rglob("*"))
        }

    return look


@pytest.fixture
def explained() -> Explained:
    """Check that a command ended with the given code and, at the end of standard error, a cause and a next step on
    one line each; give the two. Nothing may be on standard output, but for what `out` allows."""

    def check(ran: Any, code: int, *, out: bool = False) -> str:
        assert ran.code == code, ran.err
        assert "Traceback" not in ran.err
        *before, cause, step = ran.err.splitlines()
        assert cause.startswith("error: ") and step.startswith("  next: "), ran.err
        assert not [line for line in before if line.startswith(("error:", "  next:"))]
        assert len(cause.split()) > 2 and len(step.split()) > 1
        assert out or not ran.out
        return f"{cause}\n{step}"

    return check


@pytest.fixture
def start_zoo(here: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start `zoo` as a process of its own, in `here`."""

    def start(*arguments: str, python_path: str = "", **more: Any) -> subprocess.Popen[str]:
        paths = os.pathsep.join(path for path in (python_path, os.environ.get("PYTHONPATH", "")) if path)
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"} | ({"PYTHONPATH": paths} if paths else {})
        settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": here} | more
        return subprocess.Popen([sys.executable, "-c", MAIN, *arguments], env=environment, **settings)

    return start


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder data set: six JPEGs of each of two classes, which colour tells apart."""
    root = tmp_path / "pictures"
    for name, colour in (("blue", (20, 30, 200)), ("red", (210, 30, 20))):
        (root / name).mkdir(parents=True)
        for number in range(6):
            shade = tuple(value + 5 * number for value in colour)
            Image.new("RGB", (40 + number, 36), shade).save(root / name / f"{number}.jpg")
    return root
