"""The model as every format receives it: captured once, with a dynamic batch."""

import copy
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from zoo.contract.errors import ExportError, refuse_out_of_memory
from zoo.contract.preprocess import Preprocess
from zoo.files.card import Card
from zoo_export.capture.export_errors import refusal
from zoo_export.reasons import first_line as first_line

INPUT, OUTPUT, BATCH = "input", "logits", "batch"
HEIGHT, WIDTH = "height", "width"
TRACED_BATCH = 4  # with 1, exporters bake the batch in; no probe has as many images
PROGRAM = "torch.export"  # its key in `memo`


@dataclass
class Capture:
    """What an export format receives; see `zoo.contract.exporting.artifact.Capture`.

    Args:
        name: of the model, `ARCH.TAG` or the architecture's name.
        module: in evaluation mode, on the CPU, from float32 to float32.
        card: of the model.
        precision: to export it in.
        dynamic_size: height and width are dynamic too.
        opset: the operator set to write; `None` leaves it to the format.
        memo: shared by the captures of the same network with other weights.
    """

    name: str
    module: nn.Module
    card: Card
    precision: str = "fp32"
    dynamic_size: bool = False
    opset: int | None = None
    memo: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def labels(self) -> Sequence[str]:
        """The class names, in the order of the logits."""
        return self.card.classes

    @property
    def preprocess(self) -> Preprocess:
        """How an image becomes a row of the input."""
        return self.card.preprocess

    @property
    def input_shape(self) -> list[int | str]:
        """Of the artifact's input `[N, C, H, W]`: a name where it is dynamic, a number elsewhere."""
        channels, height, width = self.preprocess.input_shape
        return [BATCH, channels, *((HEIGHT, WIDTH) if self.dynamic_size else (height, width))]

    @cached_property
    def example(self) -> Tensor:
        """float32 `[TRACED_BATCH, C, H, W]` to trace with; no probe uses it."""
        generator = torch.Generator().manual_seed(0)
        return torch.randn(TRACED_BATCH, *self.preprocess.input_shape, generator=generator)

    @cached_property
    def program(self) -> ExportedProgram:
        """The model captured by torch.export, its batch dynamic. The formats share one capture.

        Raises:
            ExportError: the model cannot be captured; the reason is PyTorch's own.
        """
        if PROGRAM not in self.memo:
            self.memo[PROGRAM] = self._capture()
        shared: ExportedProgram = self.memo[PROGRAM]
        weights = self.module.state_dict()
        if all(shared.state_dict[name] is weights.get(name) for name in shared.state_dict):
            return shared
        return put_weights(shared, weights)

    def with_weights(self, module: nn.Module) -> "Capture":
        """The same capture with the weights of `module`, which must be built alike."""
        _ = self.program  # captured with the model's own weights
        return replace(self, module=module)

    def in_precision(self, precision: str) -> "Capture":
        """The same model, to be exported in another precision; the captured program is shared."""
        if precision == self.precision:
            return self
        _ = self.program
        return replace(self, precision=precision, memo={PROGRAM: self.memo[PROGRAM]})

    def _capture(self) -> ExportedProgram:
        try:
            with quiet(), torch.no_grad():
                sides = {2: Dim.DYNAMIC, 3: Dim.DYNAMIC} if self.dynamic_size else {}
                dynamic = ({0: Dim(BATCH), **sides},)
                return torch.export.export(self.module, (self.example,), dynamic_shapes=dynamic, strict=False)
        except Exception as error:
            refuse_out_of_memory(error)
            size = " and image size" if self.dynamic_size else ""
            raise ExportError(
                f"{self.name} could not be captured with a dynamic batch{size}: {refusal(error, first_line(error))}.",
                "Change the model's forward as the reason says; it may not depend on the batch size or on values"
                + (", nor on height and width; or leave out --dynamic-size." if size else "."),
            ) from error


def put_weights(program: ExportedProgram, weights: dict[str, Tensor]) -> ExportedProgram:
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
