"""A rank ends with its exit code, whatever is left in its interpreter."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# What stands for a thread of gloo: an object that aborts the process when the interpreter frees it.
PROGRAM = """
import atexit, os, sys
from zoo.cli import main
from zoo.training.distributed import rendezvous

class Aborts:
    def __del__(self, abort=os.abort):
        abort()

sys.kept = Aborts()
atexit.register(print, "at exit")
main.run = lambda arguments: print("written") or int(arguments[0])
main.main()
"""


def ended(code: int, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", PROGRAM, str(code)]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("code", [0, 1])
def test_a_rank_ends_with_its_exit_code(code: int) -> None:
    ranks = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
    done = ended(code, **ranks)
    assert (done.returncode, done.stdout) == (code, "written\nat exit\n")


def test_a_single_process_ends_as_python_does() -> None:
    assert ended(0).returncode != 0
