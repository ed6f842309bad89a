"""Random numbers of a run, seeded afresh at each epoch and step, and their way to the device.

A resumed run thus draws what it would have drawn, within an epoch too, and no generator's state is stored.
"""

import hashlib
import random

import numpy as np
import torch
from torch import Tensor

from zoo.training.balance import balanced_sampler


class StepRNG:
    """Seeds the random numbers of each epoch and step.

    Args:
        seed: of the recipe.
        rank: of this process. The order of images is the same on all ranks; augmentation and dropout differ, as each
            rank has its own images.
    """

    def __init__(self, seed: int, device: torch.device, rank: int = 0) -> None:
        self._seed = seed
        self._rank = f" of rank {rank}" if rank else ""
        self._device = device
        self._generator = torch.Generator()

    def order(self, n: int, epoch: int, labels: Tensor | None = None) -> Tensor:
        """The order of images in an epoch: a permutation of 0 to n - 1, int64 `[n]`.

        Args:
            labels: int64 `[n]`; where they are passed, images are sampled with replacement, each class equally often.
        """
        if labels is not None:
            return balanced_sampler(labels, self._generator.manual_seed(self._seed_of("balance", epoch)))
        return torch.randperm(n, generator=self._generator.manual_seed(self._seed_of("order", epoch)))

    def seed(self, step: int, purpose: str = "step") -> None:
        """Seed the global generators that a model may use: PyTorch's on the CPU and the device, NumPy's, Python's."""
        seed = self._seed_of(f"{purpose}{self._rank}", step)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.default_generator.manual_seed(seed)
        if self._device.type == "cuda":
            with torch.cuda.device(self._device):
                torch.cuda.manual_seed(seed)
        elif self._device.type == "mps":
            torch.mps.manual_seed(seed)

    def augmentation(self, step: int) -> torch.Generator:
        """The generator, on the CPU, for the augmentation of a step. The object is reused: each call seeds it anew."""
        return self._generator.manual_seed(self._seed_of(f"augment{self._rank}", step))

    def _seed_of(self, purpose: str, count: int) -> int:
        text = f"{self._seed} {purpose} {count}".encode()
        return int.from_bytes(hashlib.sha256(text).digest()[:8], "little") >> 1


def to_device(values: Tensor, device: torch.device) -> Tensor:
    """Copy values from the CPU to the device without waiting for it: through pinned memory on CUDA."""
    return values.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else values.to(device)
