"""Files that other tools write, and that compute what the model computes: no check may refuse them."""

import warnings
from collections.abc import Callable
from pathlib import Path

import onnx
import onnx_ir
import onnxruntime
import torch
from mutation import same
from onnx import version_converter
from torch import nn

from zoo_export.capture import quiet


def _changed(change: Callable[[onnx_ir.Model], onnx_ir.Model]) -> Callable[[onnx.ModelProto, nn.Module, Path], None]:
    def write(model: onnx.ModelProto, module: nn.Module, path: Path) -> None:
        onnx.save(onnx_ir.to_proto(change(onnx_ir.from_proto(model))), path)

    return write


def as_exported(model: onnx.ModelProto, module: nn.Module, path: Path) -> None:
    """The file itself."""
    onnx.save(model, path)


def optimised_by_onnxruntime(model: onnx.ModelProto, module: nn.Module, path: Path, level: str = "EXTENDED") -> None:
    """As onnxruntime stores it after its own optimisations."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, f"ORT_ENABLE_{level}")
    options.optimized_model_filepath = str(path)
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def optimised_for_this_machine(model: onnx.ModelProto, module: nn.Module, path: Path) -> None:
    """As onnxruntime stores it with all optimisations."""
    optimised_by_onnxruntime(model, module, path, "ALL")


def of_a_later_opset(model: onnx.ModelProto, module: nn.Module, path: Path) -> None:
    """Converted to opset 20 by onnx."""
    onnx.save(version_converter.convert_version(model, 20), path)


def of_the_older_exporter(model: onnx.ModelProto, module: nn.Module, path: Path) -> None:
    """By the exporter of PyTorch that traces TorchScript."""
    _older(module, path, {"pixels": {0: "n"}, "scores": {0: "n"}})


def of_a_fixed_batch(model: onnx.ModelProto, module: nn.Module, path: Path) -> None:
    """Likewise, for batches of three."""
    _older(module, path, {})


def without_metadata(model: onnx.ModelProto, module: nn.Module, path: Path) -> None:
    """Without labels and preprocessing, as tools leave them out."""
    del model.metadata_props[:]
    onnx.save(model, path)


def _older(module: nn.Module, path: Path, axes: dict[str, dict[int, str]]) -> None:
    names = {"input_names": ["pixels"], "output_names": ["scores"]}
    images = torch.randn(3, 1, 32, 32)
    with warnings.catch_warnings(), quiet():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (images,), str(path), dynamo=False, dynamic_axes=axes, **names)


HARMLESS: dict[str, Callable[[onnx.ModelProto, nn.Module, Path], None]] = {
    "as_exported": as_exported,
    "renamed": _changed(same.renamed),
    "reordered": _changed(same.reordered),
    "folded": _changed(same.folded),
    "slimmed_by_onnxslim": _changed(same.slimmed),
    "optimised_by_onnxscript": _changed(same.optimised),
    "optimised_by_onnxruntime": optimised_by_onnxruntime,
    "optimised_for_this_machine": optimised_for_this_machine,
    "of_a_later_opset": of_a_later_opset,
    "of_the_older_exporter": of_the_older_exporter,
    "of_a_fixed_batch": of_a_fixed_batch,
    "without_metadata": without_metadata,
}
