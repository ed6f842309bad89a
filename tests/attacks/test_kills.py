"""SIGKILL while an export replaces another: nothing is lost.

The long form, with more kills and with several processes at once, is `benchmarks/kill.py`.
"""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "kill.py"


@pytest.mark.slow
def test_nothing_is_lost() -> None:
    done = subprocess.run([sys.executable, str(SCRIPT), "--exports", "1"], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1" in done.stdout and "Traceback" not in done.stderr
