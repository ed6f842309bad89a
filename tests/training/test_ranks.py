"""What ranks agree on and share out, with the words between them played by threads."""

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from zoo.contract.errors import PluginError, TrainingError, UsageError
from zoo.contract.preprocess import Preprocess
from zoo.data.batches import InMemorySplit
from zoo.data.datasets import LoadedDataset
from zoo.evaluation.evaluate import evaluate
from zoo.training import signals as signals_module
from zoo.training.distributed.ddp import refuse_different, refuse_uneven, same_checkpoint, share
from zoo.training.distributed.measure import measure
from zoo.training.distributed.process_group import ALONE, ProcessGroup, explaining, is_lost
from zoo.training.distributed.rendezvous import joined
from zoo.training.signals import Signals
from zoo.training.step_rng import StepRNG

NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


class Threads(ProcessGroup):
    """Ranks that are threads of this process: what they say goes through a list."""

    table: list[Any]
    barrier: threading.Barrier

    def _all(self, mine: Any) -> list[Any]:
        self.table[self.rank] = mine
        self.barrier.wait(20)
        found = list(self.table)
        self.barrier.wait(20)
        return found

    def largest(self, *numbers: int) -> tuple[int, ...]:
        return tuple(max(each) for each in zip(*self._all(numbers), strict=True))

    def total(self, counts: torch.Tensor) -> torch.Tensor:
        return torch.stack(self._all(counts)).sum(0)

    def each(self, values: torch.Tensor) -> list[torch.Tensor]:
        return self._all(values)

    def told(self, said: bytes) -> bytes:
        return self._all(said)[0]

    def give(self, tensors: Any) -> None:
        with torch.no_grad():
            for mine, first in zip(tensors, self._all([tensor.clone() for tensor in tensors])[0], strict=True):
                mine.copy_(first)


def together(world: int, work: Callable[[ProcessGroup], Any]) -> list[Any]:
    """What `work` gives, or raises, on each of so many ranks."""
    table, barrier, results = [None] * world, threading.Barrier(world), [None] * world

    def run(rank: int) -> None:
        ranks = Threads(rank=rank, world=world, local=rank, locals=world)
        object.__setattr__(ranks, "table", table)
        object.__setattr__(ranks, "barrier", barrier)
        try:
            results[rank] = work(ranks)
        except Exception as error:
            results[rank] = error

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(world)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@given(st.integers(1, 5), st.integers(1, 4), st.integers(0, 6))
def test_each_batch_is_shared_out_whole_and_evenly(world: int, each: int, batches: int) -> None:
    order = torch.randperm(world * each * batches)
    shares = [share(order, world * each, ProcessGroup(rank=rank, world=world)) for rank in range(world)]
    assert [len(part) for part in shares] == [each * batches] * world
    for number in range(batches):
        parts = torch.cat([part[number * each : (number + 1) * each] for part in shares])
        assert torch.equal(parts, order[number * world * each : (number + 1) * world * each])


def test_a_batch_that_cannot_be_shared_evenly_is_refused() -> None:
    refuse_uneven(128, ProcessGroup(world=2))
    refuse_uneven(127, ALONE)
    with pytest.raises(UsageError, match="127 images cannot be shared out evenly to 2 ranks") as raised:
        refuse_uneven(127, ProcessGroup(world=2))
    assert "--batch-size 126" in raised.value.next_step  # no more than there may be images
    with pytest.raises(UsageError) as raised:
        refuse_uneven(1, ProcessGroup(world=4))
    assert "--batch-size 4;" in raised.value.next_step


def test_all_ranks_have_the_order_of_one_process_and_each_draws_for_itself() -> None:
    def drawn(draws: StepRNG) -> tuple[list[int], float, float]:
        order, generator = draws.order(20, 1).tolist(), draws.augmentation(3)
        draws.seed(3)
        return order, float(torch.rand(1)), float(torch.rand(1, generator=generator))

    alone, first, second = (drawn(StepRNG(7, torch.device("cpu"), *rank)) for rank in ((), (0,), (1,)))
    assert alone == first == drawn(StepRNG(7, torch.device("cpu")))
    assert second[0] == first[0] and second[1] != first[1] and second[2] != first[2]
    assert second == drawn(StepRNG(7, torch.device("cpu"), 1))


@pytest.mark.parametrize("n", [1, 2, 23, 64])
def test_what_ranks_measure_in_shares_is_what_one_measures_of_the_whole(n: int) -> None:
    """With fewer images than ranks too. The statistics of BatchNorm are rank 0's."""
    torch.manual_seed(n)
    images = torch.randint(0, 256, (n, 1, 8, 8), dtype=torch.uint8)
    held = InMemorySplit(images, torch.randint(0, 7, (n,)))
    preprocess = Preprocess(size=(8, 8), mean=(0.5,), std=(0.25,))
    data = LoadedDataset("noise", tuple("abcdefg"), preprocess, held, held)
    loss = nn.CrossEntropyLoss()

    def model(rank: int) -> nn.Module:
        torch.manual_seed(0)
        module = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(64, 7))
        nn.init.constant_(module[0].running_mean, float(rank))
        return module

    cpu = torch.device("cpu")
    expected = evaluate(model(0), held, preprocess, loss, num_classes=7, device=cpu)
    models = [model(rank) for rank in range(3)]
    results = together(3, lambda ranks: measure(models[ranks.rank], held, data, loss, cpu, ranks))
    for found in results:
        assert torch.equal(found.confusion, expected.confusion) and found.top5 == expected.top5
        assert found.loss == pytest.approx(expected.loss, rel=1e-6) and found.loss == results[0].loss
        assert torch.equal(found.calibration.count, expected.calibration.count)
        assert torch.equal(found.calibration.right, expected.calibration.right)
        assert found.calibration.error() == pytest.approx(expected.calibration.error(), abs=1e-6)


