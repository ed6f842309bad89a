"""What a person may say of how a model is exported and judged."""

from dataclasses import dataclass
from pathlib import Path

import torch

from zoo.contract.evidence import Override
from zoo_export.parity.backend import FLOAT16, FLOAT32, Backend, settings_of


@dataclass(frozen=True)
class ExportOptions:
    """How a model is exported and judged.

    Args:
        verify: whether it is judged at all.
        override: tolerances in place of the default tolerance.
        save: the folder to make where an artifact fails its check.
        force: whether `save` may be replaced.
        providers: of onnxruntime, in short, that artifacts are judged on; `check_providers` says whether they work.
        precision: `float32`, or `float16`: a half artifact is published once the same model is proven in float32.
        smallest: the smallest height and width that the model takes, in pixels, if these are to be dynamic.
    """

    verify: bool = True
    override: Override | None = None
    save: Path | None = None
    force: bool = False
    providers: tuple[str, ...] = ("cpu",)
    precision: str = FLOAT32
    smallest: int | None = None

    @property
    def half(self) -> bool:
        """Whether the artifact computes in half precision."""
        return self.precision == FLOAT16

    @property
    def settings(self) -> list[Backend]:
        """Where, and in which arithmetic, the artifact is judged."""
        return settings_of(self.providers, torch.float16 if self.half else torch.float32)


STANDARD = ExportOptions()
