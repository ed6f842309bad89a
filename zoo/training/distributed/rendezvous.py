"""How the ranks of a run find each other: by what torchrun puts into the environment, and which device each has."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import torch
import torch.distributed as dist

from zoo.contract.errors import DeviceError, TrainingError, UsageError
from zoo.models.devices import available, pick_device
from zoo.training.distributed.process_group import ALONE, ProcessGroup, explaining

PATIENCE = timedelta(minutes=30)  # that a rank waits for one that lives, and may be fetching or reading its data
ADDRESS = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")  # what the rendezvous `env://` reads


@contextmanager
def joined(device: str) -> Iterator[ProcessGroup]:
    """Meet the other ranks where torchrun started this process, and part from them at the end.

    Args:
        device: as on the command line. On CUDA each rank has the GPU of its number on its machine.

    Raises:
        UsageError: the device or what torchrun says does not make sense.
        DeviceError: there are fewer GPUs here than ranks.
        TrainingError: the others could not be met, or one was lost meanwhile.
    """
    ranks = _started()
    if ranks.world == 1:
        yield ranks
        return
    own = _own_device(ranks, device)
    ranks = replace(ranks, device=own)
    cuda = own.type == "cuda"
    if cuda:
        torch.cuda.set_device(own)
    try:
        dist.init_process_group("nccl" if cuda else "gloo", timeout=PATIENCE, device_id=own if cuda else None)
        if cuda:
            ranks = replace(ranks, control=dist.new_group(backend="gloo", timeout=PATIENCE))
        ranks.largest(0)
    except (RuntimeError, ValueError) as error:
        where = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        raise TrainingError(
            f"Rank {ranks.rank} of {ranks.world} did not meet the others at {where}: {_first_line(error)}",
            "Start all of them with torchrun, with the same --nnodes and --nproc-per-node and an address all reach.",
        ) from error
    with explaining("See what it said, correct that, and start all of them again."):
        yield ranks
    dist.destroy_process_group()  # not after an error, where it would wait for ranks that are gone


def _started() -> ProcessGroup:
    if not all(name in os.environ for name in ADDRESS):
        return ALONE
    try:
        rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        local = int(os.environ.get("LOCAL_RANK", rank))
        ranks = ProcessGroup(rank=rank, world=world, local=local, locals=int(os.environ.get("LOCAL_WORLD_SIZE", world)))
    except ValueError as error:
        raise UsageError(f"A rank in the environment is no number: {error}.", "Start zoo with torchrun.") from None
    if not 0 <= rank < world or not 0 <= local < ranks.locals <= world:
        raise UsageError(f"There is no rank {rank} of {world} in the environment.", "Start zoo with torchrun.")
    return ranks


def _own_device(ranks: ProcessGroup, told: str) -> torch.device:
    kind = "cuda" if told == "auto" and "cuda" in available() else "cpu" if told == "auto" else told
    if kind not in ("cpu", "cuda"):
        raise UsageError(f"Several ranks cannot train on {told}.", "Say --device cuda, which gives each its own GPU.")
    if kind == "cpu":
        return torch.device("cpu")
    pick_device("cuda")
    if ranks.local >= torch.cuda.device_count():
        raise DeviceError(
            f"Rank {ranks.rank} has no GPU: there are {torch.cuda.device_count()} here, for {ranks.locals} ranks.",
            f"Say --nproc-per-node {torch.cuda.device_count()}.",
        )
    return torch.device("cuda", ranks.local)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
