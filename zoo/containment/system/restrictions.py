"""What a process gives up before it opens an artifact: see `restrict_early` and `restrict`."""

import os
import resource
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from zoo.containment.system.landlock import give_up_writing
from zoo.containment.system.seccomp import give_up_sockets

LINUX = sys.platform == "linux"
OPEN_FILES = 512
DEVICE_NODES = ("nvidia*", "nvidia-caps/*", "dri/*", "kfd", "dxg", "shm")  # in /dev, of what computes besides the CPU
NO_LANDLOCK = "this system has no Landlock"
NO_SECCOMP = "this system has no seccomp filter that zoo knows"
NO_DATA_LIMIT = "this system does not limit the data of a process"
IN_FORCE = "in force"


def restrict_early() -> None:
    """What a process and those forked from it give up first: core dumps, and staying alive where memory runs out."""
    with suppress(OSError):  # not on Linux
        Path("/proc/self/oom_score_adj").write_text("1000")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    tempfile.gettempdir()  # libraries ask for its name when nothing can be written any more, which is how it is found


def restrict(*, accelerator: bool, scratch: Path | None, written: int) -> dict[str, str]:
    """Restrict this process for good. It must have one thread, as it has when it was just forked.

    What it needs must be imported already, as PyTorch, for one, starts programs while it is.

    Args:
        accelerator: whether it computes elsewhere than on the CPU. Then the nodes of devices may be written, local
            sockets opened, and memory is not limited, as drivers need these.
        scratch: a folder in which it may write files.
        written: bytes that each of these files may have.

    Returns:
        Each restriction, with `IN_FORCE` or why it is not.
    """
    if not accelerator:  # drivers keep caches
        resource.setrlimit(resource.RLIMIT_FSIZE, (written, written))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = OPEN_FILES if most == resource.RLIM_INFINITY else min(OPEN_FILES, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    writable = [Path("/dev/null"), *([scratch] if scratch else []), *(_device_nodes() if accelerator else [])]
    landlock = give_up_writing(writable) if LINUX else 0
    sockets = give_up_sockets(local=accelerator)
    return {
        "memory": "not limited on a GPU" if accelerator else IN_FORCE if LINUX else NO_DATA_LIMIT,
        "processor time": IN_FORCE,
        "no writing of files": IN_FORCE if landlock else f"the content of files only: {NO_LANDLOCK}",
        "no network": IN_FORCE if sockets else "TCP only" if landlock >= 4 else NO_SECCOMP,
        "no other programs": IN_FORCE if sockets or landlock else NO_SECCOMP,
    }


def limit_processor(seconds: float) -> None:
    """Let this process use the processors for that long on each core from now on; then SIGXCPU ends it."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    until = int(usage.ru_utime + usage.ru_stime + seconds * (os.cpu_count() or 1)) + 10
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (until if most == resource.RLIM_INFINITY else min(until, most), most))


def limit_memory(allowed: int) -> None:
    """Let this process hold `allowed` bytes of data, whether they are in memory already or not."""
    if LINUX:
        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(
            resource.RLIMIT_DATA, (allowed if most == resource.RLIM_INFINITY else min(allowed, most), most)
        )


def memory_in_use() -> int:
    """Bytes of data that this process holds, as `limit_memory` counts them."""
    if not LINUX:
        return 0
    pages = int(Path("/proc/self/statm").read_text().split()[5])
    return pages * resource.getpagesize()


def _device_nodes() -> Sequence[Path]:
    return [path for pattern in DEVICE_NODES for path in Path("/dev").glob(pattern)]
