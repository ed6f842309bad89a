"""ONNX: lowered from the shared capture, freed of local paths, carrying labels and preprocessing."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir
import onnxruntime
import torch

from zoo.errors import ExportError
from zoo_export.capture import BATCH, INPUT, OUTPUT, Capture, first_line, quiet

OPSET = 18
PRIVATE = ("pkg.torch.onnx.stack_trace",)  # holds the paths of the machine that exported
PROTOBUF_LIMIT = 2**31 - 2**24  # bytes; a little is left for the graph itself


def export(capture: Capture, path: Path) -> None:
    """Write `capture` to `path`: opset 18, one file, its batch dynamic. Past 2 GB the tensors go to `path.data`.

    Raises:
        ExportError: PyTorch cannot lower the model to ONNX; the reason is its own.
    """
    try:
        with quiet():
            program = torch.onnx.export(
                capture.program,
                dynamo=True,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=[OUTPUT],
                optimize=True,
                verbose=False,
            )
    except ExportError:
        raise
    except Exception as error:
        raise ExportError(
            f"{capture.name} could not be lowered to ONNX: {first_line(error)}",
            "Leave ONNX out with --format, or change the model to use operators that ONNX has.",
        ) from error
    assert program is not None  # only without dynamo=True
    model = program.model
    _name_batch(model)
    _remove_private(model)
    model.metadata_props.update(_metadata(capture))
    large = sum(value.const_value.nbytes for value in model.graph.initializers.values() if value.const_value)
    onnx_ir.save(model, path, external_data=f"{path.name}.data" if large > PROTOBUF_LIMIT else None)


def runner(path: Path) -> Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]:
    """Load an ONNX file into onnxruntime, on the CPU with all its optimizations.

    Raises:
        ExportError: onnxruntime does not load it.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ExportError(f"onnxruntime does not load {path.name}: {first_line(error)}", "Export it again.") from error

    def run(images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        (logits,) = session.run([OUTPUT], {INPUT: images})
        return np.asarray(logits)

    return run


def _name_batch(model: onnx_ir.Model) -> None:
    shape = model.graph.inputs[0].shape
    assert shape is not None  # the capture's input has one
    traced = str(shape[0])
    for value in _values(model.graph):
        if value.shape is not None:
            dims = [BATCH if str(dim) == traced else dim for dim in value.shape]
            value.shape = onnx_ir.Shape(dims)


def _values(graph: onnx_ir.Graph) -> list[Any]:
    return [*graph.inputs, *(output for node in graph.all_nodes() for output in node.outputs)]


def _remove_private(model: onnx_ir.Model) -> None:
    for node in model.graph.all_nodes():
        for key in PRIVATE:
            node.metadata_props.pop(key, None)


def _metadata(capture: Capture) -> dict[str, str]:
    card = capture.card
    return {
        "zoo.name": capture.name,
        "zoo.labels": json.dumps(card.classes, ensure_ascii=False),
        "zoo.preprocess": json.dumps(card.preprocess.to_dict(), sort_keys=True),
    }
