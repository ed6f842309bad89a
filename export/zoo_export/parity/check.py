"""What an artifact is checked with: the model's own weights, and probe weights if those alone prove too little."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from torch import nn

from zoo.contract.evidence import Coverage, Probe
from zoo.evaluation.attributes import keep_attributes
from zoo_export.parity.coverage import coverage
from zoo_export.parity.without_effect import without_effect
from zoo_export.probes.probe_weights import SEED, draw_probe_weights
from zoo_export.truth.backend import CPU, Backend
from zoo_export.truth.reference import at_backend, make_references

OWN, PROBE = "own_weights", "probe_weights"
MAX_DRAWS = 4  # sets of probe weights


@dataclass(frozen=True)
class Check:
    """One set of weights, the truth of every probe with them, and what a comparison covers.

    Args:
        weights: `own_weights`, `probe_weights`, `probe_weights_2` and so on.
        probes: with truth, and with the rounding error of float32 on the CPU.
        elsewhere: the same probes with the rounding error on each other backend that artifacts are judged on.
    """

    weights: str
    module: nn.Module
    probes: tuple[Probe, ...]
    coverage: Coverage
    elsewhere: Mapping[Backend, tuple[Probe, ...]] = field(default_factory=dict)

    def at(self, backend: Backend) -> tuple[Probe, ...]:
        """The probes with the rounding error on `backend`, which must be one that the check was made for."""
        return self.probes if backend == CPU else self.elsewhere[backend]


def make_checks(module: nn.Module, probes: list[Probe], backends: Sequence[Backend] = (CPU,)) -> list[Check]:
    """The check with the model's own weights, and a second one with probe weights if the first covers too little.

    That is, if it covers too few tensors, or if one of them could be rounded to float16 unnoticed. If both together
    still cover too few, further sets are drawn in which the uncovered tensors are larger, as long as that helps.

    Args:
        backends: that artifacts will be judged on. Coverage is measured on the first.

    Raises:
        ExportError: the model does not run on its probes, or returns no finite logits.
    """
    own = check_with(OWN, module, probes, backends)
    if own.coverage.enough and not own.coverage.too_coarse:
        return [own]
    noise = [probe for probe in probes if probe.name.startswith("noise")]
    sized = [probe for probe in probes if probe.name.startswith("size")]  # edges and real images met the own weights
    checks, louder = [own], frozenset[str]()
    while len(checks) <= MAX_DRAWS:
        drawn = copy.deepcopy(module)
        with keep_attributes(drawn):  # a table that forward keeps would be that of unfinished weights
            reached = draw_probe_weights(drawn, noise, louder)
        if not reached:
            break  # further tensors that are made larger would not help
        label = PROBE if len(checks) == 1 else f"{PROBE}_{len(checks)}"
        checks.append(check_with(label, drawn, [*noise, *sized], backends))
        total = covered(checks)
        if not total.enough and len(checks) == 2:
            checks = _without_effect(checks, total)
            total = covered(checks)
        if total.enough or louder == (louder := frozenset(total.uncovered)):
            break
    return checks


def check_with(weights: str, module: nn.Module, probes: Sequence[Probe], backends: Sequence[Backend]) -> Check:
    """The check with the weights that `module` now has; its probes need no truth yet.

    Raises:
        ExportError: as `make_checks`.
    """
    known = tuple(make_references(module, list(probes), in_place=weights != OWN))
    elsewhere = {each: tuple(at_backend(module, known, each)) for each in backends if each != CPU}
    return Check(weights, module, known, coverage(module, elsewhere.get(backends[0], known)), elsewhere)


def _without_effect(checks: Sequence[Check], total: Coverage) -> list[Check]:
    """The checks, with the uncovered tensors of which no value changes the logits marked as such."""
    names = without_effect([(check.module, check.probes) for check in checks], total.uncovered)
    return [replace(check, coverage=check.coverage.with_reason("cancels", names)) for check in checks]


def covered(checks: Sequence[Check]) -> Coverage:
    """The coverage of all checks together: a tensor is covered if one of them covers it."""
    uncovered = set.intersection(*(set(check.coverage.uncovered) for check in checks))
    return Coverage(
        checks[0].coverage.tensors,
        tuple(sorted(uncovered)),
        by_weights={check.weights: check.coverage.fraction for check in checks},
        probe_weights_seed=SEED if len(checks) > 1 else None,
        details={
            name: max((check.coverage.details[name] for check in checks), key=lambda detail: detail.rank)
            for name in sorted(uncovered)
        },
    )
