"""How the graph of a PT2 archive is built: read from its JSON; nothing of it is loaded or run."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from zoo.contract.exporting.artifact import Array, Paths
from zoo.contract.exporting.inspection import Structure
from zoo_export.formats.continuous import COMPUTED, FIXED, SIZE, VALUE, chooses, level_of, passes_on, reads, rounds
from zoo_export.formats.pt2.archive import checked_archive
from zoo_export.formats.torch_operators import RANDOM, WITH_MODE

MODEL, DATA = "models/model.json", "data/"
FLOATING = (6, 7, 8, 13)  # the numbers of half, float, double and bfloat16 in such an archive
ASSERTS = ("_assert_scalar", "sym_constrain_range", "sym_constrain_range_for_size")


def structure(paths: Paths) -> Structure:
    """Read it through the reader that loads it.

    Raises:
        ExportError: it asks for more than tensors and operators.
        Exception: it is no such archive, or its JSON is malformed.
    """
    archive: Any = torch._C.PyTorchFileReader(checked_archive(paths.main))
    graph = json.loads(archive.get_record(MODEL))["graph_module"]
    data = {name: archive.get_record(name) for name in sorted(archive.get_all_records()) if name.startswith(DATA)}
    inputs = {spec["user_input"]["arg"]["as_tensor"]["name"] for spec in _input_specs(graph) if "user_input" in spec}
    reader = _Reader()
    reader.read(graph["graph"], inputs)
    return Structure(
        graph=_sha(_plain(graph)),
        values=_sha(_plain(graph), *(part for name, content in data.items() for part in (name, content))),
        tensors=tuple(_numbers(content) for name, content in data.items() if not name.endswith((".json", ".pt"))),
        operators=dict(sorted(reader.operators.items())),
        random=tuple(dict.fromkeys(reader.random)),
        conditional={name: count for name, count in sorted(reader.conditional.items()) if count},
        input_readers=reader.input_readers,
    )


class _Reader:
    """Counts the operators of a graph and of the graphs in it; see `continuous` for what is a choice."""

    def __init__(self) -> None:
        self.operators, self.conditional, self.random = Counter[str](), Counter[str](), list[str]()
        self.input_readers = 0

    def read(self, graph: dict[str, Any], images: set[str]) -> None:
        levels, parts = dict.fromkeys(graph["sym_int_values"], SIZE) | dict.fromkeys(images, VALUE), set(images)
        used = Counter(name for node in graph["nodes"] for each in node["inputs"] for name in _values(each["arg"]))
        used.update(name for each in graph["outputs"] for name in _values(each))
        asserted = {
            name
            for node in graph["nodes"]
            if _operator(node["target"]) in ASSERTS
            for each in node["inputs"]
            for name in _values(each["arg"])
        }
        for node in graph["nodes"]:
            name, arguments = _operator(node["target"]), [list(_values(each["arg"])) for each in node["inputs"]]
            received = [max((levels.get(each, FIXED) for each in names), default=FIXED) for names in arguments]
            results = [each for value in node["outputs"] for each in _values(value)]
            self.operators[name] += 1
            if arguments and passes_on(name) and parts.intersection(arguments[0]):
                parts.update(results)
            elif reads(name):
                self.input_readers += any(parts.intersection(names) for names in arguments)
            graphs = [each["arg"]["as_graph"]["graph"] for each in node["inputs"] if "as_graph" in each["arg"]]
            for inner in graphs:  # which may return what depends on values, whatever it receives
                self.read(inner, {each for value in inner["inputs"] for each in _values(value)})
            if graphs:
                self.conditional[name] += name == "cond"
            elif not (results and all(each in asserted and used[each] == 1 for each in results)):
                second = any(used[each] for each in results[1:])
                rounding = rounds(name, _constants(node), FLOATING) or _is_cast_to_another(node, received)
                self.conditional[name] += chooses(name, received, rounding=rounding, second=second)
            level = VALUE if graphs else level_of(name, received)
            levels |= dict.fromkeys(results, level)
            self._note_random(node, name)

    def _note_random(self, node: dict[str, Any], name: str) -> None:
        if name in WITH_MODE:
            self.random += [f"{name} in training mode"] if _trains(node) else []
        elif name in RANDOM:
            self.random.append(name)


def _values(argument: Any) -> Iterator[str]:
    """The names of tensors and sizes in an argument."""
    if isinstance(argument, dict):
        for kind, item in argument.items():
            if kind != "as_graph" and kind != "as_string":
                yield from [item] if kind in ("as_name", "name") else _values(item)
    elif isinstance(argument, list):
        for item in argument:
            yield from _values(item)


CONSTANT = ("as_int", "as_float", "as_bool", "as_string", "as_scalar_type")


def _constants(node: dict[str, Any]) -> dict[str, Any]:
    """The arguments by name; `COMPUTED` where one is no constant."""
    values = {}
    for each in node["inputs"]:
        (kind,) = each["arg"]
        values[each["name"]] = None if kind == "as_none" else each["arg"][kind] if kind in CONSTANT else COMPUTED
    return values


def _is_cast_to_another(node: dict[str, Any], received: list[int]) -> bool:
    """Whether it converts to the dtype of another tensor, which may hold integers."""
    return any(
        each["name"] == "other" and level != VALUE and ".to." in node["target"]
        for each, level in zip(node["inputs"], received, strict=True)
    )


def _input_specs(graph: dict[str, Any]) -> list[dict[str, Any]]:
    specs: list[dict[str, Any]] = graph["signature"]["input_specs"]
    return specs


def _operator(target: str) -> str:
    """`conv2d` of `torch.ops.aten.conv2d.default`; what is no operator of PyTorch, as it is."""
    parts = target.split(".")
    return parts[3] if target.startswith("torch.ops.") and len(parts) > 3 else parts[-1]


def _trains(node: dict[str, Any]) -> bool:
    modes = [each["arg"].get("as_bool") for each in node["inputs"] if each["name"] in ("train", "training")]
    return any(modes)


def _plain(data: Any) -> Any:
    """The graph without the notes that it carries for people."""
    if isinstance(data, dict):
        return {key: _plain(value) for key, value in sorted(data.items()) if key != "metadata"}
    return [_plain(each) for each in data] if isinstance(data, list) else data


def _numbers(record: bytes) -> Array:
    """The bytes of a tensor, of whatever dtype, as if it were float32."""
    content: Array = np.frombuffer(record[: len(record) // 4 * 4], "<f4")
    return content


def _sha(*parts: Any) -> str:
    sha = hashlib.sha256()
    for part in parts:
        content = part if isinstance(part, bytes) else json.dumps(part, sort_keys=True).encode()
        sha.update(len(content).to_bytes(8, "little") + content)
    return sha.hexdigest()
