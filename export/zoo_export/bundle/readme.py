"""The README of an export folder: how to run it, from Python and otherwise."""

from collections.abc import Mapping, Sequence
from typing import Any

from zoo_export.parity.coverage import ENOUGH
from zoo_export.parity.judge import Comparison
from zoo_export.parity.verdict import OVERRIDDEN, UNVERIFIED

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
the model in float64. The error is given in units of PyTorch's own {precision} rounding error on the same images; zoo's
own tolerance is {k:g}.

| artifact | verdict | worst error | of zoo's own tolerance |
| --- | --- | --- | --- |
{rows}

## Prove it again, here

    python zoo_runtime.py --verify     # needs numpy and onnxruntime
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

ONNX = """
## Python, with numpy, onnxruntime and Pillow

    python zoo_runtime.py IMAGE...

    from zoo_runtime import Model
    model = Model(".")
    model.predict("image.png", top=5)
    logits = model.run(batch)

## Anything that runs ONNX

`model.onnx` is opset 18, and carries labels and preprocessing in its metadata as `zoo.labels` and `zoo.preprocess`.
"""

TORCHSCRIPT = """
## C++ or Python, with libtorch

    torch::jit::load("model.torchscript")
    torch.jit.load("model.torchscript")
"""

PT2 = """
## Python, with PyTorch

    torch.export.load("model.pt2").module()
"""

PARTS = {"onnx": ONNX, "torchscript": TORCHSCRIPT, "pt2": PT2}


def readme(manifest: Mapping[str, Any], comparisons: Mapping[str, Sequence[Comparison]]) -> str:
    """The text for what `manifest` describes."""
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
    text += NO_PROOF if manifest["verdict"] == UNVERIFIED else _proof(manifest, comparisons)
    text += FORM.format(
        classes=len(manifest["labels"]),
        input=f"[{', '.join(str(size) for size in manifest['input']['shape'])}]",
        mode="grey" if channels == 1 else "RGB",
        resize=f"{resize} ({preprocess['interpolation']}, antialiased)",
        mean=list(preprocess["mean"]),
        std=list(preprocess["std"]),
    )
    return text + "".join(part for name, part in PARTS.items() if name in manifest["artifacts"])


def _warning(manifest: Mapping[str, Any]) -> str:
    """What must be read before anything else, where there is such a thing."""
    if manifest["verdict"] == UNVERIFIED:
        return UNPROVEN
    if manifest["verdict"] != OVERRIDDEN:
        return ""
    share = manifest["certificate"]["coverage"]["share"]
    inconclusive = INCONCLUSIVE.format(share=100 * share) if share < ENOUGH else ""
    return OVERRIDE.format(**manifest["certificate"]["override"], inconclusive=inconclusive)


def _proof(manifest: Mapping[str, Any], comparisons: Mapping[str, Sequence[Comparison]]) -> str:
    certificate = manifest["certificate"]
    worst = {name: max(comparison.ratio for comparison in found) for name, found in comparisons.items()}
    return PROOF.format(
        n=sum(probe["n"] for probe in certificate["probes"]),
        probes=len(certificate["probes"]),
        k=certificate["k"],
        precision=manifest["precision"],
        rows="\n".join(
            f"| `{manifest['artifacts'][name]}` | {manifest['verdict']} | {ratio:.2f} | "
            f"{100 * ratio / certificate['k']:.1f} % |"
            for name, ratio in worst.items()
        ),
    )
