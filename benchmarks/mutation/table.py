"""Markdown from results."""

import os
import platform
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from typing import Any

from mutation.bench import KINDS, Mutant, Result
from mutation.kept import PACKAGES
from mutation.rules import RULES

COLUMNS = (*RULES, "zoo own", "zoo")


def report(results: Sequence[Result]) -> Iterator[str]:
    """The whole report, line by line."""
    counted = [mutant for result in results for mutant in result.mutants if not mutant.equivalent]
    yield f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, on the CPU"
    yield f"{', '.join(f'{package} {version(package)}' for package in PACKAGES)}, onnxruntime {_onnxruntime()}"
    yield f"n = {len(counted)} broken graphs of {len(results)} models"
    yield ""
    yield from by_model(results)
    yield ""
    yield "`!` marks a rule that also rejects the graph as exported, which is right."
    yield ""
    yield from by_kind(results)
    yield ""
    yield "Not noticed by zoo (the largest error in rounding errors; 20 are allowed):"
    yield from misses(results)
    yield ""
    tried, alarms = sum(result.same for result in results), [a for result in results for a in result.false_alarms]
    worst = max((result.worst for result in results), default=0.0)
    yield f"{len(alarms)} false alarms of zoo on {tried} graphs that are changed and the same function"
    yield f"(the largest error among these: {worst:.1f} rounding errors)"
    yield from (f"- {result.model}: {alarm}" for result in results for alarm in result.false_alarms)


def summary(results: Sequence[Result]) -> dict[str, Any]:
    """The same as plain data: the counts of each model, and what zoo did not notice."""
    models = []
    for result in results:
        counted = [mutant for mutant in result.mutants if not mutant.equivalent]
        models.append(
            {
                "model": result.model,
                "shape": result.shape,
                "mutants": len(counted),
                "equivalent": len(result.mutants) - len(counted),
                "do_not_run": sum(bool(mutant.broken) for mutant in counted),
                "noticed": {rule: sum(mutant.noticed[rule] for mutant in counted) for rule in COLUMNS},
                "missed": [
                    {"kind": mutant.kind, "place": mutant.place, "rounding_errors": mutant.ratios}
                    for mutant in counted
                    if not mutant.noticed["zoo"]
                ],
                "same_function": {
                    "tried": result.same,
                    "rejected": result.false_alarms,
                    "worst_rounding_errors": round(result.worst, 2),
                },
            }
        )
    packages = {package: version(package) for package in PACKAGES} | {"onnxruntime": _onnxruntime()}
    return {"machine": platform.machine(), "python": platform.python_version(), "packages": packages, "models": models}


def by_model(results: Sequence[Result]) -> Iterator[str]:
    """One row a model: how many graphs were broken, and the share that each rule noticed."""
    yield f"| model | image | mutants | do not run | equivalent, left out | {' | '.join(COLUMNS)} |"
    yield f"|---|---|---|---|---|{'---|' * len(COLUMNS)}"
    for result in results:
        counted = [mutant for mutant in result.mutants if not mutant.equivalent]
        marks = ["!" if result.healthy.get(rule) else "" for rule in COLUMNS]
        shares = (f"{share(counted, rule)}{mark}" for rule, mark in zip(COLUMNS, marks, strict=True))
        yield (
            f"| {result.model} | {'×'.join(map(str, result.shape))} | {len(counted)} "
            f"| {sum(bool(mutant.broken) for mutant in counted)} | {len(result.mutants) - len(counted)} "
            f"| {' | '.join(shares)} |"
        )
    counted = [mutant for result in results for mutant in result.mutants if not mutant.equivalent]
    broken = sum(bool(mutant.broken) for mutant in counted)
    left_out = sum(len(result.mutants) for result in results) - len(counted)
    shares = (share(counted, rule) for rule in COLUMNS)
    yield f"| all | | {len(counted)} | {broken} | {left_out} | {' | '.join(shares)} |"


def by_kind(results: Sequence[Result]) -> Iterator[str]:
    """One row a kind of damage."""
    yield f"| damage | mutants | do not run | equivalent, left out | {' | '.join(COLUMNS)} |"
    yield f"|---|---|---|---|{'---|' * len(COLUMNS)}"
    for kind in KINDS:
        made = [mutant for result in results for mutant in result.mutants if mutant.kind == kind.name]
        counted = [mutant for mutant in made if not mutant.equivalent]
        broken = sum(bool(mutant.broken) for mutant in counted)
        shares = (share(counted, rule) for rule in COLUMNS)
        yield f"| {kind.name} | {len(counted)} | {broken} | {len(made) - len(counted)} | {' | '.join(shares)} |"


def misses(results: Sequence[Result]) -> Iterator[str]:
    """What zoo did not notice, with how near it came."""
    for result in results:
        for mutant in result.mutants:
            if not mutant.equivalent and not mutant.noticed["zoo"]:
                near = ", ".join(
                    f"{ratio:.3g} with {weights.replace('_', ' ')}" for weights, ratio in mutant.ratios.items()
                )
                yield f"- {result.model}: {mutant.kind} at {mutant.place}: {near}"


def share(mutants: Iterable[Mutant], rule: str) -> str:
    """The share of mutants that a rule noticed."""
    notices = [mutant.noticed[rule] for mutant in mutants]
    return f"{100 * sum(notices) / len(notices):.0f} %" if notices else "–"


def _onnxruntime() -> str:
    import onnxruntime

    return str(onnxruntime.__version__)
