"""Blame: which step on the way to an artifact a difference comes from, and where in the model it begins.

The way has hops, for ONNX: captured by torch.export, lowered, optimised and saved, then optimised by onnxruntime. The
first after which the logits leave the tolerance is to blame. Inside it the values on the way are compared, in the order
in which they are made, and the first that leaves its own tolerance is named.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx_ir
import onnxruntime
import torch
from torch.fx import Node

from zoo.contract.evidence import TOLERANCE_FACTOR, Probe
from zoo_export.blame.hops import ALL, BASIC, CAPTURED, FILE, LOWERED, TRACED, Array, Hop, captured
from zoo_export.blame.intermediates import Place, evaluate, leaves, place
from zoo_export.capture import INPUT, OUTPUT, Capture, quiet
from zoo_export.formats.onnx.format import LEVELS, PROTOBUF_LIMIT
from zoo_export.formats.onnx.lowering import lower
from zoo_export.formats.torch_stages import pt2_hops, torchscript_hops
from zoo_export.parity.judge import judge

HOPS = {  # by the function of the format
    "zoo_export.formats.onnx.format:export": "onnx",
    "zoo_export.formats.pt2.format:export": "pt2",
    "zoo_export.formats.torchscript.format:export": "torchscript",
}


@dataclass(frozen=True)
class Blame:
    """What is to blame for a difference.

    Args:
        hop: one of those in `zoo_export.blame.hops`.
        module: the path of the module that makes the first wrong value, empty for the model itself; `None` where no
            single value could be found. A fused node counts as the last module that was fused into it.
        source: the line of the user's model, such as `torchvision/models/resnet.py:95`; empty where unknown.
        value: the name of the first wrong value; empty where none was found.
        ratio: the error of the logits after this hop, in rounding errors.
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


def blame(capture: Capture, path: Path, probe: Probe, kind: str = "onnx", *, ours: bool = True) -> Blame | None:
    """Find what is to blame for the error of the artifact at `path` on the probe of `reference`.

    Args:
        capture: what was exported, with the weights that were exported.
        kind: `onnx`, `pt2` or `torchscript`.
        ours: whether `capture` was exported to `path`. Of any other file, only the file and what runs it can be to
            blame, and a module is named only where the file itself names it.

    Returns:
        `None` where the artifact is right on that probe.
    """
    with TemporaryDirectory() as scratch, quiet():
        ways = {
            "onnx": lambda: _onnx_hops(capture, path, probe, Path(scratch), ours),
            "pt2": lambda: pt2_hops(capture, path, probe),
            "torchscript": lambda: torchscript_hops(capture, path, probe),
        }
        for hop, run, locate in ways[kind]():
            if not ours and hop in (CAPTURED, TRACED, LOWERED):
                continue
            found = judge(probe, _attempt(run))
            if found.passed:
                continue
            where = None
            with suppress(Exception):  # the hop is known, and worth saying alone
                where = locate()
            if where is None:
                return Blame(hop, None, "", "", found.ratio)
            return Blame(hop, where.module, where.source, where.value, found.ratio)
    return None


def sentence(export: str, capture: Capture, path: Path, probe: Probe, *, ours: bool = True) -> str:
    """What `blame` finds, in one sentence; empty where it finds nothing or fails: it must never hide a difference.

    Args:
        export: the ref of the format's function; empty for a format whose way is not known.
    """
    if export not in HOPS:
        return ""
    try:
        return str(blame(capture, path, probe, HOPS[export], ours=ours) or "")
    except Exception:
        return ""


def _onnx_hops(capture: Capture, path: Path, probe: Probe, scratch: Path, ours: bool) -> Iterator[Hop]:
    """Each hop with how to get its logits, and how to find the first wrong value in it."""
    yield captured(capture, probe)
    off, basic, everything = LEVELS.values()
    lowered = scratch / "lowered.onnx"

    def lower_and_run() -> Array:
        _save(lower(capture).model, lowered)
        return _run(lowered, off, probe.images)[0]

    yield LOWERED, lower_and_run, lambda: _first_wrong_value(capture, lowered, off, probe, scratch, ours)
    for hop, level in ((FILE, off), (BASIC, basic), (ALL, everything)):
        yield (
            hop,
            lambda level=level: _run(path, level, probe.images)[0],  # type: ignore[misc]
            lambda level=level: _first_wrong_value(capture, path, level, probe, scratch, ours),  # type: ignore[misc]
        )


