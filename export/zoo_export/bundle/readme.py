"""The README of an export folder: how to run it, from Python and otherwise."""

from collections.abc import Mapping, Sequence

import zoo_runtime
from zoo.contract.evidence import OVERRIDDEN, UNVERIFIED, Comparison, Coverage, Manifest
from zoo.contract.exporting.precision_rules import PrecisionRules
from zoo_export.bundle.labels import can_be_listed
from zoo_export.bundle.preparation import preparation
from zoo_export.precisions.fp32 import FP32

OVERRIDE = """> **OVERRIDDEN.** `--atol` and `--rtol` replaced the default tolerance: each logit may be off by
> {atol:g} + {rtol:g} · |truth|. These artifacts agree with the model within that, which says nothing of the default
> tolerance. Their errors are in the table below; `zoo verify . --strict` uses the default tolerance.{inconclusive}

"""
INCONCLUSIVE = """
> **The check is inconclusive:** it covers {percent:.0f} % of the parameter tensors; a 1 % error in others passes."""
ACCEPTED = """> **INCONCLUSIVE.** The check covers {percent:.0f} % of the {tensors} parameter tensors, which
> `--accept-coverage {accepted:g}` accepted. A 1 % error in any of the others would pass it:
>
{uncovered}

"""
LISTED = 50  # tensors in the README; the manifest lists them all
UNPROVEN = """> **UNVERIFIED.** These artifacts were exported with `--no-verify`: nothing was run or compared, and their
> outputs may be wrong. `zoo verify . --strict` checks them.

"""
HEAD = """# {name}

Logits of {classes} classes from images of {shape}. Exported by zoo {version}.
"""
PROOF = """
Before this folder was published, every artifact was run on {n} images in {probes} batches and compared with the model
in float64. The default tolerance is {factor:g}, where an error of 1 is this:
{definition}.{statement}

| artifact | verdict | largest error | of the default tolerance |
| --- | --- | --- | --- |
{rows}

## Repeat the check

    zoo verify .                       # needs zoo
"""
RUNTIME_VERIFIES = """    python zoo_runtime.py --verify     # without zoo
"""
NO_PROOF = """
## Check it

    zoo verify . --strict              # needs zoo and the weights
"""
AVOIDED = """
## Known faults avoided

{rows}
"""
FORM = """
## Input and output

`input`: float32 `{input}`. An image is converted to {mode}, {resize}, divided by 255,
and normalised per channel with mean {mean} and standard deviation {std}. `logits`: float32 `[batch, {classes}]`, in
the order of `labels` in `manifest.json`{and_file}.{images}
"""
IMAGES = """

`golden.npz` holds images to test other implementations with: `image-1.pixels`, uint8 `[H, W, 3]`, must become
`image-1.tensor`, float32 `[C, H, W]`, and so on. Releases of Pillow differ by up to two of 255 levels."""
PREPARE = """
## Prepare an image

In Python, with NumPy and Pillow, for images of 8 bits per channel:

```python
{code}```
"""


def readme(
    manifest: Manifest,
    comparisons: Mapping[str, Sequence[Comparison]],
    sections: Sequence[str],
    rules: PrecisionRules = FP32,
) -> str:
    """The text for the folder that `manifest` describes.

    Args:
        sections: of the formats, in Markdown: how to run each artifact.
        rules: of the artifacts' precision.
    """
    preprocess = manifest.preprocess
    height, width = preprocess.size
    side = preprocess.shorter_side
    resize = {
        "center": f"resized to {width}×{height}" if side is None else f"resized to {side} on its shorter side, cropped",
        "squash": f"resized to {side}×{side}, cropped",
        "border": f"resized to {side} on its longer side, padded with the mean colour, cropped",
    }[preprocess.crop_mode]
    if preprocess.exif_orientation:
        resize = f"turned as its EXIF orientation says, {resize}"
    text = _warning(manifest) + HEAD.format(
        name=manifest.name,
        classes=len(manifest.labels),
        shape=f"{preprocess.channels}×{height}×{width}",
        version=manifest.versions.get("zoo-kit", ""),
    )
    verified = manifest.verdict != UNVERIFIED
    text += _proof(manifest, comparisons, rules) if verified else NO_PROOF
    if verified and zoo_runtime.FORMAT in manifest.artifacts and manifest.precision in zoo_runtime.BY_ROUNDING:
        text += RUNTIME_VERIFIES
    text += _avoided(manifest)
    listed = can_be_listed(manifest.labels)
    text += FORM.format(
        classes=len(manifest.labels),
        input=f"[{', '.join(str(size) for size in manifest.input.shape)}]",
        mode="grey" if preprocess.channels == 1 else "RGB",
        resize=f"{resize} ({preprocess.interpolation}, antialiased)",
        mean=list(preprocess.mean),
        std=list(preprocess.std),
        and_file=" and of the lines of `labels.txt`" if listed else "",
        images=IMAGES if verified else "",
    )
    text += PREPARE.format(code=preparation(preprocess, listed=listed))
    return text + "".join(f"\n{section.strip()}\n" for section in sections)


def _warning(manifest: Manifest) -> str:
    """The warning at the top; empty for an export that the default tolerance proves."""
    if manifest.verdict == UNVERIFIED:
        return UNPROVEN
    override, coverage = manifest.certificate.override, manifest.certificate.coverage
    accepted = _accepted(coverage, manifest.certificate.accepted_coverage)
    if manifest.verdict != OVERRIDDEN or override is None:
        return accepted
    too_little = coverage is not None and not coverage.enough
    vague = coverage is not None and too_little and not accepted
    inconclusive = INCONCLUSIVE.format(percent=100 * coverage.fraction) if coverage and vague else ""
    return OVERRIDE.format(atol=override.atol, rtol=override.rtol, inconclusive=inconclusive) + accepted


def _accepted(coverage: Coverage | None, accepted: float | None) -> str:
    """What the check does not cover, where the user accepted that."""
    if coverage is None or accepted is None:
        return ""
    lines = [f"> - {coverage.describe(name)}" for name in coverage.uncovered[:LISTED]]
    more = len(coverage.uncovered) - LISTED
    lines += [f"> - and {more} more, see `manifest.json`"] if more > 0 else []
    return ACCEPTED.format(
        percent=100 * coverage.fraction, tensors=coverage.tensors, accepted=accepted, uncovered="\n".join(lines)
    )


def _avoided(manifest: Manifest) -> str:
    """The known faults of libraries that the artifacts avoid; empty where there are none."""
    rows = [
        f"- `{manifest.artifacts[name].file}`, {each.fault} of {each.library}: {each.change} Places: {each.places}."
        for name, record in manifest.certificate.artifacts.items()
        for each in record.workarounds
    ]
    return AVOIDED.format(rows="\n".join(rows)) if rows else ""


def _proof(manifest: Manifest, comparisons: Mapping[str, Sequence[Comparison]], rules: PrecisionRules) -> str:
    certificate = manifest.certificate
    ratios = {name: max(comparison.ratio for comparison in rows) for name, rows in comparisons.items()}
    return PROOF.format(
        n=sum(probe.n for probe in certificate.probes),
        probes=len(certificate.probes),
        factor=rules.tolerance,
        definition=rules.definition,
        statement=f" {rules.statement}" if rules.statement else "",
        rows="\n".join(
            f"| `{manifest.artifacts[name].file}` | {manifest.verdict} | {ratio:.2f} | "
            f"{100 * ratio / rules.tolerance:.1f} % |"
            for name, ratio in ratios.items()
        ),
    )
