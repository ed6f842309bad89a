"""How the graph of an ONNX file is built: a digest that renaming, reordering and dead nodes do not change.

The digest of a value is made from its operator, attributes and the digests of its operands; that of a graph from its
outputs. Nothing is run: Protocol Buffers reads the file, and NumPy its tensors.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import external_data_helper, numpy_helper

from zoo.contract.exporting.artifact import Paths
from zoo.contract.exporting.inspection import Structure
from zoo_export.formats.onnx.gate.check import read_model
from zoo_export.formats.onnx.gate.names import why_ambiguous


def _words(*lines: str) -> frozenset[str]:
    return frozenset(" ".join(lines).split())


RANDOM = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial"}
TRAINING = {"Dropout": 2, "BatchNormalization": None}  # the operand, or the attribute `training_mode`, that says so
CONDITIONAL = _words(
    "If Loop Scan Where Equal Greater GreaterOrEqual Less LessOrEqual And Or Xor Not IsNaN IsInf Sign TopK ArgMax",
    "ArgMin OneHot NonZero Compress Unique Mod Ceil Round BitShift BitwiseAnd BitwiseOr BitwiseXor BitwiseNot",
    "SequenceAt Optional OptionalHasElement OptionalGetElement CumSum ScatterND ScatterElements GatherND",
    "QuantizeLinear DynamicQuantizeLinear ThresholdedRelu Shrink Hardmax StringNormalizer",
    "Floor",
)
SAME_VALUES = {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Cast", "CastLike", "Transpose", "Slice", "Pad"}
CONTINUOUS = _words(  # of the values that they receive, and of ONNX Runtime's domains
    "Add Sub Mul Div Neg Reciprocal Sqrt Pow Exp Log Sin Cos Sinh Cosh Tanh Sigmoid Erf Abs Sum Mean Min Max Clip",
    "Relu LeakyRelu Elu Selu Celu Gelu Mish Swish HardSigmoid HardSwish Softplus Softsign Softmax LogSoftmax PRelu",
    "Conv ConvTranspose MatMul Gemm Einsum BatchNormalization LayerNormalization GroupNormalization",
    "InstanceNormalization RMSNormalization LpNormalization MeanVarianceNormalization LRN Dropout Attention",
    "ReduceSum ReduceMean ReduceMax ReduceMin ReduceL1 ReduceL2 ReduceSumSquare ReduceLogSum ReduceLogSumExp",
    "ReduceProd MaxPool AveragePool GlobalMaxPool GlobalAveragePool LpPool GlobalLpPool Transpose Flatten Concat",
    "Identity SpaceToDepth DepthToSpace CastLike Reshape Expand Squeeze Unsqueeze Split Slice Pad Tile Resize",
    "Upsample Gather GatherElements GatherND Cast Trilu",
    "FusedConv FusedGemm FusedMatMul FusedMatMulActivation TransposeMatMul FastGelu BiasGelu QuickGelu BiasSoftmax",
    "SkipLayerNormalization SimplifiedLayerNormalization SkipSimplifiedLayerNormalization MultiHeadAttention",
    "ReorderInput ReorderOutput NhwcMaxPool NhwcFusedConv",
)
DOMAINS = ("", "com.microsoft", "com.microsoft.nchwc")
PLACES = _words("Reshape Expand Squeeze Unsqueeze Split Slice Pad Tile Resize Upsample Gather GatherElements GatherND")
FLOATING = (1, 10, 11, 16)  # numbers of ONNX: float32, float16, float64, bfloat16
FLOATS = (np.dtype(np.float32), np.dtype(np.float16), np.dtype(np.float64))
TO_FLOAT = "Cast of a shape to float"
DEPTH = 8  # of graphs within graphs
MOST_NODES = 500_000  # functions that call functions may stand for more than a file holds


def structure(paths: Paths) -> Structure:
    """Read it, and the tensors, which may be in a second file.

    Raises:
        ValueError: graphs are nested too deeply, or a value is used that none makes.
        Exception: what onnx raises on a file that it cannot read.
    """
    model = read_model(paths.main)
    ambiguous = why_ambiguous(model)
    if ambiguous:
        raise ValueError(ambiguous)
    load_tensors(model, paths)
    reader = _Reader(_versions(model.opset_import))
    reader.functions = {(each.domain, each.name): each for each in model.functions}
    outputs = reader.read(model.graph, {}, 0)
    return Structure(
        graph=_sha(*(each[0] for each in outputs)),
        values=_sha(*(each[1] for each in outputs)),
        tensors=tuple(_tensors(outputs)),
        operators=dict(sorted(reader.operators.items())),
        random=tuple(dict.fromkeys(reader.random)),
        conditional=dict(sorted(reader.conditional.items())),
        input_readers=reader.input_readers,
    )


def load_tensors(model: onnx.ModelProto, paths: Paths) -> None:
    """Read the tensors of the second file into `model`; no other file may be named."""
    allowed = paths["tensors"].name
    for tensor in external_data_helper._get_all_tensors(model):
        if external_data_helper.uses_external_data(tensor):
            location = external_data_helper.ExternalDataInfo(tensor).location
            if location != allowed:
                raise ValueError(f"its tensors are in {location!r:.80}, not in {allowed}")
            external_data_helper.load_external_data_for_tensor(tensor, str(paths.main.parent))
            tensor.data_location = onnx.TensorProto.DEFAULT
            del tensor.external_data[:]


@dataclass(frozen=True)
class _Value:
    """What is known of a value: digests without and with the values of tensors, and where it is from."""

    graph: str
    values: str
    array: Any = None
    is_input: bool = False
    of_shape: bool = False
    of_images: bool = False
    operands: tuple["_Value", ...] = ()

    def __getitem__(self, index: int) -> str:
        return (self.graph, self.values)[index]


@dataclass
class _Reader:
    opsets: Mapping[str, int]
    functions: Mapping[tuple[str, str], onnx.FunctionProto] = field(default_factory=dict)
    operators: Counter[str] = field(default_factory=Counter)
    conditional: Counter[str] = field(default_factory=Counter)
    random: list[str] = field(default_factory=list)
    input_readers: int = 0
    nodes: int = 0

    def read(self, graph: onnx.GraphProto, outer: Mapping[str, _Value], depth: int) -> list[_Value]:
        """The values of a graph's outputs; `outer` are those of the graphs around it."""
        if depth > DEPTH:
            raise ValueError("its graphs are nested too deeply")
        known = dict(outer)
        known |= {each.name: self._tensor(numpy_helper.to_array(each)) for each in graph.initializer}
        known |= {
            each.values.name: _Value(_sha("sparse"), _sha("sparse", each.SerializeToString()))
            for each in graph.sparse_initializer
        }
        inputs = [each.name for each in graph.input if each.name not in known]
        for index, name in enumerate(inputs):
            known[name] = _Value(
                _sha("input", depth, index), _sha("input", depth, index), is_input=depth == 0, of_images=True
            )
        self._nodes(graph.node, known, depth)
        return [_need(known, each.name) for each in graph.output]

    def _nodes(self, nodes: Sequence[onnx.NodeProto], known: dict[str, _Value], depth: int) -> None:
        for node in nodes:
            self.nodes += 1
            if self.nodes > MOST_NODES:
                raise ValueError(f"it has more than {MOST_NODES:,} nodes")
            if node.domain == "ai.onnx":  # another name of ONNX's own
                node.domain = ""
            operands = [_need(known, name) if name else _Value("", "") for name in node.input]
            if node.op_type == "Constant" and not node.domain:
                known[node.output[0]] = self._tensor(_constant(node))
                continue
            if node.op_type == "Identity" and not node.domain:
                known[node.output[0]] = operands[0]
                continue
            function = self.functions.get((node.domain, node.op_type))
            if function is None:
                self._count(node, operands)
            attributes = [self._attribute(each, known, depth) for each in sorted(node.attribute, key=lambda a: a.name)]
            if function is not None:  # its body counts as written where it is called
                inner = dict(zip(function.input, operands, strict=False))
                if depth > DEPTH:
                    raise ValueError("its functions are nested too deeply")
                outer, self.opsets = self.opsets, _versions(function.opset_import)
                self._nodes(function.node, inner, depth + 1)
                self.opsets = outer
                for outer_name, name in zip(node.output, function.output, strict=False):
                    known[outer_name] = _need(inner, name)
                continue
            parts = len(node.output) if node.op_type == "Split" else 0  # which older versions split by
            head = (node.domain, node.op_type, self.opsets.get(node.domain), parts)
            inner_operands = (*operands, *(value for a in attributes for value in a[2]))
            for index, name in enumerate(node.output):
                known[name] = _Value(
                    _sha(*head, index, *(a[0] for a in attributes), *(each.graph for each in operands)),
                    _sha(*head, index, *(a[1] for a in attributes), *(each.values for each in operands)),
                    is_input=_passes_input(node, operands),
                    of_shape=node.op_type in ("Shape", "Size") or (bool(operands) and _all_shapes(operands)),
                    of_images=node.op_type not in ("Shape", "Size") and any(each.of_images for each in inner_operands),
                    operands=inner_operands,
                )

    def _count(self, node: onnx.NodeProto, operands: Sequence[_Value]) -> None:
        kind = node.op_type
        self.operators[kind] += 1
        if kind not in ("Shape", "Size") and not _passes_input(node, operands):
            self.input_readers += any(each.is_input for each in operands)
        if kind in RANDOM:
            self.random.append(kind)
        if kind in TRAINING and _in_training(node, operands):
            self.random.append(f"{kind} in training mode")
        if (kind in CONDITIONAL and not node.domain) or _chooses(node, operands):
            self.conditional[kind] += 1
        if kind == "Cast" and _all_shapes(operands) and _attribute(node, "to") in FLOATING:
            self.conditional[TO_FLOAT] += 1

    def _tensor(self, array: np.ndarray[Any, Any]) -> _Value:
        form = ("tensor", str(array.dtype), *array.shape)
        if array.dtype.kind in "iub" and array.size <= 16:  # sizes and axes are part of the graph
            form = (*form, array.tobytes())
        return _Value(_sha(*form), _sha("tensor", str(array.dtype), *array.shape, array.tobytes()), array)

    def _attribute(
        self, attribute: onnx.AttributeProto, known: Mapping[str, _Value], depth: int
    ) -> tuple[str, str, list[_Value]]:
        """The digests of an attribute without and with the values of tensors, and what graphs in it give."""
        graphs = [attribute.g, *attribute.graphs] if attribute.HasField("g") else list(attribute.graphs)
        if graphs:
            values = [value for each in graphs for value in self.read(each, known, depth + 1)]
            digests = [_sha(attribute.name, *(value[index] for value in values)) for index in (0, 1)]
            return digests[0], digests[1], values
        plain = onnx.AttributeProto()
        plain.CopyFrom(attribute)
        plain.doc_string = ""
        digest = _sha(plain.SerializeToString(deterministic=True))
        return digest, digest, []


