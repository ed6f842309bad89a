"""The form of `models/model.json` in a PT2 archive: a graph of operators from one tensor to one tensor.

What PyTorch's loader does with it, and so what is checked here. It
- reads the treespecs `in_spec` and `out_spec` with a hook that imports modules: only those of one tensor to one pass;
- reads `expr_str` with `eval`: see `expressions`;
- looks up `target` with `getattr` from `torch`, `math` and `operator`, then calls what it finds: see `operators`;
- writes names of nodes, arguments and attributes into Python source, which it runs: all are identifiers here;
- sets attributes by dotted names of parameters, buffers and modules: none is one that modules have anyway;
- adds up a counter to the largest number in the names of `range_constraints`: they have six digits at most;
- looks up Python objects by `source_fn_stack`, and prints `stack_trace`: left out, like the rest of a node's metadata
  apart from the names of its modules;
- runs `guards_code`, unpickles `as_custom_obj` and `as_operator`, and runs what `verifiers` name: none is admitted.
"""

import keyword
import re
from typing import Any

from torch.fx import GraphModule

from zoo.contract.printable import quoted
from zoo_export.formats.pt2.calls import Calls, tensors
from zoo_export.formats.pt2.expressions import expression
from zoo_export.formats.pt2.form import boolean, exactly, integer, many, mapping, maybe, one_of, parse, real, record
from zoo_export.formats.pytorch_archive import Refused

LONGEST_NAME, LONGEST_TEXT, DEEPEST = 1_000, 100_000, 20
IN_SPEC = (
    '[1, {"type": "builtins.tuple", "context": "null", "children_spec": [{"type": "builtins.tuple", "context": "null", '
    '"children_spec": [{"type": null, "context": null, "children_spec": []}]}, {"type": "builtins.dict", "context": '
    '"[]", "children_spec": []}]}]'
)
OUT_SPEC = '[1, {"type": null, "context": null, "children_spec": []}]'
SYMBOL = re.compile(r"[suf]\d{1,6}")
KEPT = ("nn_module_stack", "torch_fn")  # of a node's metadata


def checked_program(content: bytes) -> Any:
    """The program of an archive, without what does not decide what it computes.

    Raises:
        Refused: it is not a graph from one tensor to one tensor, or asks for more than tensors and operators.
        ValueError: it is no JSON.
    """
    program = PROGRAM(parse(content))
    graph, signature = program["graph_module"]["graph"], program["graph_module"]["signature"]
    kinds = [next(iter(spec)) for spec in signature["input_specs"]]
    if kinds.count("user_input") != 1 or len(signature["output_specs"]) != 1 or len(kinds) != len(graph["inputs"]):
        raise Refused("its graph does not take one tensor and return one tensor")
    names = [name for value in graph["inputs"] for name in tensors(value)]
    _check_calls(graph, [name for name, kind in zip(names, kinds, strict=True) if kind != "user_input"], 0)
    return program


def _check_calls(graph: Any, state: list[str], depth: int) -> None:
    if depth > DEEPEST:
        raise Refused(f"its graphs are nested more than {DEEPEST} deep")
    calls = Calls(state)
    for node in graph["nodes"]:
        for each in node["inputs"]:
            if "as_graph" in each["arg"]:
                inner = each["arg"]["as_graph"]["graph"]
                # It receives values of the outer graph in an order of its own: none of them may be written into.
                _check_calls(inner, [name for value in inner["inputs"] for name in tensors(value)], depth + 1)
        calls.check(node)


def identifier(value: Any) -> Any:
    """A name that can stand in Python source."""
    fits = isinstance(value, str) and value.isidentifier() and not keyword.iskeyword(value)
    if not fits or len(value) > LONGEST_NAME or value.startswith("__"):
        raise Refused(f"its graph has the name {quoted(value)}, which could run code")
    return value


def attribute(value: Any) -> Any:
    """The dotted name of a parameter, a buffer or a module, which is set as an attribute."""
    parts = value.split(".") if isinstance(value, str) and len(value) <= LONGEST_NAME else [""]
    for part in parts:
        if not part.isprintable() or set(part) & set("\"'\\{}") or not part or hasattr(GraphModule, part):
            raise Refused(f"it has a tensor or module of the name {quoted(value)}, which could run code")
    return value


def _module(value: Any) -> Any:
    return value if value == "" else attribute(value)  # the root has an empty name


def _text(value: Any) -> Any:
    if not isinstance(value, str) or len(value) > LONGEST_TEXT or not value.isprintable():
        raise Refused(f"its graph holds the text {quoted(value)}")
    return value


def _symbol(value: Any) -> Any:
    if not isinstance(value, str) or not SYMBOL.fullmatch(value):
        raise Refused(f"its graph has the size {quoted(value)}, which is not a symbol")
    return value


def _treespec(expected: str) -> Any:
    def check(value: Any) -> str:
        if not isinstance(value, str) or len(value) > LONGEST_TEXT or parse(value.encode()) != parse(expected.encode()):
            raise Refused(
                f"it takes or returns more than one tensor, or holds a treespec that could run code: {quoted(value)}"
            )
        return expected

    return check


def _metadata(value: Any) -> Any:
    if not isinstance(value, dict):
        raise Refused("the metadata of a node is malformed")
    return {key: _text(value[key]) for key in KEPT if key in value}


