"""The stages of a TorchScript artifact: traced, then frozen and stored."""

from collections.abc import Iterator

from zoo.contract.exporting.artifact import Capture, Paths, Stage
from zoo_export.blame.captured import FILE
from zoo_export.formats.torch_runner import torch_runner
from zoo_export.formats.torchscript.format import runner, traced

TRACED = "the traced graph"


def stages(capture: Capture, paths: Paths, own: bool) -> Iterator[Stage]:
    """In fp32 only. The values inside a trace cannot be read, so no module is named."""
    if capture.precision != "fp32":
        return
    if own:
        yield Stage(TRACED, lambda images: torch_runner(traced(capture))(images))
    yield Stage(FILE, lambda images: runner(paths)(images))
