"""Check an ONNX file before onnxruntime loads it.

An ONNX file cannot hold code, but it can name files: external data lies at any path, a `com.microsoft.EPContext` node
loads what its attribute names, and a marker stands for an address in memory. It can also ask for more than it holds:
sparse tensors that unpack, tensors without data, functions that call each other until nothing is left.
"""

import math
from collections.abc import Iterator
from pathlib import Path

import onnx

from zoo.contract.errors import ExportError
from zoo.contract.exporting.artifact import Paths
from zoo.contract.printable import quoted
from zoo.files.regular import open_regular
from zoo_export.formats.onnx.gate.names import OWN, why_ambiguous
from zoo_export.formats.onnx.gate.text import field_that_is_not_text
from zoo_export.reasons import AGAIN

LARGEST = 2**31 - 1  # bytes: Protocol Buffers' own limit
# Domains besides `OWN` need a library that registers them, which zoo never loads.
DECLARED = OWN | {  # which onnxruntime declares in such a file whether a node uses them or not
    *("com.microsoft.experimental", "ai.onnx.training", "ai.onnx.preview.training", "org.pytorch.aten"),
}
LOADS_FILES = frozenset(("EPContext", "PyOp", "PythonOp", "TritonOp", "ATen"))  # and other programs
SETTINGS = "ort_config"  # a key of the metadata, which onnxruntime can read its settings from
DEEPEST, MOST_CALLS = 20, 1_000_000  # of graphs in each other; of nodes once functions are unfolded
DENSE_LIMIT = 2**28  # items of a sparse tensor


class _Refused(Exception):
    """Why a file is not loaded, as a clause."""


def read_model(path: Path) -> onnx.ModelProto:
    """Read the graph of an ONNX file, and the tensors that lie in it.

    Raises:
        ExportError: it cannot be read, is no regular file, is larger than Protocol Buffers allows, or is no ONNX file,
            or its text is not UTF-8.
    """
    try:
        with open_regular(path, LARGEST) as file:
            content = file.read()
    except OSError as error:
        raise ExportError(
            f"{path.name} cannot be read: {error.strerror or error}.",
            "Check that it is an ONNX file that you may read.",
        ) from None
    try:
        model: onnx.ModelProto = onnx.ModelProto.FromString(content)
    except MemoryError:
        raise
    except Exception:  # of Protocol Buffers, which has no base of its own
        model = onnx.ModelProto()
    if not model.HasField("graph"):
        what = "is not an ONNX file, or is truncated" if content else "is empty, and not an ONNX file"
        raise ExportError(f"{path.name} {what}.", AGAIN)
    field = field_that_is_not_text(model)
    if field is not None:
        raise ExportError(f"{path.name} is not a valid ONNX file: its field {field} is not UTF-8 text.", AGAIN)
    return model


def check_file(paths: Paths) -> None:
    """Check the graph and the tensors of an ONNX file, without loading the tensors of a second file.

    Raises:
        ExportError: it is no ONNX file, or it asks for more than its own files and onnxruntime's operators.
    """
    name = paths.main.name
    try:
        _check(read_model(paths.main), paths)
    except _Refused as error:
        raise ExportError(f"onnxruntime does not load {name}: {error}.", AGAIN) from None


def _check(model: onnx.ModelProto, paths: Paths) -> None:
    if SETTINGS in {entry.key for entry in model.metadata_props}:
        raise _Refused(f"it holds settings of onnxruntime, as {SETTINGS}")
    ambiguous = why_ambiguous(model)
    if ambiguous:
        raise _Refused(ambiguous)
    second = paths.files.get("tensors")
    room = paths.main.stat().st_size
    if second is not None and second.is_symlink():
        raise _Refused(f"{second.name} is a symbolic link")
    if second is not None and second.is_file():
        room += second.stat().st_size
    functions = {(each.domain, each.name): each for each in model.functions}
    for domain in {each.domain for each in model.opset_import} - DECLARED - {domain for domain, _ in functions}:
        raise _Refused(f"it needs operators of {quoted(domain)}, which onnxruntime does not have")
    for node in _nodes_of(model):
        if (node.domain, node.op_type) in functions:
            continue
        if node.domain not in OWN or node.op_type in LOADS_FILES:
            operator = f"{node.domain or 'ai.onnx'}.{node.op_type}"
            raise _Refused(f"its graph calls {quoted(operator)}, which zoo does not admit")
    for tensor in _tensors_of(model):
        _check_tensor(tensor, second, room)
    for sparse in _sparse_of(model):
        if math.prod(sparse.dims) > DENSE_LIMIT or any(length < 0 for length in sparse.dims):
            raise _Refused(f"its sparse tensor {quoted(sparse.values.name)} has {math.prod(sparse.dims):,} items")
    _check_calls(model, functions)


