"""A small network and its capture, to try export formats on."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from zoo.contract.preprocess import Preprocess
from zoo.files.card import Card

PREPROCESS = Preprocess(size=(8, 8), mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
LABELS = ("cat", "dög", "fox", "owl")


class SmallNet(nn.Module):
    """Convolution, BatchNorm, ReLU, mean, linear: float32 `[N, 3, 8, 8]` to logits `[N, 4]`; its weights are seeded."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Linear(8, len(LABELS))
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, value in self.state_dict().items():
                if value.is_floating_point():
                    value.uniform_(0.5 if name.startswith("norm") else -1, 1.5, generator=generator)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of images."""
        logits: Tensor = self.head(torch.relu(self.norm(self.conv(images))).mean((2, 3)))
        return logits


@dataclass
class SmallCapture:
    """A capture of `SmallNet`; see `zoo.contract.exporting.artifact.Capture`."""

    module: nn.Module = field(default_factory=lambda: SmallNet().eval())
    precision: str = "fp32"
    memo: dict[str, Any] = field(default_factory=dict)
    name: str = "small.test"
    dynamic_size: bool = False
    opset: int | None = None

    @property
    def labels(self) -> Sequence[str]:
        """Four class names, one of them not ASCII."""
        return LABELS

    @property
    def preprocess(self) -> Preprocess:
        """Of 8×8 colour images."""
        return PREPROCESS

    @property
    def card(self) -> Card:
        """A card that names no data set."""
        return Card(architecture="small", plugin="zoo", plugin_version="0", classes=LABELS, preprocess=PREPROCESS)

    @property
    def input_shape(self) -> list[int | str]:
        """The batch is dynamic."""
        return ["batch", *PREPROCESS.input_shape]

    @cached_property
    def example(self) -> Tensor:
        """float32 `[4, 3, 8, 8]`."""
        return torch.randn(4, *PREPROCESS.input_shape, generator=torch.Generator().manual_seed(1))

    @cached_property
    def program(self) -> ExportedProgram:
        """Captured with a dynamic batch."""
        with torch.no_grad():
            return torch.export.export(self.module, (self.example,), dynamic_shapes=({0: Dim("batch")},), strict=False)

    def with_weights(self, module: nn.Module) -> "SmallCapture":
        """The same, with other weights and the same memo."""
        return replace(self, module=module)
