"""Read the pickles of a TorchScript archive as a list of instructions, without running them.

PyTorch reads `data.pkl` and `constants.pkl` with an unpickler of its own in C++. It makes no Python objects, but it
makes objects of the classes that the archive defines and of classes that libraries register, and it believes the
lengths of storages and the strides of tensors: one that says too much reads memory behind the record.
"""

import math
import pickletools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from zoo.contract.printable import quoted
from zoo_export.formats.pytorch_archive import Refused

OF_CODE = re.compile(r"__torch__(\.\w+)* \w+")  # a class that the archive defines
REGISTERED = "__torch__.torch.classes."  # classes of libraries, in C++
# Storages by PyTorch's name, and the bytes of an item.
STORAGES = {
    "DoubleStorage": 8,
    "FloatStorage": 4,
    "HalfStorage": 2,
    "BFloat16Storage": 2,
    "LongStorage": 8,
    "IntStorage": 4,
    "ShortStorage": 2,
    "CharStorage": 1,
    "ByteStorage": 1,
    "BoolStorage": 1,
    "ComplexFloatStorage": 8,
    "ComplexDoubleStorage": 16,
}
FUNCTIONS = {
    "torch._utils _rebuild_tensor_v2",
    "collections OrderedDict",
    "torch device",
    "torch.jit._pickle build_intlist",
    "torch.jit._pickle build_doublelist",
    "torch.jit._pickle build_boollist",
    "torch.jit._pickle build_tensorlist",
    "torch.jit._pickle restore_type_tag",
}
KEY = re.compile(r"\w{1,40}")
LARGEST_SHARED = 2**28  # bytes of a tensor that is larger than its storage, as its elements share their memory
REBUILD = "torch._utils _rebuild_tensor_v2"
LITERALS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
NUMBERS = ("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT")
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
MARK = object()


@dataclass(frozen=True)
class Global:
    """A class or a function that a pickle names."""

    name: str


@dataclass(frozen=True)
class Storage:
    """A storage of `items`, each of `size` bytes."""

    items: int
    size: int


@dataclass
class Reader:
    """Follow the instructions of one pickle. A value that nothing depends on is `None`.

    Args:
        sizes: of the records with its storages, by their key.
    """

    sizes: Mapping[str, int]
    _stack: list[Any] = field(default_factory=list)
    _memo: dict[int, Any] = field(default_factory=dict)

    def check(self, content: bytes) -> None:
        """Raise `Refused` where a pickle names what is not admitted, or a tensor leaves its record.

        Raises:
            Refused: see above.
            ValueError, LookupError: it is no pickle.
        """
        for opcode, argument, _ in pickletools.genops(content):
            self._step(opcode.name, argument)

    def _step(self, name: str, argument: Any) -> None:
        stack = self._stack
        if name in LITERALS:
            stack.append(LITERALS[name])
        elif name in NUMBERS or name == "BINUNICODE":
            stack.append(argument)
        elif name in ("EMPTY_LIST", "EMPTY_DICT"):
            stack.append(None)
        elif name == "MARK":
            stack.append(MARK)
        elif name == "TUPLE":
            stack.append(self._pop_to_mark())
        elif name in TUPLES:
            stack[-TUPLES[name] :] = [tuple(stack[-TUPLES[name] :])]
        elif name in ("APPENDS", "SETITEMS"):
            self._pop_to_mark()
        elif name in ("APPEND", "BUILD"):
            stack.pop()
        elif name == "SETITEM":
            stack[-2:] = []
        elif name in ("BINPUT", "LONG_BINPUT"):
            self._memo[argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(self._memo[argument])
        elif name == "GLOBAL":
            stack.append(_admitted(argument))
        elif name == "BINPERSID":
            stack.append(self._storage(stack.pop()))
        elif name in ("REDUCE", "NEWOBJ"):
            arguments, called = stack.pop(), stack.pop()
            if not isinstance(called, Global):
                raise Refused("its pickle calls what is not a name")
            if called.name == REBUILD:
                _check_tensor(arguments)
            stack.append(None)
        elif name not in ("PROTO", "STOP"):
            raise Refused(f"its pickle holds the instruction {name}, which PyTorch does not write")

    def _pop_to_mark(self) -> tuple[Any, ...]:
        items = []
        while (item := self._stack.pop()) is not MARK:
            items.append(item)
        return tuple(reversed(items))

    def _storage(self, reference: Any) -> Storage:
        match reference:
            case ("storage", Global(name), str(key), str(), int(items)) if type(items) is int and KEY.fullmatch(key):
                size = STORAGES.get(name.removeprefix("torch "), 0)
                if size and 0 <= items * size <= self.sizes.get(key, 0 if items == 0 else -1):
                    return Storage(items, size)
        raise Refused("its pickle names a storage that is larger than its record, or of another form")


def _admitted(name: str) -> Global:
    storage = name.startswith("torch ") and name.removeprefix("torch ") in STORAGES
    of_code = OF_CODE.fullmatch(name) and not name.replace(" ", ".").startswith(REGISTERED)
    if not (storage or of_code or name in FUNCTIONS):
        raise Refused(f"its pickle names {quoted(name)}, which could run code")
    return Global(name)


def _check_tensor(arguments: Any) -> None:
    match arguments:
        case (Storage(items, item), int(offset), tuple(sizes), tuple(strides), *_) if len(sizes) == len(strides):
            lengths = (offset, *sizes, *strides)
            if all(type(length) is int and 0 <= length < 2**62 for length in lengths):
                last = offset + sum((n - 1) * stride for n, stride in zip(sizes, strides, strict=True))
                inside = 0 in sizes or last < items
                if inside and math.prod(sizes) * item <= max(items * item, LARGEST_SHARED):
                    return
    raise Refused("its pickle holds a tensor that does not fit into its storage")
