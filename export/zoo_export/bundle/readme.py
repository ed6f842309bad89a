"""The README of an export folder: how to run it, from Python and otherwise."""

from collections.abc import Mapping, Sequence
from typing import Any

from zoo.contract.precisions import PrecisionRules
from zoo_export.parity.coverage import ENOUGH
from zoo_export.parity.judge import Comparison
from zoo_export.parity.verdict import OVERRIDDEN, UNVERIFIED
from zoo_export.precisions.fp32 import FP32

OVERRIDE = """> **OVERRIDDEN.** zoo's own tolerance was replaced by {atol:g} + {rtol:g} · |truth| for each logit.
> By that (`--atol`, `--rtol`), and not by zoo's rule, these artifacts agree with the model. What they came to in units
> of rounding error is below; `zoo verify . --strict` judges them by zoo's rule.{inconclusive}

"""
INCONCLUSIVE = """
> **The check is inconclusive:** a 1 % change of only {share:.0f} % of the parameters would exceed that tolerance."""
UNPROVEN = """> **UNVERIFIED.** These artifacts were exported with `--no-verify`. Nothing was run or compared:
> they may not compute what the model computes. `zoo verify . --strict` checks them.

"""
HEAD = """# {name}

Logits of {classes} classes from images of {shape}. Exported by zoo {version}.
"""
PROOF = """
Every artifact here was run on {n} images in {probes} batches before this folder was published, and compared with
the model in float64. An error of 1 is: {definition}. The default tolerance is {k:g}.{statement}

| artifact | verdict | worst error | of the default tolerance |
| --- | --- | --- | --- |
{rows}

## Prove it again, here

    zoo verify .                       # needs zoo
"""
NO_PROOF = """
## Check it

    zoo verify . --strict              # needs zoo and the weights
"""
FORM = """
## Input and output

`input`: float32 `{input}`. An image is converted to {mode}, {resize}, divided by 255,
and normalised per channel with mean {mean} and standard deviation {std}. `logits`: float32 `[batch, {classes}]`, in
the order of `labels` in `manifest.json`.
"""


def readme(
    manifest: Mapping[str, Any],
    comparisons: Mapping[str, Sequence[Comparison]],
    sections: Sequence[str],
    rules: PrecisionRules = FP32,
) -> str:
    """The text for what `manifest` describes.

    Args:
        sections: of the formats, in Markdown: how to run each artifact.
        rules: of the artifacts' precision.
    """
    preprocess = manifest["preprocess"]
    height, width = preprocess["size"]
    channels = len(preprocess["mean"])
    side = preprocess["shorter_side"]
    resize = f"resized to {width}×{height}" if side is None else f"resized to {side} on its shorter side, cropped"
    text = _warning(manifest) + HEAD.format(
        name=manifest["name"],
        classes=len(manifest["labels"]),
        shape=f"{channels}×{height}×{width}",
        version=manifest["versions"].get("zoo-kit", ""),
    )
    text += NO_PROOF if manifest["verdict"] == UNVERIFIED else _proof(manifest, comparisons, rules)
    text += FORM.format(
        classes=len(manifest["labels"]),
        input=f"[{', '.join(str(size) for size in manifest['input']['shape'])}]",
        mode="grey" if channels == 1 else "RGB",
        resize=f"{resize} ({preprocess['interpolation']}, antialiased)",
        mean=list(preprocess["mean"]),
        std=list(preprocess["std"]),
    )
    return text + "".join(f"\n{section.strip()}\n" for section in sections)


def _warning(manifest: Mapping[str, Any]) -> str:
    """What must be read before anything else, where there is such a thing."""
    if manifest["verdict"] == UNVERIFIED:
        return UNPROVEN
    if manifest["verdict"] != OVERRIDDEN:
        return ""
    share = manifest["certificate"]["coverage"]["share"]
    inconclusive = INCONCLUSIVE.format(share=100 * share) if share < ENOUGH else ""
    return OVERRIDE.format(**manifest["certificate"]["override"], inconclusive=inconclusive)


def _proof(manifest: Mapping[str, Any], comparisons: Mapping[str, Sequence[Comparison]], rules: PrecisionRules) -> str:
    certificate = manifest["certificate"]
    worst = {name: max(each.ratio for each in compared) for name, compared in comparisons.items()}
    return PROOF.format(
        n=sum(probe["n"] for probe in certificate["probes"]),
        probes=len(certificate["probes"]),
        k=rules.tolerance,
        definition=rules.definition,
        statement=f" {rules.statement}" if rules.statement else "",
        rows="\n".join(
            f"| `{manifest['artifacts'][name]}` | {manifest['verdict']} | {ratio:.2f} | "
            f"{100 * ratio / rules.tolerance:.1f} % |"
            for name, ratio in worst.items()
        ),
    )
