"""Settings: where, and in which arithmetic, an evaluation is made. Each has a rounding error of its own."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch

TF32_EPSILON = 2.0**-10  # its mantissa has 10 bits
CUDA, CUDA_TF32 = "cuda", "cuda-tf32"
FLOAT32, FLOAT16 = "float32", "float16"  # precisions, as a manifest names them


@dataclass(frozen=True)
class Backend:
    """How an evaluation is made.

    Args:
        provider: what runs the artifact: `cpu`, `cuda`, `cuda-tf32`, or another provider of onnxruntime.
        dtype: of weights and activations.
    """

    provider: str = "cpu"
    dtype: torch.dtype = torch.float32

    @property
    def device(self) -> torch.device:
        """Where PyTorch makes the evaluations whose rounding errors are measured in.

        Only for CUDA is it the provider's own. The others compute float32 as the CPU does, in some other order.
        """
        return torch.device("cuda" if self.provider in (CUDA, CUDA_TF32) else "cpu")

    @property
    def tf32(self) -> bool:
        """Whether the factors of a matrix product or a convolution may be rounded to TF32."""
        return self.provider == CUDA_TF32

    @property
    def epsilon(self) -> float:
        """The relative distance between two neighbouring numbers."""
        return TF32_EPSILON if self.tf32 else float(torch.finfo(self.dtype).eps)

    @property
    def words(self) -> str:
        """Such as `float32 on the CPU`."""
        number = "TF32" if self.tf32 else str(self.dtype).removeprefix("torch.")
        return f"{number} on the {'GPU' if self.device.type == 'cuda' else 'CPU'}"

    @contextmanager
    def active(self) -> Iterator[None]:
        """On a GPU, have PyTorch round to TF32 or not, as this says; by default it does in convolutions alone."""
        if self.device.type != "cuda":
            yield
            return
        matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
        before = matmul.allow_tf32, cudnn.allow_tf32
        try:
            matmul.allow_tf32 = cudnn.allow_tf32 = self.tf32
            yield
        finally:
            matmul.allow_tf32, cudnn.allow_tf32 = before


CPU = Backend()


def settings_of(providers: Sequence[str], dtype: torch.dtype = torch.float32) -> list[Backend]:
    """The settings that artifacts are judged at on `providers`: in float32, CUDA counts twice, without and with TF32.

    Onnxruntime and cuDNN round to TF32 where nobody forbids it. Its rounding is 8192 times float32's, and would hide
    damage; so the artifact has to pass without it, by a rounding error in which it has no part.
    """
    found = []
    for provider in providers:
        found.append(Backend(provider, dtype))
        if provider == CUDA and dtype == torch.float32:
            found.append(Backend(CUDA_TF32))
    return found
