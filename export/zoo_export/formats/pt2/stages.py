"""The stages of a PT2 artifact: captured by torch.export, then stored."""

from collections.abc import Iterator

import torch

from zoo.contract.evidence import TOLERANCE_FACTOR
from zoo.contract.exporting.artifact import Array, Capture, Paths, Place, Stage
from zoo_export.blame.captured import FILE, captured_stage
from zoo_export.blame.intermediates import Recorder, evaluate, exceeds_tolerance, place
from zoo_export.formats.pt2.archive import load_program
from zoo_export.formats.pt2.format import runner


def stages(capture: Capture, paths: Paths, own: bool) -> Iterator[Stage]:
    """In fp32 only, in which it is known what values on the way may be off by."""
    if capture.precision != "fp32":
        return
    if own:
        yield captured_stage(capture)
    yield Stage(FILE, lambda images: runner(paths)(images), lambda images: _first_wrong(capture, paths, images))


def _first_wrong(capture: Capture, paths: Paths, images: Array) -> Place | None:
    """The first value of the archive that exceeds its tolerance, of those that have the names and modules of captured
    ones."""
    stored, inputs = load_program(paths.main), torch.from_numpy(images)
    truths, rounding_errors = evaluate(capture.program, capture.module.state_dict(), inputs)
    ours = {node.name: place(node) for node in capture.program.graph.nodes}
    theirs = {node.name: place(node) for node in stored.graph.nodes}
    for name, value in Recorder(stored, torch.float32).record(inputs).items():
        known = name in truths and ours[name].module == theirs[name].module
        if known and exceeds_tolerance(value.numpy(), truths[name].numpy(), TOLERANCE_FACTOR * rounding_errors[name]):
            return ours[name]
    return None
