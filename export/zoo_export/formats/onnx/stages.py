"""The stages of an ONNX artifact, and the first value on the way that each of them makes wrong.

The values are compared in the order in which they are made. The first one that exceeds its own tolerance is blamed; a
fused node counts as the last module that was fused into it.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx_ir
import onnxruntime
import torch
from torch.fx import Node

from zoo.contract.evidence import TOLERANCE_FACTOR
from zoo.contract.exporting.artifact import Array, Capture, Paths, Place, Stage
from zoo_export.blame.captured import FILE, captured_stage
from zoo_export.blame.intermediates import evaluate, exceeds_tolerance, place
from zoo_export.capture import OUTPUT
from zoo_export.formats.onnx.file import load, save
from zoo_export.formats.onnx.gate.check import check_file
from zoo_export.formats.onnx.lowering import lower
from zoo_export.formats.onnx.runner import LEVELS

LOWERED = "the lowered graph"
BASIC, ALL = "onnxruntime's basic optimizations", "onnxruntime's further optimizations"


def stages(capture: Capture, paths: Paths, own: bool) -> Iterator[Stage]:
    """Captured by torch.export, lowered, optimised and saved, then optimised by onnxruntime.

    In fp32 only, in which it is known what values on the way may be off by.
    """
    if capture.precision != "fp32":
        return
    if not own:
        check_file(paths)
    off, basic, everything = LEVELS.values()
    if own:
        yield captured_stage(capture)
        yield _stage(LOWERED, capture, None, off, own)
    for name, level in ((FILE, off), (BASIC, basic), (ALL, everything)):
        yield _stage(name, capture, paths.main, level, own)


def _stage(
    name: str, capture: Capture, path: Path | None, level: onnxruntime.GraphOptimizationLevel, own: bool
) -> Stage:
    """Run the file at `path`, or the lowered graph where there is none, at one level of optimizations."""

    def run(images: Array) -> Array:
        with _written(capture, path) as (file, _):
            return _run(file, level, images)[0]

    def locate(images: Array) -> Place | None:
        with _written(capture, path) as (file, scratch):
            return _first_wrong_value(capture, file, level, images, scratch, own)

    return Stage(name, run, locate)


@contextmanager
def _written(capture: Capture, path: Path | None) -> Iterator[tuple[Path, Path]]:
    """The file to run, and a folder for what is made from it."""
    with TemporaryDirectory() as scratch:
        if path is None:
            path = Path(scratch, "lowered.onnx")
            save(lower(capture).model, path)
        yield path, Path(scratch)


def _first_wrong_value(
    capture: Capture,
    path: Path,
    level: onnxruntime.GraphOptimizationLevel,
    images: Array,
    scratch: Path,
    own: bool,
) -> Place | None:
    """The first value of an ONNX file that exceeds its tolerance, among those with the name of a node that was lowered.

    Truth is the decomposed program in float64.
    """
    program = lower(capture).exported_program
    assert program is not None  # it was lowered from one
    truths, rounding_errors = evaluate(program, capture.module.state_dict(), torch.from_numpy(images))
    nodes = {node.name: node for node in program.graph.nodes}
    (logits,) = program.graph_signature.user_outputs
    nodes[OUTPUT], truths[OUTPUT], rounding_errors[OUTPUT] = nodes[logits], truths[logits], rounding_errors[logits]
    known = set(truths) if own else {OUTPUT, *_named_alike(load(path), {name: nodes[name] for name in truths})}

    def wrong(*names: str) -> list[str]:
        model = load(path)
        made, exposed = _expose(model, set(names)), scratch / "exposed.onnx"
        save(model, exposed)
        values = zip(made, _run(exposed, level, images, made), strict=True)
        return [
            name
            for name, value in values
            if exceeds_tolerance(value, truths[name].numpy(), TOLERANCE_FACTOR * rounding_errors[name])
        ]

    first = next(iter(wrong(*known)), None) or _first_alone(load(path), known, wrong)
    if first is None or (not own and first == OUTPUT):  # anything before it may be wrong
        return None
    return place(nodes[first])


def _named_alike(model: onnx_ir.Model, nodes: Mapping[str, Node]) -> Iterator[str]:
    """The values of a file from elsewhere that have the name of a node and, by the file's own account, its module."""
    for node in model.graph:
        scopes = node.metadata_props.get("pkg.torch.onnx.name_scopes", "")
        for value in node.outputs:
            if value.name is not None and value.name in nodes and repr(place(nodes[value.name]).module) in scopes:
                yield value.name


def _first_alone(model: onnx_ir.Model, named: set[str], wrong: Callable[[str], list[str]]) -> str | None:
    """The first wrong value, with one value at a time as an extra output: onnxruntime fuses nothing across outputs.

    It is searched for by bisection, and again among the operands of a wrong value, as branches need not be in order.
    """
    made = {str(value.name): value for node in model.graph for value in node.outputs if value.name in named}
    names, last = list(made), OUTPUT
    if not wrong(last):
        return None
    while True:
        low, high = -1, names.index(last)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if wrong(names[middle]) else (middle, high)
        earlier = [name for name in _named_operands(made[names[high]], named) if wrong(name)]
        if not earlier:
            return names[high]
        last = earlier[0]


def _named_operands(value: onnx_ir.Value, named: set[str]) -> list[str]:
    """The nearest values with a name in `named` that `value` is computed from."""
    nearest, seen, left = list[str](), set[str](), [value]
    while left:
        node = left.pop().producer()
        for operand in node.inputs if node else ():
            if operand is None or operand.producer() is None or str(operand.name) in seen:
                continue
            seen.add(str(operand.name))
            if operand.name in named:
                nearest.append(str(operand.name))
            else:
                left.append(operand)
    return nearest


def _expose(model: onnx_ir.Model, names: set[str]) -> list[str]:
    """Make outputs of the values of those names; return the names, in the order in which they are made."""
    made = [value for node in model.graph for value in node.outputs if value.name in names]
    for value in made:
        if value.dtype is None:
            value.dtype = onnx_ir.DataType.FLOAT
        if value.name != OUTPUT:
            model.graph.outputs.append(value)
    return [str(value.name) for value in made]


def _run(
    path: Path, level: onnxruntime.GraphOptimizationLevel, images: Array, names: list[str] | None = None
) -> list[Array]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = level
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return [np.asarray(value) for value in session.run(names, {session.get_inputs()[0].name: images})]
