"""Count the operators of a TorchScript module on its graph, with submodules and functions inlined, after loading it."""

from collections import Counter
from typing import Any

import torch

from zoo.contract.exporting.artifact import Paths
from zoo.contract.exporting.inspection import Structure
from zoo_export.formats.continuous import COMPUTED, FIXED, SIZE, VALUE, chooses, level_of, passes_on, reads, rounds
from zoo_export.formats.operators import listed
from zoo_export.formats.torchscript.archive import load_module
from zoo_export.formats.torchscript.graph import frozen, schema_of

PASSED = listed(
    "ListConstruct ListUnpack TupleConstruct TupleUnpack TupleIndex TupleSlice NumToTensor annotate unchecked_cast "
    "unchecked_unwrap_optional ConstantChunk Constant GetAttr Uninitialized RaiseException DictConstruct"
)
OF_TENSOR = listed("dtype type ndim is_nested is_sparse is_quantized is_mkldnn is_meta layout")  # as on every image
APPEND = "aten::append"
SAME = {"floordiv": "floor_divide"}  # the names of one operator in scripts and traces
FLOATING = (5, 6, 7, 15)  # PyTorch's numbers of half, float, double and bfloat16


def counts(paths: Paths) -> Structure:
    """The operators alone; nothing of the graph is run.

    Raises:
        ExportError: the file may not be loaded.
    """
    reader = _Reader()
    graph = frozen(load_module(paths.main, torch.device("cpu")))
    inputs = list(graph.inputs())
    reader.levels = {value.debugName(): VALUE if place else FIXED for place, value in enumerate(inputs)}
    reader.parts = {value.debugName() for value in inputs[1:]}
    reader.read(graph)
    return Structure(
        graph="",
        operators=dict(sorted(reader.operators.items())),
        conditional=dict(sorted(reader.conditional.items())),
        input_readers=reader.input_readers,
    )


class _Reader:
    def __init__(self) -> None:
        self.operators, self.conditional = Counter[str](), Counter[str]()
        self.levels: dict[str, int] = {}
        self.parts = set[str]()  # names of the input and of what gives it on
        self.input_readers = 0

    def read(self, block: Any) -> None:
        for node in block.nodes():
            namespace, _, name = node.kind().partition("::")
            levels = [self._level(value) for value in node.inputs()]
            if name in ("If", "Loop"):
                level = self._blocks(node, name, levels)
            elif namespace == "prim":
                level = self._primitive(name, levels)
                if name == "ListConstruct" and any(use.user.kind() == APPEND for use in node.output().uses()):
                    level = VALUE  # from the start, as it may be read in a round before
            else:
                self.operators[name] += 1
                second = any(list(value.uses()) for value in list(node.outputs())[1:])
                rounding = rounds(name, _constants(node), FLOATING) or _is_cast_to_another(node, name, levels)
                if chooses(name, levels, rounding=rounding, second=second) and not _asserts(node):
                    self.conditional[SAME.get(name, name)] += 1
                level = level_of(name, levels)
            if name not in ("If", "Loop"):
                self._note_reader(node, namespace, name)
            for value in node.outputs():
                self.levels[value.debugName()] = level

    def _note_reader(self, node: Any, namespace: str, name: str) -> None:
        """Count a node that reads the input, whole or in part; lists and views of it only give it on."""
        operands = [value.debugName() in self.parts for value in node.inputs()]
        if (namespace == "prim" and name in PASSED and any(operands)) or (passes_on(name) and any(operands[:1])):
            self.parts.update(value.debugName() for value in node.outputs())
        elif namespace != "prim" and reads(name) and not _asserts(node):
            self.input_readers += any(operands)

    def _level(self, value: Any) -> int:
        return self.levels.get(value.debugName(), FIXED)

    def _primitive(self, name: str, levels: list[int]) -> int:
        if name in OF_TENSOR:
            return FIXED
        if name not in PASSED and max(levels, default=FIXED) != FIXED:
            self.conditional[name] += 1
            return SIZE
        return max(levels, default=FIXED)

    def _blocks(self, node: Any, name: str, levels: list[int]) -> int:
        """A branch, or a loop, which counts as a choice unless what decides is the same for all images."""
        blocks = list(node.blocks())
        decided = max(levels[:2] if name == "Loop" else levels, default=FIXED)
        if decided != FIXED and not (name == "If" and any(map(_raises, blocks))):
            self.conditional["branch" if name == "If" else "loop"] += 1
        result = max(levels, default=FIXED)
        for block in blocks:
            for value in block.inputs():
                self.levels[value.debugName()] = VALUE  # it may be carried from a round before
            if any(value.debugName() in self.parts for value in node.inputs()):
                self.parts.update(value.debugName() for value in block.inputs())
            self.read(block)
            result = max([result, *(self._level(value) for value in block.outputs())])
            if any(value.debugName() in self.parts for value in block.outputs()):
                self.parts.update(value.debugName() for value in node.outputs())
        return VALUE if name == "Loop" else result


def _raises(block: Any) -> bool:
    return any(node.kind() == "prim::RaiseException" for node in block.nodes())


def _asserts(node: Any) -> bool:
    """Whether its result decides nothing but whether an error is raised."""
    users = [use.user for value in node.outputs() for use in value.uses()]
    return bool(users) and all(
        (user.kind() == "prim::If" and any(map(_raises, user.blocks())))
        or (user.kind() in ("aten::__not__", "aten::Bool") and _asserts(user))
        for user in users
    )


def _constants(node: Any) -> dict[str, Any]:
    """The arguments by name; `COMPUTED` where one is no constant."""
    names = [argument.name for argument in schema_of(node.schema()).arguments]
    return {name: _constant(value) for name, value in zip(names, node.inputs(), strict=False)}


def _constant(value: Any) -> Any:
    return value.toIValue() if value.node().kind() == "prim::Constant" else COMPUTED


def _is_cast_to_another(node: Any, name: str, levels: list[int]) -> bool:
    """Whether it converts to the dtype of another tensor, which may hold integers."""
    second = list(node.inputs())[1:2]
    return name == "to" and levels[1:2] != [VALUE] and any(each.type().kind() == "TensorType" for each in second)
