"""The processes that train one model together, as torchrun starts them, and what they tell each other.

Nothing that they send is pickled: numbers travel as tensors, and the rest as JSON.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from zoo.contract.errors import TrainingError


@dataclass(frozen=True, kw_only=True)
class ProcessGroup:
    """This process among those of a run. The default is a process of its own, for which all of this is nothing.

    Args:
        rank: of this process, from 0; rank 0 leads: it alone writes.
        world: how many there are.
        local, locals: the same two on this machine.
        device: of this process; `None` for a process of its own, which picks it itself.
        control: of processes, for words on the CPU where the others travel between GPUs; `None` for the same.
    """

    rank: int = 0
    world: int = 1
    local: int = 0
    locals: int = 1
    device: torch.device | None = None
    control: Any = None

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    @property
    def launcher(self) -> str:
        """How zoo is started on as many ranks again."""
        if self.world == 1:
            return "zoo"
        nodes = f"--nnodes {self.world // self.locals} ... " if self.world > self.locals else ""
        return f"torchrun {nodes}--nproc-per-node {self.locals} -m zoo"

    def described(self) -> dict[str, str]:
        """What a card says of it among the versions; nothing for a process of its own."""
        return {"ranks": str(self.world)} if self.world > 1 else {}

    def mean(self, value: Tensor) -> Tensor:
        """The mean of a tensor over the ranks, on its device; it need not wait for the device."""
        if self.world > 1:
            dist.all_reduce(value)
            value /= self.world
        return value

    def largest(self, *numbers: int) -> tuple[int, ...]:
        """Each number at its largest over the ranks."""
        if self.world > 1:
            told = torch.tensor(numbers)
            dist.all_reduce(told, dist.ReduceOp.MAX, group=self.control)
            return tuple(told.tolist())
        return numbers

    def total(self, counts: Tensor) -> Tensor:
        """The sum of int64 counts over the ranks, on the CPU."""
        counts = counts.cpu().clone()
        if self.world > 1:
            dist.all_reduce(counts, group=self.control)
        return counts

    def each(self, values: Tensor) -> list[Tensor]:
        """Values of every rank, in the order of the ranks, on the CPU; all of one shape and dtype."""
        values = values.cpu()
        if self.world == 1:
            return [values]
        found = [torch.empty_like(values) for _ in range(self.world)]
        dist.all_gather(found, values, group=self.control)
        return found

    def told(self, said: bytes) -> bytes:
        """What rank 0 says; what the others pass is not looked at."""
        if self.world == 1:
            return said
        length = torch.tensor([len(said)])
        dist.broadcast(length, 0, group=self.control)
        content = torch.frombuffer(bytearray(said), dtype=torch.uint8) if self.leads and said else None
        if content is None:
            content = torch.empty(int(length), dtype=torch.uint8)
        dist.broadcast(content, 0, group=self.control)
        return content.numpy().tobytes()

    def give(self, tensors: Sequence[Tensor]) -> None:
        """Overwrite tensors, on their device, by those of rank 0."""
        if self.world > 1:
            for tensor in tensors:
                plain = tensor.detach().contiguous()
                group = self.control if plain.device.type == "cpu" else None
                dist.broadcast(plain.reshape(-1).view(torch.uint8), 0, group=group)  # bytes, whatever the dtype
                tensor.detach().copy_(plain)

    def one_by_one(self, work: Callable[[], Any]) -> Any:
        """Let rank 0 do something first, then one rank on each other machine, then the rest, who find it done."""
        turn = 0 if self.leads else 1 if self.local == 0 else 2
        result = None
        for now in range(3 if self.world > 1 else 1):
            if now == turn:
                result = work()
            self.largest(0)
        return result


ALONE = ProcessGroup()


def is_lost(error: BaseException | None) -> bool:
    """Whether an error comes of another rank that has ended or does not answer."""
    while error is not None:
        text = str(error)
        if isinstance(error, getattr(dist, "DistError", ())):
            return True
        if isinstance(error, RuntimeError) and ("gloo/" in text or "Connection closed by peer" in text):
            return True
        error = error.__cause__
    return False


@contextmanager
def explaining(next_step: str) -> Iterator[None]:
    """Turn the loss of another rank into an error that says so.

    Raises:
        TrainingError: another rank has ended or does not answer.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, TrainingError) or not is_lost(error):
            raise
        raise TrainingError("Another rank of this run has ended, or does not answer.", next_step) from error
