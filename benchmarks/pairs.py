"""Time two commands in turn, A B A B …, and report the ratio pair by pair: the machine's drift cancels."""

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path


def seconds(command: Sequence[str], folder: str | None = None) -> float:
    """The wall time of one run of a command that must succeed, with compiled modules kept as Python does by itself."""
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    started = time.perf_counter()
    subprocess.run(command, check=True, cwd=folder, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def report(ours: Sequence[str], peer: Sequence[str], limit: float, n: int, packages: Sequence[str]) -> int:
    """Run both `n` times after a warm-up, print machine, versions, medians and ratio; exit code 1 past `limit`."""
    for command in (ours, peer):
        seconds(command)
    pairs = [(seconds(ours), seconds(peer)) for _ in range(n)]
    ratios = [a / b for a, b in pairs]
    ratio = statistics.median(ratios)
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, n={n}")
    print(", ".join(f"{package} {version(package)}" for package in packages))
    print(f"zoo   {statistics.median(a for a, _ in pairs):.3f} s (median)")
    print(f"peer  {statistics.median(b for _, b in pairs):.3f} s (median)")
    print(f"ratio {ratio:.2f} (median of pairs; {min(ratios):.2f} to {max(ratios):.2f}); at most {limit} is asked for")
    return int(ratio > limit)


def zoo() -> str:
    """The `zoo` command of this environment."""
    return str(Path(sys.executable).with_name("zoo"))
