"""The graph of an artifact: what no sample of images can show, and whether it is that of zoo's own export."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from zoo.contract.errors import DifferenceError, ExportError, ZooError
from zoo.contract.evidence import FAIL, INCONCLUSIVE, GraphComparison
from zoo.contract.evidence.extent import IDENTICAL, OTHER, ROUNDED, UNKNOWN
from zoo.contract.exporting.artifact import Array, Capture, Paths
from zoo.contract.exporting.inspection import Structure
from zoo.contract.formats import ExportFormat
from zoo.registry.refs import resolve
from zoo.registry.registry import Entry
from zoo_export.artifacts import export_checked
from zoo_export.bundle.provenance import sha256
from zoo_export.reasons import AGAIN, clause

ROUNDING = 1e-5  # of the largest value of a tensor: what folding and fusing may change
SHOWN = 4  # operators in one sentence
OTHERWISE = "it has no more operators, but others, or they are connected or sized otherwise"


def read_structure(entry: Entry[ExportFormat], paths: Paths, counted: Structure | None = None) -> Structure | None:
    """How the graph is built; `None` if the format cannot tell.

    Args:
        counted: its operators, if a child has counted them; else they are counted here, where that needs loading.

    Raises:
        DifferenceError: operators in it draw random numbers or compute as in training.
        ExportError: it cannot be read.
    """
    if not entry.spec.structure:
        return None
    try:
        structure: Structure = resolve(entry, entry.spec.structure)(paths)
        if entry.spec.operators:
            counted = counted or resolve(entry, entry.spec.operators)(paths)
            structure = replace(
                structure,
                operators=counted.operators,
                conditional=counted.conditional,
                input_readers=counted.input_readers,
            )
    except ZooError:
        raise
    except Exception as error:  # a file of any origin
        raise ExportError(f"The graph of {paths.main.name} cannot be read: {clause(error)}.", AGAIN) from error
    if structure.random:
        raise DifferenceError(
            f"{paths.main.name} is not a function of its images: its graph has {', '.join(structure.random[:SHOWN])}.",
            "Do not use it. Export the model in evaluation mode.",
            {"verdict": FAIL, "artifact": paths.main.name, "random": list(structure.random)},
        )
    return structure


def is_suspicious(structure: Structure | None) -> bool:
    """Whether a graph could behave otherwise on images that were not looked at, so that it should be compared."""
    return structure is not None and (bool(structure.conditional) or (structure.input_readers or 1) > 1)


def compare_graph(
    entry: Entry[ExportFormat], paths: Paths, structure: Structure | None, capture: Capture
) -> GraphComparison:
    """Export the model again, and compare the graph of `paths` with the one that comes of it."""
    with TemporaryDirectory() as scratch:
        ours = entry.spec.paths(Path(scratch))
        try:
            with export_checked(entry, capture, ours):
                resolve(entry, entry.spec.export)(capture, ours)
            if _digests(ours) == _digests(paths):
                return GraphComparison(IDENTICAL)
            if structure is None:
                return GraphComparison(UNKNOWN, note=f"{entry.spec.name} files are compared byte by byte, and differ")
            return _compare(structure, read_structure(entry, ours))
        except ZooError as error:
            return GraphComparison(UNKNOWN, note=error.cause)


def refuse_unexplained(comparison: GraphComparison, artifact: str, model: str) -> None:
    """Refuse a graph with choices that the model does not make.

    Raises:
        DifferenceError: with the verdict `inconclusive`: it agreed on every image, and may differ on others.
    """
    if comparison.extra:
        raise DifferenceError(
            f"{artifact} agrees with {model} on every image that was tried, but the check is inconclusive: its graph "
            f"has {describe(comparison.extra)}, which zoo's own export of the model has not.",
            "Do not use a file of unknown origin that chooses by its input. Export the model yourself.",
            {"verdict": INCONCLUSIVE, "model": model, "artifact": artifact, "graph": comparison.to_dict()},
        )


def graph_warnings(comparison: GraphComparison, artifact: str) -> list[str]:
    """What a person should know of a graph that was compared."""
    if comparison.extra:
        return [
            f"{artifact} has {describe(comparison.extra)}, which zoo's own export of the model has not: it may choose "
            "by its input, and differ on images that were not tried."
        ]
    return [] if comparison.proven else [f"{artifact}: {comparison}. Only images can tell whether it is right."]


def describe(operators: Mapping[str, int]) -> str:
    """Such as `Where ×2 and Equal ×1`."""
    shown = [f"{name} ×{count}" for name, count in list(operators.items())[:SHOWN]]
    more = len(operators) - len(shown)
    shown += [f"{more} more kind{'s' * (more > 1)}"] if more else []
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def _compare(theirs: Structure, ours: Structure | None) -> GraphComparison:
    assert ours is not None  # as `theirs` is not
    if theirs.graph == ours.graph:
        if theirs.values and theirs.values == ours.values:
            return GraphComparison(IDENTICAL)
        different = _different(theirs, ours)
        return GraphComparison(OTHER, {"tensor of other values": different}) if different else GraphComparison(ROUNDED)
    extra = _more(theirs.conditional, ours.conditional)
    if theirs.input_readers is not None and ours.input_readers is not None:
        further = theirs.input_readers - ours.input_readers
        extra |= {"a further reader of the input": further} if further > 0 else {}
    more = _more(theirs.operators, ours.operators)
    return GraphComparison(OTHER, extra, f"it also has {describe(more)}" if more else OTHERWISE)


def _more(theirs: Mapping[str, int], ours: Mapping[str, int]) -> dict[str, int]:
    return {name: count - ours.get(name, 0) for name, count in theirs.items() if count > ours.get(name, 0)}


def _different(theirs: Structure, ours: Structure) -> int:
    """How many tensors differ by more than rounding; 1 if that cannot be told."""
    if not theirs.tensors or len(theirs.tensors) != len(ours.tensors):
        return 1
    pairs = zip(theirs.tensors, ours.tensors, strict=True)
    return sum(one.shape != other.shape or not _alike(one, other) for one, other in pairs)


def _alike(one: Array, other: Array) -> bool:
    if one.tobytes() == other.tobytes():
        return True
    exact, near = other.astype(np.float64), one.astype(np.float64)
    return bool(np.abs(near - exact).max(initial=0.0) <= ROUNDING * np.abs(exact).max(initial=0.0))


def _digests(paths: Paths) -> dict[str, str]:
    return {role: sha256(path) for role, path in paths.files.items() if path.is_file()}
