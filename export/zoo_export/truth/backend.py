"""Backends: where, and in which arithmetic, an artifact is run, and its rounding error is measured with PyTorch."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import torch

from zoo.contract.exporting import artifact

TF32_EPSILON = 2.0**-10  # its mantissa has 10 bits
CUDA = "cuda"


@dataclass(frozen=True)
class Backend(artifact.Backend):
    """A backend, with the PyTorch evaluations whose rounding errors artifacts on it are judged by.

    Args:
        dtype: of weights and activations in these evaluations.
    """

    dtype: torch.dtype = torch.float32

    @property
    def torch_device(self) -> torch.device:
        """Where PyTorch makes the evaluations.

        Only CUDA has one of its own. Other devices compute float32 as the CPU does, in some other order.
        """
        return torch.device(CUDA if self.device == CUDA else "cpu")

    @property
    def epsilon(self) -> float:
        """The relative distance between two neighbouring numbers."""
        return TF32_EPSILON if self.tf32 else float(torch.finfo(self.dtype).eps)

    @property
    def words(self) -> str:
        """Such as `float32 on the CPU`."""
        number = "TF32" if self.tf32 else str(self.dtype).removeprefix("torch.")
        return f"{number} on the {'GPU' if self.torch_device.type == CUDA else 'CPU'}"

    def active(self) -> AbstractContextManager[None]:
        """On a GPU, allow or forbid PyTorch to round to TF32, as this backend does."""
        return tf32(self.torch_device, self.tf32)


@contextmanager
def tf32(device: torch.device, allowed: bool) -> Iterator[None]:
    """On a GPU, allow or forbid PyTorch to round to TF32; by default it may in convolutions alone."""
    if device.type != CUDA:
        yield
        return
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    try:
        matmul.allow_tf32 = cudnn.allow_tf32 = allowed
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before


CPU = Backend()
