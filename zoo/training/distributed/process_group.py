"""The processes that train one model together, as torchrun starts them, and the collectives that zoo needs.

Nothing is pickled: numbers travel as tensors, everything else as JSON.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from zoo.contract.errors import TrainingError

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class ProcessGroup:
    """This process among those of a run. The default is a single process, for which every collective is a no-op.

    Args:
        rank: of this process, from 0. Rank 0 is the main process: it alone writes files and reports progress.
        world_size: number of processes of the run.
        local_rank, local_world_size: the same two, counted on this machine.
        device: of this process; `None` for a single process, which picks its own.
        cpu_group: the group for tensors on the CPU where the default group is NCCL; `None` for the default group.
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    local_world_size: int = 1
    device: torch.device | None = None
    cpu_group: Any = None

    @property
    def is_main(self) -> bool:
        """Whether this is rank 0."""
        return self.rank == 0

    @property
    def launcher(self) -> str:
        """The command that starts zoo with the same world size."""
        if self.world_size == 1:
            return "zoo"
        nodes = f"--nnodes {self.world_size // self.local_world_size} ... "
        return (
            f"torchrun {nodes if self.world_size > self.local_world_size else ''}"
            f"--nproc-per-node {self.local_world_size} -m zoo"
        )

    def describe(self) -> dict[str, str]:
        """The world size as a card's `versions` record it; empty for a single process."""
        return {"ranks": str(self.world_size)} if self.world_size > 1 else {}

    def all_reduce_mean(self, value: Tensor) -> Tensor:
        """Average a tensor over the ranks in place, on its device, without waiting for the device."""
        if self.world_size > 1:
            dist.all_reduce(value)
            value /= self.world_size
        return value

    def all_reduce_max(self, *numbers: int) -> tuple[int, ...]:
        """The maximum of each number over the ranks."""
        if self.world_size > 1:
            tensor = torch.tensor(numbers)
            dist.all_reduce(tensor, dist.ReduceOp.MAX, group=self.cpu_group)
            return tuple(tensor.tolist())
        return numbers

    def all_reduce_sum(self, counts: Tensor) -> Tensor:
        """The sum of an int64 tensor over the ranks, as a new tensor on the CPU."""
        counts = counts.cpu().clone()
        if self.world_size > 1:
            dist.all_reduce(counts, group=self.cpu_group)
        return counts

    def all_gather(self, values: Tensor) -> list[Tensor]:
        """The tensors of all ranks in rank order, on the CPU. All must have the same shape and dtype."""
        values = values.cpu()
        if self.world_size == 1:
            return [values]
        gathered = [torch.empty_like(values) for _ in range(self.world_size)]
        dist.all_gather(gathered, values, group=self.cpu_group)
        return gathered

    def broadcast_bytes(self, content: bytes) -> bytes:
        """The `content` that rank 0 passes; that of the other ranks is ignored."""
        if self.world_size == 1:
            return content
        length = torch.tensor([len(content)])
        dist.broadcast(length, 0, group=self.cpu_group)
        if self.is_main and content:
            tensor = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        else:
            tensor = torch.empty(int(length), dtype=torch.uint8)
        dist.broadcast(tensor, 0, group=self.cpu_group)
        return tensor.numpy().tobytes()

    def broadcast(self, tensors: Sequence[Tensor]) -> None:
        """Overwrite tensors in place with those of rank 0."""
        if self.world_size > 1:
            for tensor in tensors:
                contiguous = tensor.detach().contiguous()
                group = self.cpu_group if contiguous.device.type == "cpu" else None
                dist.broadcast(contiguous.reshape(-1).view(torch.uint8), 0, group=group)  # bytes suit every dtype
                tensor.detach().copy_(contiguous)

    def main_first(self, work: Callable[[], T]) -> T:
        """Call `work` on rank 0 first, then on one rank of each other machine, then on the rest.

        A download is then done once on each machine, and the other ranks find the files.
        """
        turn = 0 if self.is_main else 1 if self.local_rank == 0 else 2
        results: list[T] = []
        for current in range(3 if self.world_size > 1 else 1):
            if current == turn:
                results.append(work())
            self.all_reduce_max(0)  # a barrier
        return results[0]


SINGLE_PROCESS = ProcessGroup()


def is_lost_rank(error: BaseException | None) -> bool:
    """Whether an error was caused by another rank that ended or does not answer."""
    while error is not None:
        text = str(error)
        if isinstance(error, getattr(dist, "DistError", ())):
            return True
        if isinstance(error, RuntimeError) and ("gloo/" in text or "Connection closed by peer" in text):
            return True
        error = error.__cause__
    return False


@contextmanager
def explain_lost_rank(next_step: str) -> Iterator[None]:
    """Turn the failure of another rank into an error that says so.

    Raises:
        TrainingError: another rank has ended or does not answer.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, TrainingError) or not is_lost_rank(error):
            raise
        raise TrainingError("Another rank of this run has ended or does not answer.", next_step) from error
