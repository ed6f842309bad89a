"""Random numbers of a run, drawn afresh from the seed at each epoch and step.

So a resumed run draws what it would have drawn, in the middle of an epoch too, and no state is stored.
"""

import hashlib
import random

import numpy as np
import torch
from torch import Tensor

from zoo.training.balance import drawn_evenly


class StepRNG:
    """What a seed stands for.

    Args:
        rank: of the process among those that share each batch. The order of images is the same on all of them; what is
            drawn at a step is not, as each draws for images of its own.
    """

    def __init__(self, seed: int, device: torch.device, rank: int = 0) -> None:
        self._seed = seed
        self._own = f" of rank {rank}" if rank else ""
        self._device = device
        self._generator = torch.Generator()

    def order(self, n: int, epoch: int, evenly: Tensor | None = None) -> Tensor:
        """The numbers from 0 to n - 1 in the order of that epoch, int64 `[n]`.

        Args:
            evenly: labels int64 `[n]`, of which each class is to be drawn as often, with replacement.
        """
        if evenly is not None:
            return drawn_evenly(evenly, self._generator.manual_seed(self._number("balance", epoch)))
        return torch.randperm(n, generator=self._generator.manual_seed(self._number("order", epoch)))

    def seed(self, step: int) -> None:
        """Seed what a model may draw from (PyTorch on the CPU and the device, NumPy, Python) for that step."""
        number = self._number(f"step{self._own}", step)
        random.seed(number)
        np.random.seed(number % 2**32)
        torch.default_generator.manual_seed(number)
        if self._device.type == "cuda":
            with torch.cuda.device(self._device):
                torch.cuda.manual_seed(number)
        elif self._device.type == "mps":
            torch.mps.manual_seed(number)

    def augmentation(self, step: int) -> torch.Generator:
        """A generator on the CPU for that step's images; it is the same one each time, seeded afresh."""
        return self._generator.manual_seed(self._number(f"augment{self._own}", step))

    def _number(self, purpose: str, count: int) -> int:
        text = f"{self._seed} {purpose} {count}".encode()
        return int.from_bytes(hashlib.sha256(text).digest()[:8], "little") >> 1
