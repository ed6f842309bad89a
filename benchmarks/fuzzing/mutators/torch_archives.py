"""Changes to the records of `.pt2` and TorchScript archives, and of `.npz` files."""

import io
import json
import random
import re
import struct
from typing import Any

import numpy as np

from fuzzing.mutators import fields, raw
from fuzzing.mutators.archives import PICKLE
from fuzzing.mutators.values import CANARY, DEEP, extreme

PT2_NAMES = (
    *("model/data/sample_inputs/model.pt", "model/models/other.json", "model/data/aotinductor/model/x.so"),
    *("model/data/weights/weight_99", "model/extra/x", "model/.data/x", "model/byteorder", "data.pkl"),
)
SCRIPT_NAMES = (
    "model/code/__torch__/x.py",
    "model/data/9",
    "model/constants.pkl",
    "model/bytecode.pkl",
    "model/extra/x",
)
OPERATORS = (
    *("torch.ops.aten.from_file.default", "torch.ops.aten.add.Tensor", "torch.ops.aten.fill_.Scalar", "_operator.add"),
    *("torch.ops.aten.rand.default", "torch.ops.aten.item.default", "torch.ops.aten.sym_size.int", "math.trunc"),
    *("torch.ops.prim.device.default", f"{CANARY}.run", "torch.ops.higher_order.while_loop", "os.system"),
    *("torch.ops.aten.empty.memory_format", "torch.ops.aten.repeat.default", "torch.ops.aten.view.default"),
    *("torch.ops.aten.resize_.default", "torch.ops.profiler._record_function_enter_new.default", "math.sqrt"),
    *("torch.ops.aten._print.default", "torch.ops.aten.set_.source_Storage", "torch.ops.aten.as_strided.default"),
)
SPEC = '[1, {"type": "%s", "context": "%s", "children_spec": []}]'
SPECS = (
    *(SPEC % (CANARY, "x"), SPEC % ("builtins.list", f"{CANARY}:x"), SPEC % ("collections.namedtuple", "os.system")),
    *('[1, {"type": null, "context": null, "children_spec": []}]', "[9, {}]", "", "[]", "[1, [1]]", "null"),
    *('[1, {"type": "collections.defaultdict", "context": "[\\"zoofuzzcanary\\", \\"x\\"]", "children_spec": []}]',),
)
EXPRESSIONS = (f"__import__('{CANARY}')", "Symbol('s0')", "9**9**9**9", "Integer(10**10**8)", "s0", "(" * 5000, "1+1")
STATEMENTS = (
    *('print("\\x1b[31m")', "while True:\n      pass", "raise AssertionError", "_9 = torch.rand([2])", "return x"),
    *('_9 = torch.from_file("{outside}", True, 8, dtype=0)', "_9 = torch.zeros([99999, 99999])", "pass", "import os"),
    *("_9 = torch.add_(input, 1)", "_9 = ops.prim.device(input)", "_9 = torch.ones([-1])", "x : int = 'a'", "return 1"),
    *("_9 = __torch__.nothing.f(input)", "_9 = torch.save(input, 'x')", "_9 = uninitialized(int)", "_9 = input[9]"),
)
HEADERS = (  # of arrays: dtypes and shapes
    *("|O", "<f4", "<f8", ">f4", "<f2", "|S1", "<U9", "<c8", "<M8[s]", "|V8", "|b1", "<i8", "<f16"),
    *([["a", "<f4"]], "x", "", None, 0),
)
SHAPES = ((), (0,), (-1,), (1,), (2**40,), (2**62, 4), (1, 2, 3, 4, 5), (True,), ("a",), (2**31, 0), (1,) * 70, None, 5)


def change_pt2(outside: str) -> Any:
    """How the records of a `.pt2` archive are changed: JSON field by field, with names that mean something there."""

    def change(name: str, content: bytes, draw: random.Random) -> tuple[bytes, str] | None:
        if not name.endswith(".json"):
            return None
        data = json.loads(content)
        more: tuple[Any, ...] = ({"as_int": 2**40}, {"as_none": True}, {"as_expr": {"expr_str": "x"}}, "weight_0")
        if draw.random() < 0.45 and _set_somewhere(data, draw, outside):
            note = "an operator, a spec or an expression"
        else:
            note = "; ".join(fields.mutate(data, draw, outside, (*OPERATORS, *SPECS, *EXPRESSIONS, *more)))
        return fields.dump(data, draw).encode("utf-8", "surrogatepass"), note

    return change


