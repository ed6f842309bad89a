"""Precisions: the number formats of artifacts. `zoo.contract.exporting.precision_rules` says how they are judged."""

from dataclasses import dataclass
from typing import ClassVar

from zoo.contract.specs import Spec


@dataclass(frozen=True, kw_only=True)
class Precision(Spec):
    """The arithmetic and number format of an artifact, and how an artifact in it is judged.

    Args:
        rules: ref to a `zoo.contract.exporting.precision_rules.PrecisionRules`.
    """

    kind: ClassVar[str] = "precision"
    plural: ClassVar[str] = "precisions"
    refs: ClassVar[tuple[str, ...]] = ("rules",)

    rules: str