def _check_tensor(tensor: onnx.TensorProto, second: Path | None, room: int) -> None:
    items = math.prod(tensor.dims)
    if items > 2 * room or any(length < 0 for length in tensor.dims):  # the smallest item has half a byte
        raise _Refused(f"its tensor {quoted(tensor.name)} has {items:,} items, and its files {room:,} bytes")
    if not tensor.external_data and tensor.data_location != onnx.TensorProto.EXTERNAL:
        return
    stated = {entry.key: entry.value for entry in tensor.external_data}
    location = stated.get("location", "")
    if len(stated) != len(tensor.external_data) or second is None or location != second.name or not second.is_file():
        where = second.name if second is not None else "itself"
        raise _Refused(f"its tensor {quoted(tensor.name)} is in {quoted(location)}, not in {where}")
    start, length = (int(stated.get(key) or 0) for key in ("offset", "length"))
    if start < 0 or length < 0 or start + length > second.stat().st_size:
        raise _Refused(f"its tensor {quoted(tensor.name)} goes past the end of {second.name}")


def _check_calls(model: onnx.ModelProto, functions: dict[tuple[str, str], onnx.FunctionProto]) -> None:
    """Raise `_Refused` where functions call themselves, or unfold into too many nodes."""
    sizes: dict[tuple[str, str], int] = {}

    def size(key: tuple[str, str], above: tuple[tuple[str, str], ...]) -> int:
        if key in above or len(above) > DEEPEST:
            raise _Refused(f"its function {quoted(key[1])} calls itself, or functions are nested too deep")
        if key not in sizes:
            sizes[key] = count(_nodes(functions[key].node), (*above, key))
        return sizes[key]

    def count(nodes: Iterator[onnx.NodeProto], above: tuple[tuple[str, str], ...]) -> int:
        total = 0
        for node in nodes:
            key = (node.domain, node.op_type)
            total += size(key, above) if key in functions else 1
            if total > MOST_CALLS:
                raise _Refused(f"its graph unfolds into more than {MOST_CALLS:,} nodes")
        return total

    count(_nodes(model.graph.node), ())


def _nodes_of(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    yield from _nodes(model.graph.node)
    for function in model.functions:
        yield from _nodes(function.node)


def _nodes(nodes: object, depth: int = 0) -> Iterator[onnx.NodeProto]:
    """Nodes, and those of the graphs in their attributes."""
    if depth > DEEPEST:
        raise _Refused(f"its graphs are nested more than {DEEPEST} deep")
    for node in nodes:  # type: ignore[attr-defined]
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _nodes(graph.node, depth + 1)


def _graphs_of(model: onnx.ModelProto) -> Iterator[onnx.GraphProto]:
    yield model.graph
    for node in _nodes_of(model):
        for attribute in node.attribute:
            yield from (attribute.g, *attribute.graphs)


def _tensors_of(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    for graph in _graphs_of(model):
        yield from graph.initializer
    for node in _nodes_of(model):
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
    for sparse in _sparse_of(model):
        yield from (sparse.values, sparse.indices)


def _sparse_of(model: onnx.ModelProto) -> Iterator[onnx.SparseTensorProto]:
    for graph in _graphs_of(model):
        yield from graph.sparse_initializer
    for node in _nodes_of(model):
        for attribute in node.attribute:
            if attribute.HasField("sparse_tensor"):
                yield attribute.sparse_tensor
            yield from attribute.sparse_tensors
