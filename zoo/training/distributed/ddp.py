"""What the ranks of a run do together: share out images, average gradients, and begin from one checkpoint."""

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from zoo.contract.errors import TrainingError, UsageError
from zoo.training.distributed.process_group import ProcessGroup


def refuse_uneven(batch_size: int, ranks: ProcessGroup) -> None:
    """Raise `UsageError` where the ranks cannot have equal shares of a batch."""
    if batch_size % ranks.world:
        near = max(1, batch_size // ranks.world) * ranks.world
        raise UsageError(
            f"A batch of {batch_size} images cannot be shared out evenly to {ranks.world} ranks.",
            f"Say for example --batch-size {near}; it is of all ranks together.",
        )


def refuse_different(said: Mapping[str, Any], ranks: ProcessGroup) -> None:
    """Raise `TrainingError` where the recipe or the data differs from rank 0's.

    Args:
        said: plain data, by name.
    """
    mine = json.loads(json.dumps(said))
    theirs = json.loads(ranks.told(json.dumps(said).encode()))
    differ = [name for name in mine if mine[name] != theirs.get(name)]
    if any(ranks.largest(bool(differ))):
        what = f"Rank {ranks.rank} has another {differ[0]} than rank 0" if differ else "A rank differs from rank 0"
        raise TrainingError(f"{what}.", "Start every rank with the same command, weights and data.")


def share(order: Tensor, batch_size: int, ranks: ProcessGroup) -> Tensor:
    """Of the images in `order` (int64 `[M]`), those of this rank: the same part of each batch.

    Args:
        batch_size: of all ranks together, which divides M and is divided by the number of ranks.
    """
    if ranks.world == 1:
        return order
    return order.view(-1, ranks.world, batch_size // ranks.world)[:, ranks.rank].flatten()


class DDPModel:
    """A model's forward pass in training, whose backward pass averages the gradients over the ranks.

    Of `accumulate` passes in a row, the last one averages: what the others left is in the gradients then.
    """

    def __init__(self, module: nn.Module, ranks: ProcessGroup, *, accumulate: int, compiled: bool) -> None:
        self._accumulate, self._count = accumulate, 0
        self._parallel: DistributedDataParallel | None = None
        if ranks.world > 1:
            device = next(module.parameters()).device
            # That some are unused is allowed, and it keeps the buckets, and so the order of sums, as they are: rebuilt
            # ones would let a resumed run of three ranks round in another way.
            gpus = [device] if device.type == "cuda" else None
            self._parallel = module = DistributedDataParallel(
                _Spared(module, device), device_ids=gpus, find_unused_parameters=True
            )
        self._forward = torch.compile(module) if compiled else module

    def __call__(self, images: Tensor) -> Any:
        """The logits, float `[N, K]`, of float32 images `[N, C, H, W]`."""
        self._count += 1
        if self._parallel is not None:
            self._parallel.require_backward_grad_sync = self._count % self._accumulate == 0
        return self._forward(images)


class _Spared(nn.Module):
    """A model beside a parameter that is never used: where all are, PyTorch warns of it at every start."""

    def __init__(self, module: nn.Module, device: torch.device) -> None:
        super().__init__()
        self.module, self.spare = module, nn.Parameter(torch.zeros(1, device=device))

    def forward(self, images: Tensor) -> Any:
        return self.module(images)


def same_checkpoint(
    found: tuple[dict[str, Tensor], dict[str, Any]] | None, ranks: ProcessGroup
) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """The checkpoint that rank 0 found, or `None`, on every rank; the others need not see the run folder."""
    if ranks.world == 1:
        return found
    tensors, facts = found or ({}, {})
    shapes = [[name, str(value.dtype).removeprefix("torch."), list(value.shape)] for name, value in tensors.items()]
    said = json.loads(ranks.told(json.dumps({"any": found is not None, "facts": facts, "tensors": shapes}).encode()))
    if not said["any"]:
        return None
    if not ranks.leads:
        tensors = {name: torch.empty(shape, dtype=getattr(torch, dtype)) for name, dtype, shape in said["tensors"]}
    ranks.give(list(tensors.values()))
    return tensors, said["facts"]
