"""SIGKILL while an export replaces another, and several processes at once: nothing is lost.

The long form, with more kills, is `benchmarks/kill.py`.
"""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "kill.py"


@pytest.mark.slow
@pytest.mark.parametrize("words", [("--exports", "2"), ("--at-once", "1")], ids=lambda words: words[0])
def test_nothing_is_lost(words: tuple[str, str]) -> None:
    done = subprocess.run([sys.executable, str(SCRIPT), *words], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    assert words[1] in done.stdout and "Traceback" not in done.stderr
