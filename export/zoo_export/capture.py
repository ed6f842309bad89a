"""The model as every format receives it: captured once, with a dynamic batch."""

import copy
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from zoo.contract.errors import ExportError
from zoo.files.card import Card
from zoo_export.failures.export_errors import refusal

INPUT, OUTPUT, BATCH = "input", "logits", "batch"
HEIGHT, WIDTH = "height", "width"
TRACED_BATCH = 4  # with 1, exporters bake the batch in; no probe has as many images
T = TypeVar("T")


@dataclass
class Capture:
    """What an export format is given.

    Args:
        name: of the model, `ARCH.TAG` or the architecture's name.
        module: in evaluation mode, on the CPU, from float32 to float32; its weights are float16 where that was asked
            for. A format must not change it.
        card: of the model.
        dynamic_size: height and width are dynamic too.
    """

    name: str
    module: nn.Module
    card: Card
    _shared: dict[str, Any] = field(default_factory=dict, repr=False)
    dynamic_size: bool = False

    @property
    def input_shape(self) -> list[int | str]:
        """Of the artifact's input `[N, C, H, W]`: a name where it is dynamic, a number elsewhere."""
        channels, height, width = self.card.preprocess.input_shape
        return [BATCH, channels, *((HEIGHT, WIDTH) if self.dynamic_size else (height, width))]

    @cached_property
    def example(self) -> Tensor:
        """float32 `[TRACED_BATCH, C, H, W]` to trace with; no probe uses it."""
        generator = torch.Generator().manual_seed(0)
        return torch.randn(TRACED_BATCH, *self.card.preprocess.input_shape, generator=generator)

    @cached_property
    def program(self) -> ExportedProgram:
        """The model captured by torch.export, its batch dynamic. The formats share one capture.

        Raises:
            ExportError: the model cannot be captured; the reason is PyTorch's own.
        """
        shared: ExportedProgram = self.once("program", self._capture)
        weights = self.module.state_dict()
        if all(shared.state_dict[name] is weights.get(name) for name in shared.state_dict):
            return shared
        return with_weights(shared, weights)

    def once(self, key: str, make: Callable[[], T]) -> T:
        """What `make` gives, made once for this capture and its variants: it must not depend on the weights."""
        if key not in self._shared:
            self._shared[key] = make()
        made: T = self._shared[key]
        return made

    def variant(self, module: nn.Module) -> "Capture":
        """The same capture with the weights of `module`, which must be built alike."""
        self.once("program", self._capture)
        return Capture(self.name, module, self.card, self._shared, self.dynamic_size)

    def _capture(self) -> ExportedProgram:
        try:
            with quiet(), torch.no_grad():
                sides = {2: Dim.DYNAMIC, 3: Dim.DYNAMIC} if self.dynamic_size else {}
                dynamic = ({0: Dim(BATCH), **sides},)
                return torch.export.export(self.module, (self.example,), dynamic_shapes=dynamic, strict=False)
        except Exception as error:
            size = " and image size" if self.dynamic_size else ""
            raise ExportError(
                f"{self.name} could not be captured with a dynamic batch{size}: {refusal(error, first_line(error))}.",
                "Change the model's forward as the reason says; it may not depend on the batch size or on values"
                + (", nor on height and width; or leave out --dynamic-size." if size else "."),
            ) from error


def with_weights(program: ExportedProgram, weights: dict[str, Tensor]) -> ExportedProgram:
    """A copy of `program` whose parameters and buffers have the values of `weights`, by name."""
    other = copy.deepcopy(program)
    with torch.no_grad():
        for name, tensor in other.state_dict.items():
            tensor.copy_(weights[name])
    return other


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
