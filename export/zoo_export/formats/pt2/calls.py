"""What a node of a PT2 graph may call: operators of tensors, arithmetic of sizes, and three operators of graphs."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import torch

from zoo.contract.printable import quoted
from zoo_export.formats.operators import MAY_ALIAS, is_random, is_uninitialised, statistics, switch, why_refused, writes
from zoo_export.formats.pytorch_archive import Refused

SIZES = re.compile(
    r"_operator\.(eq|ne|le|ge|lt|gt|neg|pos|mul|add|sub|floordiv|mod|pow|truediv|and_|or_)|math\.trunc"
    r"|torch\.sym_(not|int|float|ite|max|min|sqrt)"
)
OF_SIZES = {"as_int", "as_float", "as_bool", "as_sym_int", "as_sym_float", "as_sym_bool", "as_sym_ints"}
AUTOCAST = "torch.ops.higher_order.wrap_with_autocast"
GRAPHS = {"torch.ops.higher_order.cond", "torch.ops.higher_order.wrap_with_set_grad_enabled", AUTOCAST}
DEVICES = ({"as_string": "cpu"}, {"as_string": "cuda"})
OPERATOR = re.compile(r"torch\.ops\.(\w+)\.(\w+)\.(\w+)")
OFF = ({"as_bool": False}, {"as_float": 0.0}, {"as_int": 0}, {"as_none": True})


class Calls:
    """Check the nodes of a graph in their order.

    Args:
        state: names of the values that stay from call to call: parameters, buffers and constants. No node may write
            into them, or the graph would answer differently each time.
    """

    def __init__(self, state: Iterable[str]) -> None:
        self._parts_of = {name: {name} for name in state}  # the state that a value may be a view of

    def check(self, node: dict[str, Any]) -> None:
        """Raise `Refused` where a node, whose form has been checked, may not be called."""
        target, inputs = node["target"], node["inputs"]
        if SIZES.fullmatch(target):
            if any(kind not in OF_SIZES for each in inputs for kind in each["arg"]):
                raise Refused(f"its graph calls {quoted(target)} with more than sizes")
        elif target == AUTOCAST and (not inputs or inputs[0]["arg"] not in DEVICES):
            raise Refused(f"its graph calls {quoted(target)} for a device that zoo does not know")
        elif target in GRAPHS:
            self._link(node, {name for each in inputs for name in tensors(each["arg"])})
        else:
            self._check_operator(node)

    def _check_operator(self, node: dict[str, Any]) -> None:
        target = node["target"]
        match = OPERATOR.fullmatch(target)
        try:
            assert match is not None
            schema = torch._C._get_schema(f"{match[1]}::{match[2]}", match[3] if match[3] != "default" else "")
        except (AssertionError, RuntimeError):
            raise Refused(f"its graph calls {quoted(target)}, which is not an operator of PyTorch") from None
        arguments = {argument.name: argument for argument in schema.arguments}
        values = {each["name"]: each["arg"] for each in node["inputs"]}
        why = why_refused(schema) or _why_not(schema, arguments, values)
        if why:
            raise Refused(f"its graph calls {quoted(target)}: {why}")
        if len(values) != len(node["inputs"]):
            raise Refused(f"its graph calls {quoted(target)} with an argument twice")
        if writes(schema):
            changed = {part for name in tensors(values.get(schema.arguments[0].name, {})) for part in self._parts(name)}
            if changed:
                raise Refused(
                    f"its graph writes into {quoted(min(changed))} with {quoted(target)}: it would keep a state"
                )
        aliased = {argument.name for argument in schema.arguments if argument.alias_info is not None}
        if schema.name.partition("::")[2] in MAY_ALIAS:
            aliased = set(values)
        self._link(node, {name for key in aliased for name in tensors(values.get(key, {}))})

    def _link(self, node: dict[str, Any], operands: set[str]) -> None:
        """Note that the results of a node may be views of those operands."""
        parts = {part for name in operands for part in self._parts(name)}
        if parts:
            self._parts_of.update({name: parts for output in node["outputs"] for name in tensors(output)})

    def _parts(self, name: str) -> set[str]:
        return self._parts_of.get(name, set())


def tensors(value: Any) -> Iterator[str]:
    """The names of the tensors in an argument."""
    if isinstance(value, dict):
        for kind, item in value.items():
            if kind == "as_tensor":
                yield item["name"]
            elif kind in ("as_tensors", "as_nested_tensors"):
                yield from _names(item)
            elif kind in ("as_optional_tensors", "as_optional_tensor"):
                yield from (name for each in (item if isinstance(item, list) else [item]) for name in tensors(each))


def _names(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _names(item)
    else:
        yield value["name"]


def _why_not(schema: Any, arguments: dict[str, Any], values: dict[str, Any]) -> str:
    """Why an operator may not be called with those arguments; empty where it may."""
    for name, value in values.items():
        (kind,) = value
        if name not in arguments:
            return f"it has no argument {quoted(name)}"
        if kind == "as_graph" or (kind == "as_string" and "str" not in str(arguments[name].real_type)):
            return f"its argument {name} is of another kind"
    if is_uninitialised(schema):
        return "it returns uninitialised memory"
    kept = statistics(schema)
    if kept is not None and values.get(kept[0], OFF[3]) != OFF[3] and values.get(kept[1]) != OFF[0]:
        return "it keeps a state: it changes its running statistics"
    if is_random(schema):
        decides = switch(schema)
        value = values.get(decides.name, {}) if decides is not None else None
        if value is None or (value not in OFF and not (value == {} and not decides.default_value)):
            return "it draws random numbers"
    return ""
