"""Ten of timm's models whose export is hard, on small images; `benchmarks/catalogue.py` exports one of each module.

The formats are those that were refused for the model once.
"""

from pathlib import Path

import pytest

from zoo.contract.formats import ExportFormat
from zoo.models.load import BuildArgs, open_model
from zoo.registry.registry import Registry
from zoo_export.pipeline import export_model

pytest.importorskip("timm")

HARD = {
    "test_vit_relpos": ("onnx", 64),  # attention with a learnt bias
    "test_coatnet": ("torchscript", 64),  # its trace names weights otherwise than the model
    "test_nfnet": ("onnx", 64),  # standardised kernels, gains of zero
    "test_efficientnet": ("torchscript", 64),  # SAME padding: numbers that the trace divides
    "efficientvit_b0": ("pt2", 64),  # a part without autocast
    "convit_tiny": ("torchscript", 64),  # keeps a table of positions between calls
    "hgnetv2_b0": ("onnx", 64),  # a padding that onnxruntime folds into a pooling
    "hiera_tiny_224": ("onnx", 64),  # attention over five dimensions
    "swin_tiny_patch4_window7_224": ("torchscript", 56),  # masks that are no parameters
    "levit_128s": ("pt2", 64),  # tables that are plain attributes
}


@pytest.mark.parametrize("name", HARD)
def test_a_hard_model_of_timm_is_exported(registry: Registry, tmp_path: Path, name: str) -> None:
    format_, size = HARD[name]
    model = open_model(registry, f"timm/{name}", BuildArgs(img_size=size))
    made = export_model(registry, model, [registry.find(ExportFormat, format_)], tmp_path / "x", tmp_path)
    assert made.manifest.verdict == "pass"
    assert made.certificate.coverage is not None and made.certificate.coverage.enough
    assert max(each.ratio for each in made.comparisons[format_]) < 5  # 20 are allowed
