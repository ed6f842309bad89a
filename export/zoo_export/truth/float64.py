"""Truth: the logits of a module in float64, which is left as it was."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from zoo.contract.errors import refuse_out_of_memory
from zoo.contract.evidence import Truth
from zoo.evaluation.attributes import keep_attributes
from zoo_export.truth.beside import RoundingToFloat32, float64_beside


def logits_in_float64(module: nn.Module, inputs: Sequence[Tensor]) -> tuple[list[Truth], Truth]:
    """Evaluate `module`, which must be in evaluation mode, float32 and on the CPU, in float64.

    The module is converted to float64 for that. If it then fails, or rounds to float32 on the smallest input, every
    operator that it calls is computed in float64 instead (`Float64Beside`): truth never has the precision of float32.

    Args:
        inputs: float32 `[N, C, H, W]` each.

    Returns:
        The float64 logits of each input, and those of the smallest input once more.

    Raises:
        Exception: as forward raises.
    """
    smallest = min(inputs, key=Tensor.numel)
    with torch.no_grad():  # what a model keeps of inference mode could not be used with gradients
        try:
            with keep_attributes(module), _float64(module):
                with RoundingToFloat32() as rounding:
                    again = _float64_array(module(smallest.double()))
                if not rounding.noticed:
                    return [_float64_array(module(images.double())) for images in inputs], again
        except Exception as error:
            refuse_out_of_memory(error)
        with keep_attributes(module), float64_beside() as beside:
            truths = [_float64_array(beside.wide(module(images.clone()))) for images in inputs]
            return truths, _float64_array(beside.wide(module(smallest.clone())))


def _float64_array(logits: Tensor) -> Truth:
    return np.asarray(logits.numpy(), np.float64)


@contextmanager
def _float64(module: nn.Module) -> Iterator[None]:
    """Hold a module in float64, then restore what was float32, to the bit."""
    single = {name for name, tensor in _tensors(module) if tensor.dtype == torch.float32}
    module.double()
    try:
        yield
    finally:
        for name, tensor in _tensors(module):
            if name in single:
                tensor.data = tensor.data.float()


def _tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters()
    yield from module.named_buffers()
