"""Data-parallel training: shard each batch, average the gradients, start every rank from one checkpoint."""

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from zoo.contract.errors import TrainingError, UsageError
from zoo.training.distributed.process_group import ProcessGroup


def check_batch_size(batch_size: int, group: ProcessGroup) -> None:
    """Raise `UsageError` where the global batch size is not a multiple of the world size."""
    if batch_size % group.world_size:
        suggestion = max(1, batch_size // group.world_size) * group.world_size
        raise UsageError(
            f"The batch size {batch_size} is not divisible by the world size {group.world_size}.",
            f"Use for example --batch-size {suggestion}: it is the global batch size, of all ranks together.",
        )


def check_same_on_all_ranks(values: Mapping[str, Any], group: ProcessGroup) -> None:
    """Raise `TrainingError` on every rank where a value differs from that of rank 0.

    Args:
        values: plain data by name, such as the recipe.
    """
    own = json.loads(json.dumps(values))
    main = json.loads(group.broadcast_bytes(json.dumps(values).encode()))
    differing = [name for name in own if own[name] != main.get(name)]
    if any(group.all_reduce_max(bool(differing))):
        cause = f"The {differing[0]} of rank {group.rank} differs" if differing else "Another rank differs"
        raise TrainingError(
            f"{cause} from that of rank 0.", "Start every rank with the same command, weights and data."
        )


def shard(order: Tensor, batch_size: int, group: ProcessGroup) -> Tensor:
    """The indices of `order` (int64 `[M]`) that this rank trains on: the same part of each batch.

    Args:
        batch_size: the global one. The world size divides it, and the size M % batch_size of a last partial batch.
    """
    if group.world_size == 1:
        return order
    whole = len(order) - len(order) % batch_size
    full, last = order[:whole], order[whole:]
    own = full.view(-1, group.world_size, batch_size // group.world_size)[:, group.rank].flatten()
    return torch.cat([own, last.view(group.world_size, -1)[group.rank]]) if len(last) else own


class DDPModel:
    """The forward pass of a model in training. Its backward pass averages the gradients over the ranks.

    With gradient accumulation, only the backward pass of the last batch of a step communicates.
    """

    def __init__(self, module: nn.Module, group: ProcessGroup, *, compiled: bool) -> None:
        self._ddp: DistributedDataParallel | None = None
        if group.world_size > 1:
            device = next(module.parameters()).device
            # find_unused_parameters also keeps the gradient buckets as they are first built. Rebuilt buckets would
            # add in another order, and a resumed run of three ranks would round differently.
            device_ids = [device] if device.type == "cuda" else None
            self._ddp = module = DistributedDataParallel(
                _WithUnusedParameter(module, device), device_ids=device_ids, find_unused_parameters=True
            )
        # each batch size has code of its own, or that of the last batch would depend on which one came first
        self._forward = torch.compile(module, dynamic=False) if compiled else module

    def __call__(self, images: Tensor, *, last: bool) -> Any:
        """The logits, float `[N, K]`, of float32 images `[N, C, H, W]`.

        Args:
            last: whether this is the last batch of an optimizer step.
        """
        if self._ddp is not None:
            self._ddp.require_backward_grad_sync = last
        return self._forward(images)


class _WithUnusedParameter(nn.Module):
    """A model and one parameter that is never used: without any, find_unused_parameters warns at every start."""

    def __init__(self, module: nn.Module, device: torch.device) -> None:
        super().__init__()
        self.module, self.unused = module, nn.Parameter(torch.zeros(1, device=device))

    def forward(self, images: Tensor) -> Any:
        return self.module(images)


def broadcast_checkpoint(
    checkpoint: tuple[dict[str, Tensor], dict[str, Any]] | None, group: ProcessGroup
) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """The checkpoint that rank 0 read, or `None`, on every rank; the other ranks need no access to the run folder."""
    if group.world_size == 1:
        return checkpoint
    tensors, metadata = checkpoint or ({}, {})
    shapes = [[name, str(value.dtype).removeprefix("torch."), list(value.shape)] for name, value in tensors.items()]
    content = {"exists": checkpoint is not None, "metadata": metadata, "tensors": shapes}
    received = json.loads(group.broadcast_bytes(json.dumps(content).encode()))
    if not received["exists"]:
        return None
    if not group.is_main:
        tensors = {name: torch.empty(shape, dtype=getattr(torch, dtype)) for name, dtype, shape in received["tensors"]}
    group.broadcast(list(tensors.values()))
    return tensors, received["metadata"]
