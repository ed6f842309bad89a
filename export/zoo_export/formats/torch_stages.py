"""Blame for what PyTorch itself loads: a PT2 archive is the captured graph stored; TorchScript is traced by itself."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

from zoo.contract.evidence import TOLERANCE_FACTOR, Probe
from zoo_export.blame.hops import FILE, TRACED, Array, Hop, captured
from zoo_export.blame.intermediates import Place, Recorder, evaluate, leaves, place
from zoo_export.capture import Capture
from zoo_export.formats.pt2 import format as pt2_format
from zoo_export.formats.pt2.archive import refuse_unsafe
from zoo_export.formats.torch_runner import Run, torch_runner
from zoo_export.formats.torchscript import format as torchscript_format
from zoo_export.parity.backend import CPU


def pt2_hops(capture: Capture, path: Path, probe: Probe) -> Iterator[Hop]:
    """Captured by torch.export, then stored."""
    yield captured(capture, probe)
    yield FILE, lambda: _run(pt2_format.runner(path), probe), lambda: _stored(capture, path, probe)


def torchscript_hops(capture: Capture, path: Path, probe: Probe) -> Iterator[Hop]:
    """Traced, then frozen and stored. What a trace computes on the way cannot be told, so that no module is named."""

    def traced() -> Array:
        return torch_runner(torchscript_format.traced(capture), CPU)(_images(probe))

    yield TRACED, traced, lambda: None
    yield FILE, lambda: _run(torchscript_format.runner(path), probe), lambda: None


def _stored(capture: Capture, path: Path, probe: Probe) -> Place | None:
    """The first value of a PT2 archive that exceeds its tolerance, among those whose name and module were captured."""
    refuse_unsafe(path)
    stored, images = torch.export.load(path), torch.from_numpy(probe.images)
    truths, rounding_errors = evaluate(capture.program, capture.module.state_dict(), images)
    ours = {node.name: place(node) for node in capture.program.graph.nodes}
    theirs = {node.name: place(node) for node in stored.graph.nodes}
    for name, value in Recorder(stored, torch.float32).record(images).items():
        known = name in truths and ours[name].module == theirs[name].module
        if known and leaves(value.numpy(), truths[name].numpy(), TOLERANCE_FACTOR * rounding_errors[name]):
            return ours[name]
    return None


def _run(runner: Run | Mapping[str, Run], probe: Probe) -> Array:
    assert not isinstance(runner, Mapping)  # it has a name only on a GPU
    return runner(_images(probe))


def _images(probe: Probe) -> Array:
    return probe.images.copy()  # some write into what they are given