def _first_wrong_value(
    capture: Capture,
    path: Path,
    level: onnxruntime.GraphOptimizationLevel,
    probe: Probe,
    scratch: Path,
    ours: bool,
) -> Place | None:
    """The first value of an ONNX file that leaves its tolerance, among those with the name of a node that was lowered.

    Truth is the decomposed program in float64.
    """
    program = lower(capture).exported_program
    assert program is not None  # it was lowered from one
    truths, rounding_errors = evaluate(program, capture.module.state_dict(), torch.from_numpy(probe.images))
    nodes = {node.name: node for node in program.graph.nodes}
    (logits,) = program.graph_signature.user_outputs
    nodes[OUTPUT], truths[OUTPUT], rounding_errors[OUTPUT] = nodes[logits], truths[logits], rounding_errors[logits]
    known = set(truths) if ours else {OUTPUT, *_named_alike(_load(path), {name: nodes[name] for name in truths})}

    def wrong(*names: str) -> list[str]:
        model = _load(path)
        made, exposed = _expose(model, set(names)), scratch / "exposed.onnx"
        _save(model, exposed)
        given = zip(made, _run(exposed, level, probe.images, made), strict=True)
        return [
            name
            for name, value in given
            if leaves(value, truths[name].numpy(), TOLERANCE_FACTOR * rounding_errors[name])
        ]

    first = next(iter(wrong(*known)), None) or _first_alone(_load(path), known, wrong)
    if first is None or (not ours and first == OUTPUT):  # anything before it may be wrong
        return None
    return place(nodes[first])


def _load(path: Path) -> onnx_ir.Model:
    """The model, its input and output by zoo's names."""
    model = onnx_ir.external_data.load_to_model(onnx_ir.load(path))  # what is written of it lies elsewhere
    model.graph.inputs[0].name, model.graph.outputs[0].name = INPUT, OUTPUT
    return model


def _named_alike(model: onnx_ir.Model, nodes: Mapping[str, Node]) -> Iterator[str]:
    """The values of a file from elsewhere that have the name of a node and, by the file's own account, its module."""
    for node in model.graph:
        told = node.metadata_props.get("pkg.torch.onnx.name_scopes", "")
        for value in node.outputs:
            if value.name is not None and value.name in nodes and repr(place(nodes[value.name]).module) in told:
                yield value.name


def _first_alone(model: onnx_ir.Model, named: set[str], wrong: Callable[[str], list[str]]) -> str | None:
    """The first value that is wrong where it alone is looked at: onnxruntime fuses nothing across what it must give.

    Found by halving, and again among what a value is made of, as branches need not be in order.
    """
    made = {str(value.name): value for node in model.graph for value in node.outputs if value.name in named}
    names, found = list(made), OUTPUT
    if not wrong(found):
        return None
    while True:
        low, high = -1, names.index(found)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if wrong(names[middle]) else (middle, high)
        earlier = [name for name in _made_of(made[names[high]], named) if wrong(name)]
        if not earlier:
            return names[high]
        found = earlier[0]


def _made_of(value: onnx_ir.Value, named: set[str]) -> list[str]:
    """The nearest named values that `value` is computed from."""
    found, seen, left = list[str](), set[str](), [value]
    while left:
        node = left.pop().producer()
        for given in node.inputs if node else ():
            if given is None or given.producer() is None or str(given.name) in seen:
                continue
            seen.add(str(given.name))
            if given.name in named:
                found.append(str(given.name))
            else:
                left.append(given)
    return found


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


def _run(
    path: Path, level: onnxruntime.GraphOptimizationLevel, images: Array, names: list[str] | None = None
) -> list[Array]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = level
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return [np.asarray(value) for value in session.run(names, {session.get_inputs()[0].name: images})]


def _attempt(run: Callable[[], Array]) -> object:
    try:
        return run()
    except Exception as error:  # the hop's fault, and so a result
        return error
