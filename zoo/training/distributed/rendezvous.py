"""Join the processes that torchrun starts, and give each its device."""

import atexit
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta

import torch
import torch.distributed as dist

from zoo.contract.errors import DeviceError, TrainingError, UsageError
from zoo.models.devices import available, pick_device
from zoo.training.distributed.process_group import SINGLE_PROCESS, ProcessGroup, explain_lost_rank

TIMEOUT = timedelta(minutes=30)  # for a rank that is alive and downloads or reads its data
MAX_RANKS = 1_000_000
ENVIRONMENT = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")  # what the rendezvous `env://` reads


@contextmanager
def init_process_group(device: str) -> Iterator[ProcessGroup]:
    """Join the other ranks where torchrun started this process, and leave them at the end.

    Args:
        device: as on the command line. On CUDA each rank uses the GPU of its local rank.

    Raises:
        UsageError: the device or the environment that torchrun sets does not make sense.
        DeviceError: this machine has fewer GPUs than ranks.
        TrainingError: the other ranks cannot be reached, or one was lost during the block.
    """
    group = from_environment()
    if group.world_size == 1:
        yield group
        return
    own = _device_of_rank(group, device)
    group = replace(group, device=own)
    cuda = own.type == "cuda"
    if cuda:
        torch.cuda.set_device(own)
    try:
        dist.init_process_group("nccl" if cuda else "gloo", timeout=TIMEOUT, device_id=own if cuda else None)
        if cuda:
            group = replace(group, cpu_group=dist.new_group(backend="gloo", timeout=TIMEOUT))
        group.all_reduce_max(0)  # a barrier
    except (RuntimeError, ValueError, TypeError, OverflowError) as error:
        address = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        raise TrainingError(
            f"Rank {group.rank} of {group.world_size} cannot reach the other ranks at {address}: {_first_line(error)}",
            "Start all ranks with torchrun, with the same --nnodes and --nproc-per-node and an address all can reach.",
        ) from error
    with explain_lost_rank("See the error of that rank, correct it, and start all ranks again."):
        yield group
    gc.collect()  # what still holds the group, such as DDP's reducer, would keep its threads until the interpreter ends
    dist.destroy_process_group()  # not after an error: it would wait for ranks that have ended


def exit_rank(code: int) -> None:
    """End this process at once if it is one of several ranks: what is to be done at exit is done, nothing is freed.

    The threads of gloo may outlive the group. One that needs Python while the interpreter ends aborts the process,
    after everything is written.
    """
    if from_environment().world_size == 1:
        return
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # it is closed, or its reader has gone
            stream.flush()
    os._exit(code)


def from_environment() -> ProcessGroup:
    """The group that torchrun describes in the environment, which this process has not joined.

    Raises:
        UsageError: the environment makes no sense.
    """
    if not all(name in os.environ for name in ENVIRONMENT):
        return SINGLE_PROCESS
    try:
        rank, world_size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        local_rank = int(os.environ.get("LOCAL_RANK", rank))
        local_world_size = int(os.environ.get("LOCAL_WORLD_SIZE", world_size))
        port = int(os.environ["MASTER_PORT"])
    except ValueError as error:
        raise UsageError(f"The environment of this rank is invalid: {error}.", "Start zoo with torchrun.") from None
    if not 0 <= port < 2**16:
        raise UsageError(f"MASTER_PORT={port} is not a port.", "Start zoo with torchrun.")
    if not 0 <= rank < world_size <= MAX_RANKS or not 0 <= local_rank < local_world_size <= world_size:
        raise UsageError(
            f"The environment of this rank is invalid: RANK={rank}, WORLD_SIZE={world_size}, LOCAL_RANK={local_rank}, "
            f"LOCAL_WORLD_SIZE={local_world_size}.",
            "Start zoo with torchrun.",
        )
    return ProcessGroup(rank=rank, world_size=world_size, local_rank=local_rank, local_world_size=local_world_size)


def _device_of_rank(group: ProcessGroup, device: str) -> torch.device:
    kind = ("cuda" if "cuda" in available() else "cpu") if device == "auto" else device
    if kind not in ("cpu", "cuda"):
        raise UsageError(
            f"Several ranks cannot train on --device {device}.", "Use --device cuda: each rank gets its own GPU."
        )
    if kind == "cpu":
        return torch.device("cpu")
    pick_device("cuda")
    count = torch.cuda.device_count()
    if group.local_rank >= count:
        raise DeviceError(
            f"Rank {group.rank} has no GPU: this machine has {count}, for {group.local_world_size} ranks.",
            f"Use --nproc-per-node {count}.",
        )
    return torch.device("cuda", group.local_rank)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
