"""A few of torchvision's classifiers through every format, judged in full; `benchmarks/catalogue.py` does them all."""

from pathlib import Path

import pytest

from zoo.contract.formats import ExportFormat
from zoo.models.load import BuildArgs, open_model
from zoo.registry.registry import Registry
from zoo_export.pipeline import export_model

FORMATS = ("onnx", "torchscript", "pt2")


@pytest.mark.parametrize("name", ["squeezenet1_1", "shufflenet_v2_x0_5", "mobilenet_v3_small", "regnet_x_400mf"])
def test_a_classifier_is_exported_in_every_format_and_proven(registry: Registry, tmp_path: Path, name: str) -> None:
    """Healthy artifacts are far below the tolerance, and nearly every parameter is covered."""
    model = open_model(registry, name, BuildArgs(img_size=64))
    entries = [registry.find(ExportFormat, each) for each in FORMATS]
    made = export_model(registry, model, entries, tmp_path / name, tmp_path)
    assert made.manifest.to_dict()["verdict"] == "pass"
    assert made.manifest.to_dict()["certificate"]["coverage"]["fraction"] >= 0.95
    for found in made.comparisons.values():
        assert {comparison.weights for comparison in found} == {"own_weights", "probe_weights"}
        assert max(comparison.ratio for comparison in found) < 5  # 20 are allowed
