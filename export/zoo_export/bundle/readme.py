"""The README of an export folder: how to run it, from Python and otherwise."""

from collections.abc import Mapping, Sequence

from zoo.contract.evidence import OVERRIDDEN, UNVERIFIED, Comparison, Manifest

OVERRIDE = """> **OVERRIDDEN.** `--atol` and `--rtol` replaced the default tolerance: each logit may be off by
> {atol:g} + {rtol:g} · |truth|. These artifacts agree with the model within that, which says nothing of the default
> tolerance. Their errors are in the table below; `zoo verify . --strict` uses the default tolerance.{inconclusive}

"""
INCONCLUSIVE = """
> **The check is inconclusive:** it covers {percent:.0f} % of the parameter tensors; a 1 % error in others passes."""
UNPROVEN = """> **UNVERIFIED.** These artifacts were exported with `--no-verify`: nothing was run or compared, and their
> outputs may be wrong. `zoo verify . --strict` checks them.

"""
HEAD = """# {name}

Logits of {classes} classes from images of {shape}. Exported by zoo {version}.
"""
PROOF = """
Before this folder was published, every artifact was run on {n} images in {probes} batches and compared with the model
in float64. Errors are in units of PyTorch's own {precision} rounding error on the same images; the default tolerance
is {factor:g}.

| artifact | verdict | largest error | of the default tolerance |
| --- | --- | --- | --- |
{rows}

## Repeat the check

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


def readme(manifest: Manifest, comparisons: Mapping[str, Sequence[Comparison]]) -> str:
    """The text for the folder that `manifest` describes."""
    preprocess = manifest.preprocess
    height, width = preprocess.size
    side = preprocess.shorter_side
    resize = f"resized to {width}×{height}" if side is None else f"resized to {side} on its shorter side, cropped"
    text = _warning(manifest) + HEAD.format(
        name=manifest.name,
        classes=len(manifest.labels),
        shape=f"{preprocess.channels}×{height}×{width}",
        version=manifest.versions.get("zoo-kit", ""),
    )
    text += NO_PROOF if manifest.verdict == UNVERIFIED else _proof(manifest, comparisons)
    text += FORM.format(
        classes=len(manifest.labels),
        input=f"[{', '.join(str(size) for size in manifest.input.shape)}]",
        mode="grey" if preprocess.channels == 1 else "RGB",
        resize=f"{resize} ({preprocess.interpolation}, antialiased)",
        mean=list(preprocess.mean),
        std=list(preprocess.std),
    )
    return text + "".join(part for name, part in PARTS.items() if name in manifest.artifacts)


def _warning(manifest: Manifest) -> str:
    """What must be read before anything else, if there is such a thing."""
    if manifest.verdict == UNVERIFIED:
        return UNPROVEN
    override, coverage = manifest.certificate.override, manifest.certificate.coverage
    if manifest.verdict != OVERRIDDEN or override is None:
        return ""
    too_little = coverage is not None and not coverage.enough
    inconclusive = INCONCLUSIVE.format(percent=100 * coverage.fraction) if coverage and too_little else ""
    return OVERRIDE.format(atol=override.atol, rtol=override.rtol, inconclusive=inconclusive)


def _proof(manifest: Manifest, comparisons: Mapping[str, Sequence[Comparison]]) -> str:
    certificate = manifest.certificate
    ratios = {name: max(comparison.ratio for comparison in rows) for name, rows in comparisons.items()}
    return PROOF.format(
        n=sum(probe.n for probe in certificate.probes),
        probes=len(certificate.probes),
        factor=certificate.tolerance_factor,
        precision=manifest.precision,
        rows="\n".join(
            f"| `{manifest.artifacts[name].file}` | {manifest.verdict} | {ratio:.2f} | "
            f"{100 * ratio / certificate.tolerance_factor:.1f} % |"
            for name, ratio in ratios.items()
        ),
    )
