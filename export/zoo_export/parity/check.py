"""What an artifact is checked with: the model's own weights, and probe weights where those alone prove too little."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import nn

from zoo_export.parity.backend import CPU, Backend
from zoo_export.parity.coverage import Coverage, coverage
from zoo_export.parity.reference import Reference, at_setting, make_references
from zoo_export.probes.probe_weights import draw_probe_weights
from zoo_export.probes.probes import Probe

OWN, PROBE = "own weights", "probe weights"
MOST_DRAWN = 4  # sets of probe weights


@dataclass(frozen=True)
class Check:
    """One set of weights, what is known of its outputs, and what comparing them would notice.

    Args:
        references: by float32 on the CPU.
        elsewhere: by each other setting that artifacts are judged at.
    """

    weights: str
    module: nn.Module
    references: tuple[Reference, ...]
    coverage: Coverage
    elsewhere: Mapping[Backend, tuple[Reference, ...]] = field(default_factory=dict)

    def at(self, setting: Backend) -> tuple[Reference, ...]:
        """What is known of its outputs at `setting`, which must be one that the check was made for."""
        return self.references if setting == CPU else self.elsewhere[setting]


def make_checks(module: nn.Module, probes: list[Probe], settings: Sequence[Backend] = (CPU,)) -> list[Check]:
    """The check with the model's own weights, and a second one with probe weights where it would notice too little.

    That is, where it watches too few tensors, or where one of them could be rounded to float16 unnoticed. Where both
    together still watch too few, further sets are drawn in which what nobody watches is louder, as long as that helps.

    Args:
        settings: that artifacts will be judged at. What would be noticed is said of the first.

    Raises:
        ExportError: the model does not run on its probes, or gives no finite logits.
    """
    own = _check(OWN, module, probes, settings)
    if own.coverage.enough and not own.coverage.too_coarse:
        return [own]
    noise = [probe for probe in probes if probe.name.startswith("noise")]
    sized = [probe for probe in probes if probe.name.startswith("size")]  # the rest was met by the model's own
    checks, louder = [own], frozenset[str]()
    while len(checks) <= MOST_DRAWN:
        drawn = copy.deepcopy(module)
        draw_probe_weights(drawn, noise, louder)
        label = PROBE if len(checks) == 1 else f"{PROBE} {len(checks)}"
        checks.append(_check(label, drawn, [*noise, *sized], settings))
        seen = covered(checks)
        if seen.enough or louder == (louder := frozenset(seen.uncovered)):
            break
    return checks


def _check(weights: str, module: nn.Module, probes: list[Probe], settings: Sequence[Backend]) -> Check:
    references = tuple(make_references(module, probes, in_place=weights != OWN))
    elsewhere = {each: tuple(at_setting(module, references, each)) for each in settings if each != CPU}
    return Check(weights, module, references, coverage(module, elsewhere.get(settings[0], references)), elsewhere)


def covered(checks: Sequence[Check]) -> Coverage:
    """The coverage of all checks together: a tensor is covered where one of them watches it."""
    uncovered = set.intersection(*(set(check.coverage.uncovered) for check in checks))
    return Coverage(checks[0].coverage.tensors, tuple(sorted(uncovered)))
