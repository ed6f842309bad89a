"""What an ONNX file says of itself: labels and preprocessing in its metadata, inputs and outputs of its graph."""

from collections.abc import Sequence
from typing import Any

import onnx

from zoo.contract.evidence import TensorSpec
from zoo.contract.exporting.artifact import Paths
from zoo.contract.exporting.inspection import Claims
from zoo.contract.reading import parse_json
from zoo_export.formats.onnx.gate import read_model
from zoo_export.formats.onnx.keys import LABELS, PREPROCESS


def claims(paths: Paths) -> Claims:
    """Read them; no node is run, and no other file is opened.

    Raises:
        ValueError: it is no ONNX file, or its metadata is malformed.
    """
    try:
        model = read_model(paths.main)
    except Exception as error:  # of Protocol Buffers, which has no base of its own
        raise ValueError(f"it is not an ONNX file ({type(error).__name__})") from error
    keys = [entry.key for entry in model.metadata_props]
    twice = [key for key in (LABELS, PREPROCESS) if keys.count(key) > 1]
    if twice:
        raise ValueError(f"{twice[0]} is there twice")
    stated = {entry.key: entry.value for entry in model.metadata_props}
    labels, preprocess = (_json(stated, key) for key in (LABELS, PREPROCESS))
    if labels is not None and not (isinstance(labels, list) and all(isinstance(label, str) for label in labels)):
        raise ValueError(f"{LABELS} is not a list of names")
    if preprocess is not None and not isinstance(preprocess, dict):
        raise ValueError(f"{PREPROCESS} is not an object")
    tensors = {each.name for each in model.graph.initializer}  # which older files list as inputs too
    return Claims(
        inputs=_tensors([each for each in model.graph.input if each.name not in tensors]),
        outputs=_tensors(model.graph.output),
        labels=None if labels is None else tuple(labels),
        preprocess=preprocess,
    )


def _json(stated: dict[str, str], key: str) -> Any:
    try:
        return parse_json(stated[key].encode()) if key in stated else None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{key} is not JSON ({error})") from None


def _tensors(values: Sequence[onnx.ValueInfoProto]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(value.name, _dtype(value), _shape(value)) for value in values)


def _dtype(value: onnx.ValueInfoProto) -> str:
    kind = value.type.tensor_type.elem_type
    try:
        return str(onnx.helper.tensor_dtype_to_np_dtype(kind).name)
    except KeyError:
        return f"type {kind}"


def _shape(value: onnx.ValueInfoProto) -> tuple[int | str, ...]:
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return ()
    return tuple(
        dim.dim_value if dim.WhichOneof("value") == "dim_value" else dim.dim_param or "any" for dim in tensor.shape.dim
    )
