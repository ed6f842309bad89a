"""Blame: which step on the way to an ONNX file a difference comes from, and where in the model it begins.

The way has hops: captured by torch.export, lowered to ONNX, optimised and saved, then optimised by onnxruntime. The
first after which the logits leave the budget is to blame. Inside it the values on the way are compared, in the order
in which they are made, and the first that leaves its own budget is named.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import onnx_ir
import onnxruntime
import torch

from zoo_export.capture import INPUT, OUTPUT, Capture, quiet
from zoo_export.lowering import lower
from zoo_export.onnx_format import LEVELS, PROTOBUF_LIMIT
from zoo_export.parity.intermediates import Place, Recorder, first_wrong_call, place
from zoo_export.parity.judge import BUDGET, judge
from zoo_export.parity.reference import EPS32, JITTERED, Reference

CAPTURED, LOWERED = "the captured graph", "the lowered graph"
FILE, BASIC, ALL = "the exported file", "onnxruntime's basic optimizations", "onnxruntime's further optimizations"
Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Blame:
    """What is to blame for a difference.

    Args:
        hop: one of `CAPTURED`, `LOWERED`, `FILE`, `BASIC` and `ALL`.
        module: the path of the module that makes the first wrong value, empty for the model itself; `None` where no
            single value could be found. A fused node counts as the last module that was fused into it.
        source: the line of the user's model, such as `torchvision/models/resnet.py:95`; empty where unknown.
        value: the name of the first wrong value; empty where none was found.
        ratio: the error of the logits after this hop, in floors.
    """

    hop: str
    module: str | None
    source: str
    value: str
    ratio: float

    def __str__(self) -> str:
        if self.module is None:
            return f"The fault is in {self.hop}."
        at = f"{self.module or 'the model itself'}{f' ({self.source})' if self.source else ''}"
        return f"The fault is in {self.hop}, first at {at}."


def blame(capture: Capture, path: Path, reference: Reference) -> Blame | None:
    """Find what is to blame for the error of the ONNX file at `path` on the probe of `reference`.

    Args:
        capture: what was exported, with the weights that were exported.

    Returns:
        `None` where the file is right on that probe.
    """
    with TemporaryDirectory() as scratch, quiet():
        for hop, run, locate in _hops(capture, path, reference, Path(scratch)):
            found = judge(reference, _attempt(run))
            if found.passed:
                continue
            where = None
            with suppress(Exception):  # the hop is known, and worth saying alone
                where = locate()
            if where is None:
                return Blame(hop, None, "", "", found.ratio)
            return Blame(hop, where.module, where.source, where.value, found.ratio)
    return None


def sentence(capture: Capture, path: Path, reference: Reference) -> str:
    """What `blame` finds, in one sentence; empty where it finds nothing or fails: it must never hide a difference."""
    try:
        return str(blame(capture, path, reference) or "")
    except Exception:
        return ""


Hop = tuple[str, Callable[[], Array], Callable[[], Place | None]]


def _hops(capture: Capture, path: Path, reference: Reference, scratch: Path) -> Iterator[Hop]:
    """Each hop with how to get its logits, and how to find the first wrong value in it."""
    images = torch.from_numpy(reference.probe.images)
    program = capture.program

    def captured() -> Array:
        (logits,) = program.graph_signature.user_outputs
        return np.asarray(Recorder(program, torch.float32).record(images)[logits].numpy())

    yield CAPTURED, captured, lambda: first_wrong_call(program, capture.module, images)
    off, basic, everything = LEVELS.values()
    lowered = scratch / "lowered.onnx"

    def lower_and_run() -> Array:
        _save(lower(capture).model, lowered)
        return _run(lowered, off, reference.probe.images, [OUTPUT])[0]

    yield LOWERED, lower_and_run, lambda: _first_wrong_value(capture, lowered, off, reference, scratch)
    for hop, level in ((FILE, off), (BASIC, basic), (ALL, everything)):
        yield (
            hop,
            lambda level=level: _run(path, level, reference.probe.images, [OUTPUT])[0],  # type: ignore[misc]
            lambda level=level: _first_wrong_value(capture, path, level, reference, scratch),  # type: ignore[misc]
        )


def _first_wrong_value(
    capture: Capture, path: Path, level: onnxruntime.GraphOptimizationLevel, reference: Reference, scratch: Path
) -> Place | None:
    """The first value of an ONNX file that leaves its budget, among those with the name of a node that was lowered.

    Truth is the decomposed program in float64; the floor is its rounding in float32, as for logits.
    """
    program, weights = lower(capture).exported_program, capture.module.state_dict()
    assert program is not None  # it was lowered from one
    images = torch.from_numpy(reference.probe.images)
    truths = Recorder(program, torch.float64, weights).record(images)
    floors = {name: EPS32 * float(truth.abs().max()) for name, truth in truths.items()}
    for seed in range(1 + len(JITTERED)):
        jitter = torch.Generator().manual_seed(seed) if seed else None
        for name, value in Recorder(program, torch.float32, weights, jitter).record(images).items():
            floors[name] = max(floors[name], float((value.double() - truths[name]).abs().max()))
    nodes = {node.name: node for node in program.graph.nodes}
    (logits,) = program.graph_signature.user_outputs
    nodes[OUTPUT], truths[OUTPUT], floors[OUTPUT] = nodes[logits], truths[logits], floors[logits]
    model = onnx_ir.load(path)
    names = _expose(model, set(truths))
    exposed = scratch / "exposed.onnx"
    _save(model, exposed)
    for name, given in zip(names, _run(exposed, level, reference.probe.images, names), strict=True):
        truth = truths[name].numpy()
        if given.shape == truth.shape and not np.abs(given - truth).max() <= BUDGET * floors[name]:  # so for NaN
            return place(nodes[name])
    return None


def _expose(model: onnx_ir.Model, wanted: set[str]) -> list[str]:
    """Make outputs of the values of those names; return the names, in the order in which they are made."""
    made = [value for node in model.graph for value in node.outputs if value.name in wanted]
    for value in made:
        if value.dtype is None:
            value.dtype = onnx_ir.DataType.FLOAT
        if value.name != OUTPUT:
            model.graph.outputs.append(value)
    return [str(value.name) for value in made]


def _save(model: onnx_ir.Model, path: Path) -> None:
    large = sum(value.const_value.nbytes for value in model.graph.initializers.values() if value.const_value)
    onnx_ir.save(model, path, external_data=f"{path.name}.data" if large > PROTOBUF_LIMIT else None)


def _run(path: Path, level: onnxruntime.GraphOptimizationLevel, images: Array, names: list[str]) -> list[Array]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = level
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return [np.asarray(value) for value in session.run(names, {INPUT: images})]


def _attempt(run: Callable[[], Array]) -> object:
    try:
        return run()
    except Exception as error:  # the hop's fault, and so a result
        return error
