"""A copy of an ONNX file in which some of its tensors have other values."""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import numpy_helper

from zoo.contract.exporting.artifact import Array, Paths
from zoo_export.formats.onnx.file import PROTOBUF_LIMIT
from zoo_export.formats.onnx.gate.check import read_model
from zoo_export.formats.onnx.structure import load_tensors

Key = tuple[tuple[int, ...], bytes]


def replace(paths: Paths, to: Paths, values: Sequence[tuple[Array, Array]]) -> list[int]:
    """Write to `to` the file at `paths`, with the second array of a pair wherever a tensor equals the first.

    Initializers and constants of the main graph are compared, float32, as they are or transposed.

    Returns:
        How many tensors were replaced for each pair.

    Raises:
        ExportError: the file cannot be read.
        ValueError: its tensors are in another file than that of the artifact.
    """
    model = read_model(paths.main)
    load_tensors(model, paths)
    counts = [0] * len(values)
    by_key: dict[Key, tuple[int, Array]] = {}
    for index, (old, new) in reversed(list(enumerate(values))):
        if old.ndim == 2:
            by_key[_key(old.T)] = index, new.T
    by_key |= {_key(old): (index, new) for index, (old, new) in enumerate(values)}
    for tensor in _tensors(model.graph):
        match = by_key.get(_key(numpy_helper.to_array(tensor)))
        if match is not None:
            index, new = match
            counts[index] += 1
            tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(new), tensor.name))
    large = model.ByteSize() > PROTOBUF_LIMIT
    onnx.save(model, to.main, save_as_external_data=large, location=to["tensors"].name if large else None)
    return counts


def _tensors(graph: onnx.GraphProto) -> list[onnx.TensorProto]:
    constants = [
        attribute.t
        for node in graph.node
        if node.op_type == "Constant"
        for attribute in node.attribute
        if attribute.name == "value"
    ]
    every = [*graph.initializer, *constants]
    return [tensor for tensor in every if tensor.data_type == onnx.TensorProto.FLOAT]


def _key(array: Array) -> Key:
    return array.shape, array.tobytes()