def _set_somewhere(data: Any, draw: random.Random, outside: str) -> bool:
    """Set the text of one key that PyTorch's reader interprets."""
    places: list[tuple[Any, str, tuple[Any, ...]]] = []
    stack = [data]
    kinds: dict[str, tuple[Any, ...]] = {
        "target": OPERATORS,
        "in_spec": SPECS,
        "out_spec": SPECS,
        "expr_str": EXPRESSIONS,
        "as_string": (outside, "\x1b[31m", CANARY),
        "path_name": ("../x", outside, "weight_99", "/etc/passwd", DEEP),
        "use_pickle": (True, 1, "yes", None),
        "guards_code": ([f"__import__('{CANARY}')"], ["True"], "x", [[]]),
        "dtype": (0, 1, 99, -1, "x"),
        "as_int": (2**40, -1, 2**63 - 1, 0),
        "as_ints": ([2**40], [], [-1, -1], [0] * 99),
    }
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            places += [(value, key, kinds[key]) for key in value if key in kinds]
        stack += list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    if not places:
        return False
    container, key, values = draw.choice(places)
    container[key] = draw.choice(values)
    return True


def change_script(outside: str) -> Any:
    """How the records of a TorchScript archive are changed: its code line by line, its pickles text by text."""

    def change(name: str, content: bytes, draw: random.Random) -> tuple[bytes, str] | None:
        if name.endswith(".py"):
            return _code(content, draw, outside)
        if name.endswith(".pkl"):
            return _pickle(content, draw, outside)
        return None

    return change


def _code(content: bytes, draw: random.Random, outside: str) -> tuple[bytes, str]:
    lines = content.decode("utf-8", "replace").splitlines()
    at = draw.randrange(len(lines))
    indent = lines[at][: len(lines[at]) - len(lines[at].lstrip())]
    way = draw.randrange(8)
    if way == 0:
        del lines[at]
    elif way == 1:
        lines.insert(at, lines[draw.randrange(len(lines))])
    elif way == 2:
        lines[at] = re.sub(
            r"-?\d+(\.\d+)?", draw.choice(("0", "-1", "9223372036854775807", "99999999999", "1e308")), lines[at]
        )
    elif way == 3:
        lines[at] = re.sub(
            r"torch\.\w+", f"torch.{draw.choice(('from_file', 'rand', 'x', 'save', 'add', 'empty'))}", lines[at]
        )
    elif way == 4:
        lines[at] = re.sub(r"\w+", lambda match: draw.choice((match[0], match[0], "x", "self", "None")), lines[at])
    else:
        lines.insert(at, indent + draw.choice(STATEMENTS).replace("{outside}", outside))
    return "\n".join(
        lines
    ).encode() + b"\n", f"line {at}: {lines[min(at, len(lines) - 1)].strip()!r:.70}" if lines else ""


def _pickle(content: bytes, draw: random.Random, outside: str) -> tuple[bytes, str] | None:
    way = draw.random()
    if way < 0.15:
        return PICKLE, "another pickle"
    names = list(re.finditer(rb"[ -~]{3,}", content))
    if way < 0.4 or not names:
        return raw.damage(content, draw)
    match = draw.choice(names)
    new = draw.choice((b"os\nsystem\n", CANARY.encode(), outside.encode(), b"__torch__.x", b"a" * len(match[0]), b""))
    new = new[: len(match[0])].ljust(len(match[0]), b" ") if draw.random() < 0.6 else new
    return content[: match.start()] + new + content[match.end() :], f"{match[0]!r:.40} → {new!r:.40}"


def change_arrays(name: str, content: bytes, draw: random.Random) -> tuple[bytes, str] | None:
    """How the arrays of an `.npz` file are changed: dtype, shape, order, values."""
    array = np.load(io.BytesIO(content))
    way = draw.randrange(6)
    if way == 0:
        flat = array.reshape(-1).copy()
        flat[draw.randrange(flat.size)] = draw.choice((np.nan, np.inf, -np.inf, 1e30, 0.0))
        return _saved(flat.reshape(array.shape)), "another value"
    if way == 1:
        shapes = (array.shape[::-1], array.shape[1:], (1, *array.shape), (array.size,), (*array.shape, 1))
        shape = draw.choice(shapes)
        return _saved(np.resize(array, shape)), f"the shape {shape}"
    if way == 2:
        dtype = draw.choice((np.float16, np.float32, np.float64, np.int8, np.bool_, np.complex64, "<U4", ">f4", "S2"))
        return _saved(array.astype(dtype)), f"the dtype {dtype}"
    if way == 3:
        return _saved(array[: draw.choice((0, 1, len(array) - 1))]), "fewer"
    header = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape}
    key = draw.choice(list(header))
    header[key] = {"descr": draw.choice(HEADERS), "shape": draw.choice(SHAPES), "fortran_order": extreme(draw)}[key]
    if draw.random() < 0.2:
        header = draw.choice(({}, {**header, "more": 1}, {"descr": "|O"}))  # type: ignore[assignment]
    text = draw.choice((repr(header), repr(header), repr(header), f"__import__('{CANARY}')", "{" * 3000, "9" * 60_000))
    encoded = text.encode("utf-8", "surrogatepass")[:65_000] + b"\n"
    version = draw.choice((1, 1, 1, 2, 3, 9))
    length = struct.pack("<H" if version == 1 else "<I", len(encoded))
    return b"\x93NUMPY" + bytes((version, 0)) + length + encoded + array.tobytes(), f"the header {text!r:.70}"


def _saved(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
