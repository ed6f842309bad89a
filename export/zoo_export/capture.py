"""The model as every format receives it: captured once, with a dynamic batch."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from zoo.card import Card
from zoo.errors import ExportError

INPUT, OUTPUT, BATCH = "input", "logits", "batch"
TRACED_BATCH = 2  # with 1, exporters bake the batch in


@dataclass
class Capture:
    """What an export format is given.

    Args:
        name: of the model, `ARCH.TAG` or the architecture's name.
        module: in evaluation mode, float32, on the CPU. A format must not change it.
        card: of the model.
    """

    name: str
    module: nn.Module
    card: Card

    @cached_property
    def example(self) -> Tensor:
        """float32 `[TRACED_BATCH, C, H, W]` to trace with; no probe uses it."""
        generator = torch.Generator().manual_seed(0)
        return torch.randn(TRACED_BATCH, *self.card.preprocess.input_shape, generator=generator)

    @cached_property
    def program(self) -> ExportedProgram:
        """The model captured by torch.export, its batch dynamic. It is made once and shared by the formats.

        Raises:
            ExportError: the model cannot be captured; the reason is PyTorch's own.
        """
        try:
            with quiet(), torch.no_grad():
                dynamic = ({0: Dim(BATCH)},)
                return torch.export.export(self.module, (self.example,), dynamic_shapes=dynamic, strict=False)
        except Exception as error:
            raise ExportError(
                f"{self.name} could not be captured with a dynamic batch: {first_line(error)}",
                "Change the model's forward as the reason says; it may not depend on the batch size or on values.",
            ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the deprecation notes and progress notes of exporters off the user's screen."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


def first_line(error: BaseException) -> str:
    """The first line that says something, of an error that may say much."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
