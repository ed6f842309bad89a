"""Worker processes persist between epochs and return what one process returns, in the same order."""

import gc
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.contract.errors import DataError
from zoo.contract.preprocess import Preprocess
from zoo.data.reader import Reader

DOT = Preprocess(size=(1, 1), mean=(0.5,), std=(0.5,))


class Numbers:
    """Image number i is one pixel of value i; its label is i too, or the process that read it."""

    def __init__(self, n: int, *, process: bool = False) -> None:
        self.n, self.process = n, process

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return np.full((1, 1), index, dtype=np.uint8), os.getpid() if self.process else index


def labels(reader: Reader, order: list[int], batch_size: int = 3) -> list[int]:
    result = []
    for images, classes, failed in reader.batches(torch.tensor(order, dtype=torch.int64), batch_size):
        assert not failed and images.shape == (len(classes), 1, 1, 1)
        result += classes.tolist()
    return result


def gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False


def test_workers_are_started_once_and_ended_at_the_close() -> None:
    reader = Reader(Numbers(12, process=True), DOT, workers=2)
    first, second = (set(labels(reader, list(range(12)), 2)) for _ in range(2))
    assert first == second and len(first) == 2 and os.getpid() not in first
    reader.close()
    until = time.monotonic() + 30
    while not all(map(gone, first)) and time.monotonic() < until:
        time.sleep(0.05)
    assert all(map(gone, first))
    assert not set(labels(reader, [0, 1])) & first


@pytest.fixture(scope="module")
def readers() -> list[Reader]:
    return [Reader(Numbers(30), DOT, workers) for workers in (0, 2)]


@settings(max_examples=20)
@given(st.data())
def test_epochs_that_are_left_early_do_not_show_in_the_next(readers: list[Reader], data: st.DataObject) -> None:
    for _ in range(3):
        order = data.draw(st.lists(st.integers(0, 29), min_size=1, max_size=30))
        left, size = data.draw(st.integers(0, 4)), data.draw(st.integers(1, 7))
        for reader in readers:
            begun = reader.batches(torch.tensor(order).flip(0), size)
            for _ in range(left):
                next(begun, None)
            assert labels(reader, order, size) == order


class Holes(Numbers):
    """Of these, every third is no image, and every seventh is larger than asked for."""

    def __getitem__(self, index: int) -> tuple[Any, int]:
        if index % 3 == 2:
            raise OSError(f"no image {index}")
        side = 2 if index % 7 == 0 else 1
        return np.full((side, side), index, dtype=np.uint8), index


@pytest.fixture(scope="module")
def readers_of_holes() -> list[Reader]:
    return [Reader(Holes(30), DOT, workers) for workers in (0, 2)]


@settings(max_examples=20)
@given(order=st.lists(st.integers(0, 29), min_size=1, max_size=30), size=st.integers(1, 7))
def test_failed_images_are_reported_and_order_is_kept(
    readers_of_holes: list[Reader], order: list[int], size: int
) -> None:
    for reader in readers_of_holes:
        result, bad = [], []
        for number, (images, classes, failed) in enumerate(reader.batches(torch.tensor(order), size)):
            assert images.flatten().tolist() == classes.tolist()
            result += classes.tolist()
            bad += [order[number * size + place] for place, error in failed if "no image" in error.cause]
        assert result == [index for index in order if index % 3 != 2]
        assert bad == [index for index in order if index % 3 == 2]


def test_an_epoch_that_was_begun_before_another_ends_there(readers: list[Reader]) -> None:
    for reader in readers:
        first = reader.batches(torch.arange(9), 3)
        next(first)
        next(reader.batches(torch.arange(9), 3))
        with pytest.raises(RuntimeError, match="once at a time"):
            next(first)


def test_reading_draws_no_random_number_of_others(readers: list[Reader]) -> None:
    for reader in readers:
        torch.manual_seed(0)
        labels(reader, [1, 2])
        drawn = torch.rand(1)
        torch.manual_seed(0)
        assert torch.equal(drawn, torch.rand(1))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # PyTorch's, of a loader half made
@pytest.mark.parametrize(("size", "reason"), [(1, "."), (1000, "File too large")])
def test_full_shared_memory_is_an_error_not_a_hang(size: int, reason: str) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    large = Preprocess(size=(64, 64), mean=(0.5,), std=(0.5,))
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        with pytest.raises(DataError, match=reason) as caught:
            next(Reader(Numbers(9), large, workers=1).batches(torch.arange(9), 3))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert "--workers 0" in caught.value.next_step
    del caught
    gc.collect()  # here, where what its finaliser raises is expected


class Loops:
    """Each image leaves a hundred objects that refer to themselves, the last thousands of them after a while only, as
    the images of batches do; its label is how many of them there are, in thousands."""

    here = 0

    class Loop:
        def __init__(self) -> None:
            self.itself = self
            Loops.here += 1

        def __del__(self) -> None:
            Loops.here -= 1

    def __init__(self, n: int) -> None:
        self.n, self.latest = n, deque["Loops.Loop"](maxlen=10_000)

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> tuple[Any, int]:
        self.latest.extend(self.Loop() for _ in range(100))
        return np.zeros((1, 1), dtype=np.uint8), self.here // 1000


def test_workers_collect_cycles_despite_a_large_parent() -> None:
    ballast: list[list[int]] = [[] for _ in range(1_500_000)]  # in a large process it would wait for a quarter of these
    gc.collect()
    reader = Reader(Loops(3000), DOT, workers=1)
    assert max(labels(reader, list(range(3000)), 100)) < 150
    reader.close()
    del ballast


ASKED_AND_GONE = """
import socket, sys, threading
from multiprocessing.resource_sharer import DupFd
from zoo.data import reader
if {settled}:
    reader._init_worker(0)
seen, previous = threading.Event(), sys.excepthook
sys.excepthook = lambda *error: (previous(*error), seen.set())
address, _ = DupFd(0)._id
with socket.socket(socket.AF_UNIX) as asking:
    asking.connect(address)
assert seen.wait(60)
sys.excepthook(ValueError, ValueError("its own"), None)
"""


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="a socket with a path is asked")
@pytest.mark.parametrize("settled", [True, False])
def test_worker_is_silent_after_the_main_process_exits(settled: bool) -> None:
    """Its traceback would be in the way of what a run says that was told to stop."""
    code = ASKED_AND_GONE.format(settled=settled)
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0 and ran.stderr.endswith("ValueError: its own\n"), ran.stderr
    assert ("Traceback" not in ran.stderr) == settled