def _guards(value: Any) -> Any:
    if value != []:
        raise Refused("it holds guards, which are code")
    return value


def _graph(value: Any) -> Any:
    return GRAPH(value)  # which refers to itself


TENSOR = record({"name": identifier})
HINT = one_of(as_int=integer(), as_bool=boolean, as_float=real)
SYMBOLIC = record({"expr_str": expression}, {"hint": maybe(HINT)})
SIZE = one_of(as_expr=SYMBOLIC, as_int=integer())
DEVICE = record({"type": exactly("cpu", "cuda", "meta")}, {"index": maybe(integer(0, 1000))})
TENSOR_META = record(
    {
        "dtype": integer(1, 100),
        "sizes": many(SIZE),
        "requires_grad": boolean,
        "device": DEVICE,
        "strides": many(SIZE),
        "storage_offset": SIZE,
        "layout": integer(0, 20),
    }
)
OPTIONAL_TENSOR = one_of(as_tensor=TENSOR, as_none=boolean)
SIZE_ARGUMENT = one_of(as_name=identifier, as_int=integer())
REAL_ARGUMENT = one_of(as_name=identifier, as_float=real)
BOOL_ARGUMENT = one_of(as_name=identifier, as_bool=boolean)
ARGUMENT = one_of(
    as_none=boolean,
    as_tensor=TENSOR,
    as_tensors=many(TENSOR),
    as_int=integer(),
    as_ints=many(integer()),
    as_float=real,
    as_floats=many(real),
    as_string=_text,
    as_sym_int=SIZE_ARGUMENT,
    as_sym_ints=many(SIZE_ARGUMENT),
    as_scalar_type=integer(1, 100),
    as_memory_format=integer(0, 20),
    as_layout=integer(0, 20),
    as_device=DEVICE,
    as_bool=boolean,
    as_bools=many(boolean),
    as_sym_bool=BOOL_ARGUMENT,
    as_sym_bools=many(BOOL_ARGUMENT),
    as_sym_float=REAL_ARGUMENT,
    as_sym_floats=many(REAL_ARGUMENT),
    as_optional_tensor=OPTIONAL_TENSOR,
    as_optional_tensors=many(OPTIONAL_TENSOR),
    as_nested_tensors=many(many(TENSOR)),
    as_complex=record({"real": real, "imag": real}),
    as_int_lists=many(many(integer())),
    as_float_lists=many(many(real)),
    as_graph=record({"name": identifier, "graph": _graph}),
)
NODE = record(
    {
        "target": _text,
        "inputs": many(record({"name": maybe(_text), "arg": ARGUMENT}, {"kind": maybe(integer(0, 2))})),
        "outputs": many(ARGUMENT),
        "metadata": _metadata,
    },
    {"is_hop_single_tensor_return": maybe(boolean), "name": maybe(identifier)},
)
ONE_TENSOR = one_of(as_tensor=TENSOR)
GRAPH = record(
    {
        "inputs": many(ONE_TENSOR),
        "outputs": many(ARGUMENT),
        "nodes": many(NODE),
        "tensor_values": mapping(identifier, TENSOR_META),
        "sym_int_values": mapping(identifier, SIZE),
        "sym_bool_values": mapping(identifier, one_of(as_expr=SYMBOLIC, as_bool=boolean)),
    },
    {
        "is_single_tensor_return": boolean,
        "custom_obj_values": exactly({}),
        "sym_float_values": mapping(identifier, one_of(as_expr=SYMBOLIC, as_float=real)),
    },
)
SIGNATURE = record(
    {
        "input_specs": many(
            one_of(
                user_input=record({"arg": ONE_TENSOR}),
                parameter=record({"arg": TENSOR, "parameter_name": attribute}),
                buffer=record({"arg": TENSOR, "buffer_name": attribute, "persistent": boolean}),
                tensor_constant=record({"arg": TENSOR, "tensor_constant_name": attribute}),
            )
        ),
        "output_specs": many(one_of(user_output=record({"arg": ONE_TENSOR}))),
    }
)
CALL_SIGNATURE = record(
    {
        "inputs": exactly([]),
        "outputs": exactly([]),
        "in_spec": _treespec(IN_SPEC),
        "out_spec": _treespec(OUT_SPEC),
    },
    {"forward_arg_names": maybe(many(identifier))},
)
GRAPH_MODULE = record(
    {
        "graph": GRAPH,
        "signature": SIGNATURE,
        "module_call_graph": many(record({"fqn": _module}, {"signature": maybe(CALL_SIGNATURE)})),
    },
    {"metadata": exactly({}), "treespec_namedtuple_fields": exactly({})},
)
PROGRAM = record(
    {
        "graph_module": GRAPH_MODULE,
        "opset_version": mapping(_text, integer(0, 1000)),
        "range_constraints": mapping(_symbol, record({"min_val": maybe(integer()), "max_val": maybe(integer())})),
        "schema_version": record({"major": integer(0, 1000), "minor": integer(0, 1000)}),
    },
    {
        "verifiers": many(exactly("TRAINING", "ATEN", "")),
        "torch_version": _text,
        "guards_code": _guards,
    },
)
