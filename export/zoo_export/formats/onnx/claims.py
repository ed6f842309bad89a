"""What an ONNX file says of itself: labels and preprocessing in its metadata, inputs and outputs of its graph."""

from collections.abc import Sequence
from typing import Any

import onnx

from zoo.contract.evidence import TensorSpec
from zoo.contract.exporting.artifact import Paths
from zoo.contract.exporting.inspection import Claims
from zoo.contract.printable import quoted
from zoo.contract.reading import parse_json
from zoo_export.formats.onnx.gate.check import read_model
from zoo_export.formats.onnx.keys import CLAIMS, LABELS, OWN, PREPROCESS, twin_of


def claims(paths: Paths) -> Claims:
    """Read them; no node is run, and no other file is opened.

    Raises:
        ExportError: it cannot be read, or is no ONNX file.
        ValueError: its metadata is malformed, or has a key that a reader could take for one of zoo's.
    """
    model = read_model(paths.main)
    keys = [entry.key for entry in model.metadata_props]
    for key in keys:
        if key in OWN and keys.count(key) > 1:
            raise ValueError(f"{key} is there twice")
        if twin := twin_of(key):
            raise ValueError(f"it has {quoted(key)}, which looks like {twin}")
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
        missing=tuple(name for name, key in CLAIMS.items() if key not in stated),
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
