"""Collectives, sharding and distributed evaluation, with ranks played by threads."""

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
from zoo.training.distributed.ddp import broadcast_checkpoint, check_batch_size, check_same_on_all_ranks, shard
from zoo.training.distributed.evaluate import evaluate_distributed
from zoo.training.distributed.process_group import SINGLE_PROCESS, ProcessGroup, explain_lost_rank, is_lost_rank
from zoo.training.distributed.rendezvous import init_process_group
from zoo.training.signals import Signals
from zoo.training.step_rng import StepRNG

NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


class Threads(ProcessGroup):
    """Ranks that are threads of this process and exchange values through a list."""

    table: list[Any]
    barrier: threading.Barrier

    def _exchange(self, own: Any) -> list[Any]:
        self.table[self.rank] = own
        self.barrier.wait(20)
        values = list(self.table)
        self.barrier.wait(20)
        return values

    def all_reduce_max(self, *numbers: int) -> tuple[int, ...]:
        return tuple(max(each) for each in zip(*self._exchange(numbers), strict=True))

    def all_reduce_sum(self, counts: torch.Tensor) -> torch.Tensor:
        return torch.stack(self._exchange(counts)).sum(0)

    def all_gather(self, values: torch.Tensor) -> list[torch.Tensor]:
        return self._exchange(values)

    def broadcast_bytes(self, content: bytes) -> bytes:
        return self._exchange(content)[0]

    def broadcast(self, tensors: Any) -> None:
        with torch.no_grad():
            for own, first in zip(tensors, self._exchange([tensor.clone() for tensor in tensors])[0], strict=True):
                own.copy_(first)


