"""How much memory and time a process that runs an artifact may use."""

import math
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from zoo.contract.errors import UsageError

GIB = 2**30
SECONDS, MEMORY = "ZOO_ARTIFACT_TIME_LIMIT", "ZOO_ARTIFACT_MEMORY_LIMIT"  # in the environment: seconds, GiB

# Generous: they end what would never end or would fill the memory, and must not end a large model on a slow machine.
LOAD_SECONDS, LOAD_SECONDS_PER_GIB = 300.0, 120.0
RUN_SECONDS, RUN_SECONDS_PER_IMAGE = 300.0, 30.0
MEMORY_BASE = 4 * GIB
MEMORY_PER_CORE = GIB // 16  # stacks of threads, one a core for each way of running it
MEMORY_PER_FILE_BYTE = 16  # weights may be held four times in each of several sessions
MEMORY_PER_INPUT_BYTE = 512  # activations: VGG-16 has 43 times as many bytes in one tensor as its image
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True)
class Limits:
    """Limits of one process.

    Args:
        size: bytes of the artifact's files, from which the defaults follow.
        seconds: for loading the artifact, and for each run; `None`: the default.
        memory: bytes, besides what the libraries take once they are imported; `None`: the default.
    """

    size: int
    seconds: float | None = None
    memory: int | None = None

    @property
    def load_seconds(self) -> float:
        """Time to import what runs the artifact, and to load it."""
        return self.seconds or LOAD_SECONDS + LOAD_SECONDS_PER_GIB * self.size / GIB

    def run_seconds(self, images: int) -> float:
        """Time for one run on that many images."""
        return self.seconds or RUN_SECONDS + RUN_SECONDS_PER_IMAGE * images

    def memory_for(self, input_bytes: int = 0) -> int:
        """Bytes that the process may hold once its libraries are imported, while it runs on an input of that size."""
        base = MEMORY_BASE + MEMORY_PER_CORE * (os.cpu_count() or 1)
        scaled = base + MEMORY_PER_FILE_BYTE * self.size + MEMORY_PER_INPUT_BYTE * input_bytes
        return self.memory or min(scaled, physical_memory())


def limits_for(paths: Mapping[str, Path]) -> Limits:
    """The limits for an artifact of these files: the user's, from the environment, or the defaults.

    Raises:
        UsageError: a variable is not a number above 0.
    """
    size = sum(path.stat().st_size for path in paths.values() if path.is_file())
    memory = _from_environment(MEMORY)
    return Limits(size, _from_environment(SECONDS), None if memory is None else max(1, int(memory * GIB)))


def physical_memory() -> int:
    """Bytes of memory that this machine, or the container that this process is in, has."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with suppress(OSError, ValueError):  # there is no such limit
        total = min(total, int(CGROUP_LIMIT.read_text()))
    return total


def _from_environment(name: str) -> float | None:
    text = os.environ.get(name, "")
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < 1e9:
        unit = "seconds" if name == SECONDS else "GiB"
        raise UsageError(f"{name}={text!r} is not a number of {unit} above 0.", f"Correct {name}, or unset it.")
    return value
