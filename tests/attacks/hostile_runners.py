"""Runners of export formats that attack the process they run in: what code in a child could do at worst."""

import ctypes
import os
import re
import signal
import socket
import time
from collections.abc import Callable

import numpy as np


def answers(act: Callable[[], int | None]) -> Callable[[np.ndarray], np.ndarray]:
    """A runner that does something, and returns logits that say with which result."""

    def run(images: np.ndarray) -> np.ndarray:
        return np.full((len(images), 2), act() or 0, np.float32)

    return run


def refused(act: Callable[[], object]) -> int:
    """1 if the system refuses it."""
    try:
        act()
    except OSError:
        return 1
    return 0


def write_everywhere(data: bytes) -> None:
    """Write to every pipe that there is."""
    for descriptor in range(3, 64):
        refused(lambda: os.write(descriptor, data))  # noqa: B023


def pid(paths, backend):
    return answers(os.getpid)


def killed(paths, backend):
    return answers(lambda: os.kill(os.getpid(), signal.SIGKILL))


def crash(paths, backend):
    return answers(lambda: len(ctypes.string_at(0)))


def leaves(paths, backend):
    return answers(lambda: os._exit(7))


def closes(paths, backend):
    return answers(lambda: os.closerange(3, 64) or time.sleep(60))


def keeps_the_lock(paths, backend):
    """Compute for ages while it loads, without ever releasing Python's lock."""
    return answers(lambda: bool(re.match("(a+)+$", "a" * 99 + "b")))(np.zeros((1, 1)))


def sleeps(paths, backend):
    return answers(lambda: time.sleep(600))


def spins(paths, backend):
    def spin() -> None:
        while True:
            pass

    return answers(spin)


def fills(paths, backend):
    return answers(lambda: len(bytearray(3 << 30)))


def prints(paths, backend):
    def shout() -> None:
        for _ in range(500):
            os.write(1, b"\x1b[31mred\x07" * 100_000)
            os.write(2, b"\x1b[31mred\x07" * 100_000)

    return answers(shout)


def raises(paths, backend):
    def fail() -> None:
        raise ValueError("\x1b[31m\u202e" + "x" * 10_000_000)

    return answers(fail)


def garbage(paths, backend):
    return answers(lambda: write_everywhere(b"\xff" * 100))


def forges(paths, backend):
    text = b'{"array": {"dtype": "float32", "shape": [1000000, 1000000]}}'
    return answers(lambda: write_everywhere(len(text).to_bytes(4, "big") + text))


def writes(paths, backend):
    return answers(lambda: refused((paths.main.parent / "written").touch))


def changes(paths, backend):
    return answers(lambda: refused(lambda: os.truncate(paths.main, 0)))


def removes(paths, backend):
    return answers(lambda: refused(paths.main.unlink))


def connects(paths, backend):
    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.sendto(b"x", ("127.0.0.1", 9))

    return answers(lambda: refused(send) and refused(lambda: socket.socket(socket.AF_UNIX)))


def forks(paths, backend):
    return answers(lambda: refused(os.fork))


def executes(paths, backend):
    return answers(lambda: refused(lambda: os.execv("/bin/true", ["true"])))


def environment(paths, backend):
    return answers(lambda: int("ZOO_TEST_SECRET" in os.environ))


def descriptors(paths, backend):
    held = []
    return answers(lambda: refused(lambda: [held.append(os.open("/dev/null", os.O_RDONLY)) for _ in range(10_000)]))


def wide(paths, backend):
    return lambda images: np.zeros((len(images), 1 << 21), np.float32)


def double(paths, backend):
    return lambda images: np.zeros((len(images), 2))


def words(paths, backend):
    return lambda images: "no array"


def read_forever(paths):
    while True:
        pass


def read_too_much(paths):
    return bytearray(3 << 30)


def read_nothing(paths):
    raise ValueError("malformed")
