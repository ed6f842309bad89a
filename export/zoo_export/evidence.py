"""What an export is judged by, gathered before anything is exported: probes, truth, rounding errors, coverage."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from zoo.contract.errors import ExportError, refuse_out_of_memory
from zoo.contract.evidence import (
    INCONCLUSIVE,
    OVERRIDDEN,
    PASS,
    TOLERANCE_FACTOR,
    UNVERIFIED,
    Coverage,
    Override,
    Probe,
    Verdict,
)
from zoo.contract.exporting.options import ExportOptions
from zoo.contract.wording.author_code import SHOW_TRACEBACK
from zoo.evaluation.attributes import keep_attributes
from zoo.models.load import Model
from zoo.registry.registry import Registry
from zoo_export.capture import Capture, first_line, quiet
from zoo_export.failures.difference import inconclusive
from zoo_export.parity.check import Check, covered, make_checks
from zoo_export.parity.coverage import coverage
from zoo_export.precisions.in_use import PrecisionInUse
from zoo_export.probes.probes import make_probes
from zoo_export.probes.real_images import RealImages, real_images


@dataclass(frozen=True)
class Evidence:
    """Everything that is known before an artifact exists.

    Args:
        verdict: of an artifact that passes.
        probes: that artifacts are judged on, or would be.
        checks: in float32, the model's own weights first; empty if nothing is to be judged.
        real: the images of a data set among the probes.
        published: what an artifact is judged by that is proven in float32 first, if one is to be published.
        accepted_coverage: the coverage that the user accepted, if that of the checks is not enough.
    """

    verdict: Verdict
    probes: Sequence[Probe]
    checks: Sequence[Check]
    real: RealImages
    override: Override | None = None
    published: Check | None = None
    accepted_coverage: float | None = None

    @property
    def own(self) -> Check | None:
        """What the published artifact is judged by, with the model's own weights; `None` if nothing is judged."""
        return self.published or (self.checks[0] if self.checks else None)


def gather_evidence(
    registry: Registry,
    model: Model,
    data_root: Path,
    options: ExportOptions,
    sizes: Sequence[tuple[int, int]] = (),
    precision: PrecisionInUse = PrecisionInUse(),  # noqa: B008, it is frozen
) -> Evidence:
    """Truth, rounding errors and coverage.

    Args:
        sizes: of images, besides the model's own, to judge with.

    Raises:
        DifferenceError: the check would be inconclusive, and covers less than `options.accept_coverage`. With an
            override that is not an error: the caller warns. What is proven in float32 first is proven by the default
            tolerance all the same.
        ExportError: the model does not run, returns other logits than its card names, or cannot be exported in that
            precision.
    """
    real = real_images(registry, model.card, data_root)
    probes = make_probes(model.card.preprocess, real.images, sizes=sizes)
    checks = make_checks(model.module, probes, PrecisionInUse().backends(options.devices))
    _refuse_unnamed_classes(model, checks[0].probes[0].truth.shape[1])
    override = options.override
    published = _published(model, checks[0], precision, options) if precision.rules.proven_first else None
    if override is not None and published is None:
        checks = [replace(check, coverage=coverage(check.module, _within(override, check.probes))) for check in checks]
        return Evidence(OVERRIDDEN, probes, checks, real, override)
    total, accepted = covered(checks), options.accept_coverage
    if total.enough:
        return Evidence(PASS if override is None else OVERRIDDEN, probes, checks, real, override, published)
    if accepted is None or total.fraction < accepted:
        raise inconclusive(f"A check of {model.name}", model.name, total, _next_step(total))
    verdict = INCONCLUSIVE if override is None else OVERRIDDEN
    return Evidence(verdict, probes, checks, real, override, published, accepted)


def _next_step(total: Coverage) -> str:
    """What to do about coverage that is not enough."""
    step = "Export trained weights, or correct a forward that ignores its parameters"
    acceptable = math.floor(100 * total.fraction) / 100
    if not acceptable:
        return f"{step}."
    return f"{step}; or accept that with --accept-coverage {acceptable:g}, which marks the export as inconclusive."


def _published(model: Model, check: Check, precision: PrecisionInUse, options: ExportOptions) -> Check:
    """What an artifact in `precision` is judged by."""
    backends = precision.backends(dict.fromkeys(("cpu", *options.devices)))
    known = precision.probes(model.name, check.module, check.probes, backends)
    return replace(check, probes=known[backends[0]], elsewhere=known)


def _within(override: Override, probes: Sequence[Probe]) -> list[Probe]:
    """The probes with rounding errors for which the default tolerance is the largest allowance of the override.

    An error that exceeds the largest allowance is noticed for certain, so coverage promises no more than holds.
    """
    return [probe.at(float(override.allowance(probe.truth).max()) / TOLERANCE_FACTOR) for probe in probes]


def no_evidence(model: Model, capture: Capture, sizes: Sequence[tuple[int, int]] = ()) -> Evidence:
    """Nothing but the probes that a check would use, so that the export can be checked later.

    Raises:
        ExportError: the model does not run, or returns other logits than its card names.
    """
    images = capture.example.clone()  # outside: a tensor that is made in inference mode cannot be traced
    try:
        with keep_attributes(model.module), torch.no_grad(), quiet():
            logits = model.module(images)
    except Exception as error:
        refuse_out_of_memory(error)
        raise ExportError(
            f"The model does not run: {first_line(error, place=True)}", f"Check the image size; {SHOW_TRACEBACK}"
        ) from error
    _refuse_unnamed_classes(model, logits.shape[-1])
    real = RealImages((), "none: nothing was verified")
    return Evidence(UNVERIFIED, make_probes(model.card.preprocess, sizes=sizes), (), real)


def _refuse_unnamed_classes(model: Model, logits: int) -> None:
    classes = len(model.card.classes)
    if logits != classes:
        raise ExportError(
            f"{model.name} returns {logits} logits for an image, and its card names {classes} classes.",
            "Its build must use num_classes: report it to the author of its plugin.",
        )
