"""ONNX files, which keep their tensors in a second file where Protocol Buffers' limit of 2 GB would be exceeded."""

from pathlib import Path

import onnx_ir

from zoo_export.capture import INPUT, OUTPUT

PROTOBUF_LIMIT = 2**31 - 2**24  # bytes; a little is left for the graph itself


def save(model: onnx_ir.Model, path: Path) -> None:
    """Write `model` to `path`, and to `path.data` beside it the tensors of one that is too large."""
    large = sum(value.const_value.nbytes for value in model.graph.initializers.values() if value.const_value)
    onnx_ir.save(model, path, external_data=f"{path.name}.data" if large > PROTOBUF_LIMIT else None)


def load(path: Path) -> onnx_ir.Model:
    """The model, its input and output by zoo's names, all of its tensors in memory."""
    model = onnx_ir.external_data.load_to_model(onnx_ir.load(path))  # copies of it are written to other folders
    model.graph.inputs[0].name, model.graph.outputs[0].name = INPUT, OUTPUT
    return model
