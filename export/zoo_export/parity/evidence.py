"""What an export is judged by, gathered before anything is exported: probes, truth, rounding errors, and what they notice."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from zoo.contract.errors import ExportError
from zoo.models.load import Model
from zoo.registry.registry import Registry
from zoo_export.capture import Capture, first_line, quiet
from zoo_export.failures.difference import inconclusive
from zoo_export.options import ExportOptions
from zoo_export.parity.check import Check, covered, make_checks
from zoo_export.parity.coverage import ENOUGH, coverage
from zoo_export.parity.override import Override
from zoo_export.parity.verdict import OVERRIDDEN, PASS, UNVERIFIED
from zoo_export.precisions.fp32 import TOLERANCE_FACTOR
from zoo_export.precisions.in_use import PrecisionInUse
from zoo_export.probes.probes import Probe, make_probes
from zoo_export.probes.real_images import RealImages, real_images


@dataclass(frozen=True)
class Evidence:
    """Everything that is known before an artifact is there.

    Args:
        verdict: what an artifact that is not refused gets.
        probes: that artifacts are judged on, or would be.
        checks: truth and rounding errors, the model's own weights first; empty where nothing is to be judged. In float32.
        real: the images of a data set among the probes.
        published: what an artifact is judged by that is proven in float32 first, if one is to be published.
    """

    verdict: str
    probes: Sequence[Probe]
    checks: Sequence[Check]
    real: RealImages
    override: Override | None = None
    published: Check | None = None

    @property
    def own(self) -> Check | None:
        """What the published artifact is judged by, with the model's own weights; `None` where nothing is judged."""
        return self.published or (self.checks[0] if self.checks else None)


def gather_evidence(
    registry: Registry,
    model: Model,
    data_root: Path,
    terms: ExportOptions,
    sizes: Sequence[tuple[int, int]] = (),
    precision: PrecisionInUse = PrecisionInUse(),  # noqa: B008, it is frozen
) -> Evidence:
    """Truth, rounding errors and coverage.

    Args:
        sizes: of images, besides the model's own, to judge with.

    Raises:
        DifferenceError: a check would prove too little. Under an override that is not refused: the caller says it.
            What is proven in float32 first is proven by zoo's own tolerance all the same.
        ExportError: the model does not run, gives other logits than its card names, or cannot be exported in that
            precision.
    """
    real = real_images(registry, model.card, data_root)
    probes = make_probes(model.card.preprocess, real.images, sizes=sizes)
    checks = make_checks(model.module, probes, PrecisionInUse().backends(terms.devices))
    _refuse_unnamed_classes(model, checks[0].references[0].truth.shape[1])
    override = terms.override
    published = _published(model, checks[0], precision, terms) if precision.rules.proven_first else None
    if override is not None and published is None:
        checks = [
            replace(
                check, coverage=coverage(check.module, override.in_rounding_errors(check.references, TOLERANCE_FACTOR))
            )
            for check in checks
        ]
        return Evidence(OVERRIDDEN, probes, checks, real, override)
    seen = covered(checks)
    if seen.share < ENOUGH:
        raise inconclusive(
            f"A check of {model.name}",
            model.name,
            seen,
            "Export trained weights, or correct a forward that ignores its parameters.",
        )
    return Evidence(PASS if override is None else OVERRIDDEN, probes, checks, real, override, published)


def _published(model: Model, check: Check, precision: PrecisionInUse, terms: ExportOptions) -> Check:
    """What an artifact in `precision` is judged by."""
    backends = precision.backends(dict.fromkeys(("cpu", *terms.devices)))
    known = precision.references(model.name, check.module, check.references, backends)
    return replace(check, references=known[backends[0]], elsewhere=known)


def no_evidence(model: Model, capture: Capture, sizes: Sequence[tuple[int, int]] = ()) -> Evidence:
    """Nothing but the probes that would be made: their seed and words let somebody else do it.

    Raises:
        ExportError: the model does not run, or gives other logits than its card names.
    """
    images = capture.example.clone()  # outside: what is made in inference mode cannot be traced
    try:
        with torch.inference_mode(), quiet():
            logits = model.module(images)
    except Exception as error:
        raise ExportError(f"The model does not run: {first_line(error)}", "Check the image size.") from error
    _refuse_unnamed_classes(model, logits.shape[-1])
    real = RealImages((), "none: nothing was verified")
    return Evidence(UNVERIFIED, make_probes(model.card.preprocess, sizes=sizes), (), real)


def _refuse_unnamed_classes(model: Model, given: int) -> None:
    named = len(model.card.classes)
    if given != named:
        raise ExportError(
            f"{model.name} gives {given} logits for an image, and its card names {named} classes.",
            "Its build must honour num_classes; report it to the author of its plugin.",
        )