def test_a_signal_that_comes_to_one_rank_stops_all_of_them_after_the_same_step() -> None:
    stopped: list[tuple[int, int]] = []

    def work(ranks: ProcessGroup) -> None:
        signals = Signals(ranks.largest)  # in a thread nothing can come: it is put in by hand
        signals._before = {15: lambda number, frame: stopped.append((ranks.rank, step))}
        for step in range(5):
            with signals.held():
                if ranks.rank == 1 and step == 2:
                    signals._waiting = 15
            assert signals.settle(ranks.rank == 0 and step == 1) == (step == 1)
            if stopped:
                return

    assert not [result for result in together(3, work) if result is not None]
    assert sorted(stopped) == [(0, 2), (1, 2), (2, 2)]


def test_signals_among_ranks_wait_for_all_of_them_and_a_later_one_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """A launcher that hears Ctrl-C sends SIGINT and then SIGTERM; somebody who asks again much later is heard."""
    came: list[int] = []
    before = {number: signal.signal(number, lambda number, _: came.append(number)) for number in (2, 15)}
    try:
        with Signals(lambda *numbers: numbers) as signals:
            with signals.held():
                os.kill(os.getpid(), 2)
            os.kill(os.getpid(), 15)
            assert not came
            assert signals.settle(True) and came == [2]
            assert not signals.settle(False) and came == [2]
            os.kill(os.getpid(), 15)
            monkeypatch.setattr(signals_module, "SOON", 0.0)
            os.kill(os.getpid(), 2)
            assert came == [2, 2]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_a_rank_with_another_recipe_or_data_is_named() -> None:
    results = together(3, lambda ranks: refuse_different({"recipe": 1, "data set": ranks.rank == 2}, ranks))
    assert all(isinstance(result, TrainingError) for result in results)
    assert "Rank 2 has another data set than rank 0" in str(results[2])
    assert together(2, lambda ranks: refuse_different({"recipe": (1, 2)}, ranks)) == [None, None]


def test_the_checkpoint_of_rank_0_reaches_the_others() -> None:
    tensors = {"a": torch.randn(3, 2), "b": torch.tensor(5), "c": torch.tensor([True]), "d": torch.randn(2).bfloat16()}
    facts = {"step": 4, "rows": [{"loss": 0.1}], "best": None}
    for found in together(2, lambda ranks: same_checkpoint((tensors, facts) if ranks.leads else None, ranks)):
        assert found[1] == facts and found[0].keys() == tensors.keys()
        assert all(
            torch.equal(found[0][name], value) and found[0][name].dtype == value.dtype
            for name, value in tensors.items()
        )
    assert together(2, lambda ranks: same_checkpoint(None, ranks)) == [None, None]


def test_the_loss_of_a_rank_is_told_from_errors_of_the_model() -> None:
    gone = RuntimeError("[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:544] Connection closed by peer [::1]:1")
    wrapped = PluginError("The model raised RuntimeError", "Correct it.")
    wrapped.__cause__ = gone
    assert is_lost(gone) and is_lost(wrapped) and not is_lost(RuntimeError("mat1 and mat2 cannot be multiplied"))
    with pytest.raises(TrainingError, match="Another rank of this run has ended"), explaining("Go on."):
        raise wrapped
    with pytest.raises(PluginError), explaining("Go on."):
        raise PluginError("The model raised ValueError", "Correct it.")


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ({"RANK": "x"}, "is no number"),
        ({"RANK": "2"}, "no rank 2 of 2"),
        ({"LOCAL_RANK": "5"}, "no rank"),
    ],
    ids=["text", "too large", "local"],
)
def test_an_environment_that_makes_no_sense_is_said(
    monkeypatch: pytest.MonkeyPatch, said: dict[str, str], error: str
) -> None:
    for name, value in (dict.fromkeys(NAMES, "1") | {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"} | said).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=error), joined("cpu"):
        pass


def test_without_torchrun_a_process_is_alone_and_devices_are_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    with joined("auto") as ranks:
        assert ranks == ALONE and ranks.launcher == "zoo" and not ranks.described()
    for name in NAMES:
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="cannot train on cuda:1"), joined("cuda:1"):
        pass


def test_the_command_to_go_on_names_the_ranks() -> None:
    assert ProcessGroup(world=2, locals=2).launcher == "torchrun --nproc-per-node 2 -m zoo"
    assert ProcessGroup(world=16, locals=8).launcher == "torchrun --nnodes 2 ... --nproc-per-node 8 -m zoo"
