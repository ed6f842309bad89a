"""Break the graph of one model in every way, and ask every rule."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from random import Random
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime
import torch

from mutation.graphs import Kind
from mutation.rules import RULES, Array, noticed
from mutation.same import SAME
from mutation.structure import STRUCTURE
from mutation.weights import WEIGHTS
from mutation.windows import WINDOWS
from zoo.contract.exporting.artifact import Run
from zoo.models.load import Model
from zoo_export.capture import INPUT, OUTPUT, Capture, first_line, quiet
from zoo_export.formats.onnx.lowering import lower
from zoo_export.formats.onnx.runner import LEVELS
from zoo_export.parity.check import OWN, Check, make_checks
from zoo_export.parity.judge import passed, run_and_judge
from zoo_export.probes.probes import make_probes

KINDS: tuple[Kind, ...] = (*WEIGHTS, *WINDOWS, *STRUCTURE)
BEST = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL  # what onnxruntime does where nothing is said


@dataclass
class Mutant:
    """One broken graph, and who noticed.

    Args:
        equivalent: why it is the same function all the same; such a mutant counts for nobody.
        broken: why it does not load or run even on the traced batch; every rule notices that.
        ratios: the largest error over rounding error on each of zoo's checks that was needed.
    """

    kind: str
    place: str
    equivalent: str = ""
    broken: str = ""
    noticed: dict[str, bool] = field(default_factory=dict)
    ratios: dict[str, float] = field(default_factory=dict)


@dataclass
class Result:
    """All mutants of a model, and what was said of graphs that are not broken."""

    model: str
    shape: tuple[int, int, int]
    checks: list[str]
    mutants: list[Mutant]
    healthy: dict[str, bool]
    false_alarms: list[str]
    same: int
    worst: float

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    @classmethod
    def read(cls, data: dict[str, Any]) -> "Result":
        """From what `to_dict` gave."""
        mutants = [Mutant(**mutant) for mutant in data["mutants"]]
        return cls(**{**data, "shape": tuple(data["shape"]), "mutants": mutants})


class Bench:
    """A model with its lowered graph for each set of weights, truth and rounding errors."""

    def __init__(self, model: Model, real: Sequence[Any] = ()) -> None:
        self.model = model
        self.checks = make_checks(model.module, make_probes(model.card.preprocess, real))
        first = Capture(model.name, model.module, model.card)
        captures = [first, *(first.with_weights(check.module) for check in self.checks[1:])]
        self.programs = [lower(capture) for capture in captures]
        self.example: Array = first.example.numpy()
        with torch.inference_mode():
            self.expected: Array = model.module(first.example.clone()).numpy()

    def graph(self, index: int = 0) -> ir.Model:
        """A copy of the lowered graph with the weights of a check."""
        return self.programs[index].model.clone()

    def finish(self, model: ir.Model) -> bytes:
        """Optimise a lowered graph as the export does."""
        program = torch.onnx.ONNXProgram(model, self.programs[0].exported_program)
        with quiet():
            program.optimize()
        return ir.to_proto(program.model).SerializeToString()

    def run(self, places: int = 4, kinds: Sequence[Kind] = KINDS) -> Result:
        """Up to `places` mutants of each kind, and the graphs that are not broken."""
        mutants = [mutant for kind in kinds for mutant in self.mutants(kind, places)]
        alarms, same, worst = self.false_alarms()
        output = session(self.finish(self.graph()))(self.example)
        return Result(
            self.model.name,
            self.model.card.preprocess.input_shape,
            [check.weights for check in self.checks],
            mutants,
            noticed(self.expected, output),
            alarms,
            same,
            worst,
        )

    def mutants(self, kind: Kind, most: int) -> list[Mutant]:
        """Break the graph at seeded places, until `most` of the mutants are no equivalents or no place is left."""
        places = sorted(set(kind.places(self.programs[0].model)))
        Random(f"{self.model.name} {kind.name}").shuffle(places)
        tried: list[Mutant] = []
        for place in places[: 8 * most]:
            if sum(not mutant.equivalent for mutant in tried) == most:
                break
            tried.append(self.mutant(kind, place))
        return tried

    def mutant(self, kind: Kind, place: str) -> Mutant:
        """Break the graph in one place and ask every rule."""
        made = Mutant(kind.name, place)
        try:
            graph = self.graph()
            made.equivalent = kind.damage(graph, place, Random(place))
            if made.equivalent:
                return made
            data = self.finish(graph)
            made.noticed = noticed(self.expected, session(data)(self.example))
        except Exception as error:  # a graph that is refused, by the optimizer or by onnxruntime
            made.broken = first_line(error)[:200]
            made.noticed = dict.fromkeys([*RULES, "zoo own", "zoo"], True)
            return made
        made.noticed["zoo own"] = made.noticed["zoo"] = False
        for index, check in enumerate(self.checks):
            if index:
                graph = self.graph(index)
                kind.damage(graph, place, Random(place))
                data = self.finish(graph)
            good, made.ratios[check.weights] = accepted(data, check)
            if not good:
                made.noticed["zoo"] = True
                made.noticed["zoo own"] = check.weights == OWN
                break
        return made

    def false_alarms(self) -> tuple[list[str], int, float]:
        """The harmless changes that zoo rejects, how many were tried, and the largest error in rounding errors."""
        alarms, tried, worst = [], 0, 0.0
        for index, check in enumerate(self.checks):
            for name, change in SAME.items():
                for optimise in (False, True):
                    graph = change(self.graph(index))
                    data = self.finish(graph) if optimise else ir.to_proto(graph).SerializeToString()
                    tried += 1
                    good, ratio = accepted(data, check)
                    worst = max(worst, ratio)
                    if not good:
                        alarms.append(f"{name}, {check.weights}, {'optimised' if optimise else 'as it is'}")
        return alarms, tried, worst


def session(data: bytes, level: onnxruntime.GraphOptimizationLevel = BEST) -> Run:
    """onnxruntime on the CPU."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = level
    loaded = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])

    def run(images: Array) -> Array:
        (logits,) = loaded.run([OUTPUT], {INPUT: images})
        return np.asarray(logits)

    return run


def accepted(data: bytes, check: Check) -> tuple[bool, float]:
    """Whether a graph passes a check, and its largest error in rounding errors, at the first level that fails."""
    largest = 0.0
    for level in reversed(LEVELS.values()):
        try:
            runner = session(data, level)
        except Exception:  # it loads at another level alone, and so no export of it would pass
            return False, float("inf")
        comparisons = run_and_judge(runner, check.probes, check.weights)
        largest = max(largest, *(each.ratio for each in comparisons))
        if not passed(comparisons):
            return False, largest
    return True, largest
