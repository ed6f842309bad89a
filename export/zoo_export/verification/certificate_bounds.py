"""A certificate's own numbers: whether they are those that a check could have found."""

from collections.abc import Sequence

import numpy as np

from zoo.contract.errors import DifferenceError
from zoo.contract.evidence import Certificate, Probe
from zoo.contract.exporting.precision_rules import PrecisionRules
from zoo_export.precisions.fp32 import RoundingRules
from zoo_export.truth.backend import TF32_EPSILON, Backend

GROWTH = 2.0**14  # times the epsilon of the dtype: how far rounding may grow, relative to the largest logit
LARGEST = 0.05  # of the largest logit: above, twenty rounding errors are all of it
ELSEWHERE = 20.0  # times: how far the rounding errors of two machines may be apart
EXPORT = "Export the model again, or compare with the model: `zoo verify DIR --strict --against MODEL`."


def refuse_loose_numbers(certificate: Certificate, probes: Sequence[Probe], rules: PrecisionRules) -> None:
    """Refuse a certificate that would let anything pass.

    Args:
        probes: with the truth that is stored for them.

    Raises:
        DifferenceError: the tolerance factor is not that of the precision, or a rounding error is larger than rounding.
    """
    if certificate.tolerance_factor != rules.tolerance:
        raise DifferenceError(
            f"The certificate has a tolerance of {certificate.tolerance_factor:g} rounding errors, where "
            f"{rules.tolerance:g} is right.",
            EXPORT,
        )
    if not isinstance(rules, RoundingRules):
        return  # its unit does not depend on what the certificate says
    scale = max(float(np.abs(probe.truth).max(initial=0.0)) for probe in probes)
    for probe in probes:
        for label, error in {"cpu": probe.rounding_error, **probe.rounding_errors}.items():
            most = _most(rules, label) * scale
            if not 0 <= error <= most:
                raise DifferenceError(
                    f"The certificate has a rounding error of {error:g} on the probe {probe.name} ({label}), and "
                    f"{rules.dtype} makes at most {most:.2g} where logits are up to {scale:.2g}.",
                    EXPORT,
                )


def refuse_other_errors(stored: Sequence[Probe], computed: Sequence[Probe]) -> None:
    """Refuse rounding errors that were stored, and are far from those computed here.

    Args:
        stored, computed: the same probes in the same order, on one backend.

    Raises:
        DifferenceError: naming the first probe of which that is so.
    """
    for before, now in zip(stored, computed, strict=True):
        if before.rounding_error > ELSEWHERE * now.rounding_error:
            raise DifferenceError(
                f"The certificate has a rounding error of {before.rounding_error:g} on the probe {before.name}, and "
                f"{now.rounding_error:g} is right.",
                EXPORT,
            )


def _most(rules: RoundingRules, label: str) -> float:
    """The largest rounding error that is believed, as a fraction of the largest logit."""
    epsilon = TF32_EPSILON if label.endswith("-tf32") else Backend(dtype=rules.torch_dtype).epsilon
    return min(GROWTH * epsilon, LARGEST)
