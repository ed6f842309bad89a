"""Blame: which step on the way to an artifact a difference comes from, and where in the model it begins.

A format declares the steps as stages. The first stage whose logits are outside the tolerance is to blame; it may know
which of the values on the way is the first wrong one.
"""

from contextlib import suppress
from dataclasses import dataclass

from zoo.contract.evidence import Probe
from zoo.contract.exporting.artifact import Array, Capture, Paths, Run
from zoo.contract.exporting.precision_rules import PrecisionRules
from zoo.contract.formats import ExportFormat
from zoo.registry.refs import resolve
from zoo.registry.registry import Entry
from zoo_export.capture import quiet
from zoo_export.parity.judge import judge
from zoo_export.precisions.fp32 import FP32


@dataclass(frozen=True)
class Blame:
    """What is to blame for a difference.

    Args:
        stage: its name, as the format declares it.
        module: the path of the module that makes the first wrong value, empty for the model itself; `None` where no
            single value could be found.
        source: the line of the user's model, such as `torchvision/models/resnet.py:95`; empty where unknown.
        value: the name of the first wrong value; empty where none was found.
        ratio: the error of the logits after this stage, in the precision's units.
    """

    stage: str
    module: str | None
    source: str
    value: str
    ratio: float

    def __str__(self) -> str:
        if self.module is None:
            return f"The fault is in {self.stage}."
        at = f"{self.module or 'the model itself'}{f' ({self.source})' if self.source else ''}"
        return f"The fault is in {self.stage}, first at {at}."


def find_blame(
    entry: Entry[ExportFormat],
    capture: Capture,
    paths: Paths,
    probe: Probe,
    rules: PrecisionRules = FP32,
    *,
    own: bool = True,
) -> Blame | None:
    """Find what is to blame for the error of an artifact on `probe`.

    Args:
        capture: what was exported, with the weights that were exported.
        rules: of the artifact's precision.
        own: whether `paths` was exported from `capture`. Of any other file, only the file and what runs it can be to
            blame.

    Returns:
        `None` where no stage is wrong on that probe, or the format declares none.
    """
    if not entry.spec.stages:
        return None
    images = probe.images
    with quiet():
        for stage in resolve(entry, entry.spec.stages)(capture, paths, own):
            comparison = judge(probe, _attempt(stage.run, images.copy()), rules=rules)
            if comparison.passed:
                continue
            where = None
            with suppress(Exception):  # the stage is known, and worth reporting alone
                where = stage.locate(images.copy())
            if where is None:
                return Blame(stage.name, None, "", "", comparison.ratio)
            return Blame(stage.name, where.module, where.source, where.value, comparison.ratio)
    return None


def blame_sentence(
    entry: Entry[ExportFormat],
    capture: Capture,
    paths: Paths,
    probe: Probe,
    rules: PrecisionRules = FP32,
    *,
    own: bool = True,
) -> str:
    """What `find_blame` finds, as a sentence; empty if it finds nothing or fails: it must not hide a difference."""
    try:
        return str(find_blame(entry, capture, paths, probe, rules, own=own) or "")
    except Exception:
        return ""


def _attempt(run: Run, images: Array) -> object:
    try:
        return run(images)
    except Exception as error:  # the stage's fault, and so a result
        return error
