"""Could the check have noticed anything? Where the logits do not depend on the image, it could not."""

from collections.abc import Sequence

import numpy as np

from zoo_export.parity.judge import BUDGET
from zoo_export.parity.reference import Reference


def why_vacuous(references: Sequence[Reference]) -> str:
    """A sentence that says why comparing would prove nothing, or an empty text.

    The logits must change from image to image by more than the budget on at least one probe: an artifact that
    ignores its input would pass otherwise.
    """
    if all(reference.peak == 0 for reference in references):
        return "its logits are exactly 0 for every image, so that any artifact of zeros would pass"
    changes = [float(np.ptp(reference.truth, axis=0).max()) for reference in references]
    budgets = [BUDGET * reference.floor for reference in references]
    if all(change <= budget for change, budget in zip(changes, budgets, strict=True)):
        return "its logits do not change from image to image by more than rounding does"
    return ""
