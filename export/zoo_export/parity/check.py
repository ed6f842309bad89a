"""What an artifact is checked with: the model's own weights, and probe weights where those alone prove too little."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from zoo_export.parity.probe_weights import draw_probe_weights
from zoo_export.parity.probes import Probe
from zoo_export.parity.reference import Reference, make_references
from zoo_export.parity.sensitivity import Sensitivity, sensitivity

OWN, PROBE = "own weights", "probe weights"


@dataclass(frozen=True)
class Check:
    """One set of weights, what is known of its outputs, and what comparing them would notice."""

    weights: str
    module: nn.Module
    references: tuple[Reference, ...]
    sensitivity: Sensitivity


def make_checks(module: nn.Module, probes: list[Probe]) -> list[Check]:
    """The check with the model's own weights, and a second one with probe weights where it would notice too little.

    That is, where it watches too few tensors, or where one of them could be rounded to float16 unnoticed.

    Raises:
        ExportError: the model does not run on its probes, or gives no finite logits.
    """
    references = tuple(make_references(module, probes))
    own = Check(OWN, module, references, sensitivity(module, references))
    if own.sensitivity.enough and not own.sensitivity.too_coarse:
        return [own]
    drawn = copy.deepcopy(module)
    noise = [probe for probe in probes if probe.name.startswith("noise")]
    draw_probe_weights(drawn, noise)
    again = tuple(make_references(drawn, noise[-1:], in_place=True))  # the rest was met by the model's own
    return [own, Check(PROBE, drawn, again, sensitivity(drawn, again))]


def watched(checks: Sequence[Check]) -> Sensitivity:
    """The sensitivity of all checks together: a tensor is watched where one of them watches it."""
    unwatched = set.intersection(*(set(check.sensitivity.unwatched) for check in checks))
    return Sensitivity(checks[0].sensitivity.tensors, tuple(sorted(unwatched)))
