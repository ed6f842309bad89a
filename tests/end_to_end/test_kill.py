"""Training that is killed at random moments and resumed gives the bytes of uninterrupted training.

The long form, with more kills, is `benchmarks/kill.py`.
"""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_killed_and_resumed_runs_end_in_the_same_bytes() -> None:
    script = ROOT / "benchmarks" / "kill.py"
    done = subprocess.run([sys.executable, str(script), "4", "7"], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("uninterrupted:") and "4 kills in" in done.stdout