def together(world_size: int, work: Callable[[ProcessGroup], Any]) -> list[Any]:
    """What `work` returns, or raises, on each of `world_size` ranks."""
    table, barrier, results = [None] * world_size, threading.Barrier(world_size), [None] * world_size

    def run(rank: int) -> None:
        group = Threads(rank=rank, world_size=world_size, local_rank=rank, local_world_size=world_size)
        object.__setattr__(group, "table", table)
        object.__setattr__(group, "barrier", barrier)
        try:
            results[rank] = work(group)
        except Exception as error:
            results[rank] = error

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(world_size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@given(st.integers(1, 5), st.integers(1, 4), st.integers(0, 6))
def test_each_batch_is_sharded_evenly(world_size: int, each: int, batches: int) -> None:
    order = torch.randperm(world_size * each * batches)
    groups = [ProcessGroup(rank=rank, world_size=world_size) for rank in range(world_size)]
    shards = [shard(order, world_size * each, group) for group in groups]
    assert [len(part) for part in shards] == [each * batches] * world_size
    for number in range(batches):
        parts = torch.cat([part[number * each : (number + 1) * each] for part in shards])
        assert torch.equal(parts, order[number * world_size * each : (number + 1) * world_size * each])


def test_an_indivisible_batch_size_is_refused() -> None:
    check_batch_size(128, ProcessGroup(world_size=2))
    check_batch_size(127, SINGLE_PROCESS)
    with pytest.raises(UsageError, match=r"127.*2") as raised:
        check_batch_size(127, ProcessGroup(world_size=2))
    assert "--batch-size 126" in raised.value.next_step  # no more than there may be images
    with pytest.raises(UsageError) as raised:
        check_batch_size(1, ProcessGroup(world_size=4))
    assert "--batch-size 4:" in raised.value.next_step


def test_ranks_share_the_order_and_draw_for_themselves() -> None:
    def drawn(draws: StepRNG) -> tuple[list[int], float, float]:
        order, generator = draws.order(20, 1).tolist(), draws.augmentation(3)
        draws.seed(3)
        return order, float(torch.rand(1)), float(torch.rand(1, generator=generator))

    alone, first, second = (drawn(StepRNG(7, torch.device("cpu"), *rank)) for rank in ((), (0,), (1,)))
    assert alone == first == drawn(StepRNG(7, torch.device("cpu")))
    assert second[0] == first[0] and second[1] != first[1] and second[2] != first[2]
    assert second == drawn(StepRNG(7, torch.device("cpu"), 1))


@pytest.mark.parametrize("n", [1, 2, 23, 64])
def test_distributed_evaluation_equals_that_of_one_process(n: int) -> None:
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
    results = together(3, lambda group: evaluate_distributed(models[group.rank], held, data, loss, cpu, group))
    for result in results:
        assert torch.equal(result.confusion, expected.confusion) and result.top5 == expected.top5
        assert result.loss == pytest.approx(expected.loss, rel=1e-6) and result.loss == results[0].loss
        assert torch.equal(result.calibration.count, expected.calibration.count)
        assert torch.equal(result.calibration.correct, expected.calibration.correct)
        assert result.calibration.error() == pytest.approx(expected.calibration.error(), abs=1e-6)


def test_a_signal_to_one_rank_stops_all_after_the_same_step() -> None:
    stopped: list[tuple[int, int]] = []

    def work(group: ProcessGroup) -> None:
        signals = Signals(group.all_reduce_max)  # in a thread nothing can come: it is put in by hand
        signals._handlers = {15: lambda number, frame: stopped.append((group.rank, step))}
        for step in range(5):
            with signals.deferred():
                if group.rank == 1 and step == 2:
                    signals._pending = 15
            assert signals.sync(group.rank == 0 and step == 1) == (step == 1)
            if stopped:
                return

    assert not [result for result in together(3, work) if result is not None]
    assert sorted(stopped) == [(0, 2), (1, 2), (2, 2)]


def test_signals_wait_for_all_ranks_and_a_later_one_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """A launcher that hears Ctrl-C sends SIGINT and then SIGTERM; somebody who asks again much later is heard."""
    came: list[int] = []
    before = {number: signal.signal(number, lambda number, _: came.append(number)) for number in (2, 15)}
    try:
        with Signals(lambda *numbers: numbers) as signals:
            with signals.deferred():
                os.kill(os.getpid(), 2)
            os.kill(os.getpid(), 15)
            assert not came
            assert signals.sync(True) and came == [2]
            assert not signals.sync(False) and came == [2]
            os.kill(os.getpid(), 15)
            monkeypatch.setattr(signals_module, "GRACE", 0.0)
            os.kill(os.getpid(), 2)
            assert came == [2, 2]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_a_rank_with_another_recipe_or_data_is_named() -> None:
    results = together(3, lambda group: check_same_on_all_ranks({"recipe": 1, "dataset": group.rank == 2}, group))
    assert all(isinstance(result, TrainingError) for result in results)
    assert "dataset of rank 2" in str(results[2])
    assert together(2, lambda group: check_same_on_all_ranks({"recipe": (1, 2)}, group)) == [None, None]


def test_the_checkpoint_of_rank_0_reaches_the_others() -> None:
    tensors = {"a": torch.randn(3, 2), "b": torch.tensor(5), "c": torch.tensor([True]), "d": torch.randn(2).bfloat16()}
    facts = {"step": 4, "rows": [{"loss": 0.1}], "best": None}
    for result in together(2, lambda group: broadcast_checkpoint((tensors, facts) if group.is_main else None, group)):
        assert result[1] == facts and result[0].keys() == tensors.keys()
        assert all(
            torch.equal(result[0][name], value) and result[0][name].dtype == value.dtype
            for name, value in tensors.items()
        )
    assert together(2, lambda group: broadcast_checkpoint(None, group)) == [None, None]


def test_a_lost_rank_is_distinguished_from_model_errors() -> None:
    gone = RuntimeError("[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:544] Connection closed by peer [::1]:1")
    wrapped = PluginError("The model raised RuntimeError", "Correct it.")
    wrapped.__cause__ = gone
    assert (
        is_lost_rank(gone)
        and is_lost_rank(wrapped)
        and not is_lost_rank(RuntimeError("mat1 and mat2 cannot be multiplied"))
    )
    with pytest.raises(TrainingError, match="Another rank"), explain_lost_rank("Go on."):
        raise wrapped
    with pytest.raises(PluginError), explain_lost_rank("Go on."):
        raise PluginError("The model raised ValueError", "Correct it.")


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"RANK": "x"}, "'x'"),
        ({"RANK": "2"}, "RANK=2"),
        ({"LOCAL_RANK": "5"}, "LOCAL_RANK=5"),
    ],
    ids=["text", "too large", "local"],
)
def test_an_invalid_environment_is_refused(
    monkeypatch: pytest.MonkeyPatch, changed: dict[str, str], error: str
) -> None:
    for name, value in (dict.fromkeys(NAMES, "1") | {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"} | changed).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=error), init_process_group("cpu"):
        pass


def test_without_torchrun_there_is_a_single_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    with init_process_group("auto") as group:
        assert group == SINGLE_PROCESS and group.launcher == "zoo" and not group.describe()
    for name in NAMES:
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="cuda:1"), init_process_group("cuda:1"):
        pass


def test_the_launcher_names_the_world_size() -> None:
    assert ProcessGroup(world_size=2, local_world_size=2).launcher == "torchrun --nproc-per-node 2 -m zoo"
    assert (
        ProcessGroup(world_size=16, local_world_size=8).launcher == "torchrun --nnodes 2 ... --nproc-per-node 8 -m zoo"
    )
