"""How a model is exported and judged: what a caller may choose."""

from dataclasses import dataclass
from pathlib import Path

from zoo.contract.evidence import Override


@dataclass(frozen=True)
class ExportOptions:
    """How a model is exported and judged.

    Args:
        verify: whether it is judged at all.
        override: tolerances in place of the default tolerance.
        save: the folder to make where an artifact fails its check.
        force: whether `save` may be replaced.
        devices: that artifacts are judged on; a format that knows none of them is judged on the CPU.
        precision: name of the precision of the artifacts, `fp32` or `fp16` or another that a plugin declares.
        smallest: the smallest height and width that the model takes, in pixels, if these are to be dynamic.
    """

    verify: bool = True
    override: Override | None = None
    save: Path | None = None
    force: bool = False
    devices: tuple[str, ...] = ("cpu",)
    precision: str = "fp32"
    smallest: int | None = None


STANDARD = ExportOptions()