def _tensors(outputs: Sequence[_Value]) -> Iterator[np.ndarray[Any, Any]]:
    """The tensors that outputs are computed from, each once, in the order of operands."""
    seen, left = set[int](), list(reversed(outputs))
    while left:
        value = left.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if value.array is not None:
            yield value.array
        left.extend(reversed(value.operands))


def _versions(opsets: Iterable[onnx.OperatorSetIdProto]) -> dict[str, int]:
    """The version of each domain's operators."""
    return {"" if each.domain == "ai.onnx" else each.domain: each.version for each in opsets}


def _need(known: Mapping[str, _Value], name: str) -> _Value:
    if name not in known:
        raise ValueError(f"nothing makes the value {name!r:.80}")
    return known[name]


def _passes_input(node: onnx.NodeProto, operands: Sequence[_Value]) -> bool:
    """Whether it gives on the input, whole or in part, so that whatever reads its output reads the input."""
    return node.op_type in SAME_VALUES and not node.domain and bool(operands) and operands[0].is_input


def _all_shapes(operands: Sequence[_Value]) -> bool:
    """Whether all operands are from shapes or constants, and one is from a shape."""
    return any(each.of_shape for each in operands) and all(
        each.of_shape or each.array is not None or not each.graph for each in operands
    )


def _chooses(node: onnx.NodeProto, operands: Sequence[_Value]) -> bool:
    """Whether it may make the answer depend on the images in steps: it is not known to be continuous in them."""
    kind = node.op_type
    if not any(each.of_images for each in operands) or kind in ("Shape", "Size"):
        return False
    if kind in PLACES and (
        not operands[0].of_images or any(each.of_images for each in operands[1 : 2 if kind == "Pad" else None])
    ):
        return True
    if kind == "Cast" and _attribute(node, "to") not in FLOATING:
        return True
    if kind == "CastLike" and not (operands[1].of_images or getattr(operands[1].array, "dtype", None) in FLOATS):
        return True
    if kind == "MaxPool" and len(node.output) > 1 and node.output[1]:  # the places of the largest values
        return True
    return node.domain not in DOMAINS or kind not in CONTINUOUS


def _in_training(node: onnx.NodeProto, operands: Sequence[_Value]) -> bool:
    place = TRAINING[node.op_type]
    if place is None:
        return bool(_attribute(node, "training_mode"))
    if len(operands) <= place or not operands[place].graph:
        return False
    array = operands[place].array
    return array is None or bool(np.any(array))


def _attribute(node: onnx.NodeProto, name: str) -> Any:
    return next((onnx.helper.get_attribute_value(each) for each in node.attribute if each.name == name), None)


def _constant(node: onnx.NodeProto) -> np.ndarray[Any, Any]:
    (attribute,) = node.attribute
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    if isinstance(value, onnx.SparseTensorProto):
        return np.frombuffer(value.SerializeToString(deterministic=True), np.uint8)
    dtype = {"value_float": np.float32, "value_floats": np.float32, "value_int": np.int64, "value_ints": np.int64}
    return np.asarray(value, dtype.get(attribute.name))


def _sha(*parts: object) -> str:
    sha = hashlib.sha256()
    for part in parts:
        content = part if isinstance(part, bytes) else repr(part).encode()
        sha.update(len(content).to_bytes(8, "little") + content)
    return sha.hexdigest()
