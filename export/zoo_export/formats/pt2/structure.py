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
from zoo_export.formats.pt2.archive import checked_archive
from zoo_export.formats.torch_operators import CONDITIONAL, RANDOM, WITH_MODE

MODEL, DATA = "models/model.json", "data/"
ORDERED = ("_operator.", "math.", "torch.sym_")  # arithmetic and choices on sizes


def structure(paths: Paths) -> Structure:
    """Read it through the reader that loads it.

    Raises:
        ExportError: it asks for more than tensors and operators.
        Exception: it is no such archive, or its JSON is malformed.
    """
    reader: Any = torch._C.PyTorchFileReader(checked_archive(paths.main))
    graph = json.loads(reader.get_record(MODEL))["graph_module"]
    data = {name: reader.get_record(name) for name in sorted(reader.get_all_records()) if name.startswith(DATA)}
    operators, conditional, random = Counter[str](), Counter[str](), list[str]()
    inputs = {spec["user_input"]["arg"]["as_tensor"]["name"] for spec in _input_specs(graph) if "user_input" in spec}
    readers = 0
    for node in _nodes(graph["graph"]):
        name = _operator(node["target"])
        operators[name] += 1
        readers += any(each.get("arg", {}).get("as_tensor", {}).get("name") in inputs for each in node["inputs"])
        if name in CONDITIONAL or node["target"].startswith(ORDERED):
            conditional[name] += 1
        if name in WITH_MODE:
            random += [f"{name} in training mode"] if _trains(node) else []
        elif name in RANDOM:
            random.append(name)
    return Structure(
        graph=_sha(_plain(graph)),
        values=_sha(_plain(graph), *(part for name, content in data.items() for part in (name, content))),
        tensors=tuple(_numbers(content) for name, content in data.items() if not name.endswith((".json", ".pt"))),
        operators=dict(sorted(operators.items())),
        random=tuple(dict.fromkeys(random)),
        conditional=dict(sorted(conditional.items())),
        input_readers=readers,
    )


def _input_specs(graph: dict[str, Any]) -> list[dict[str, Any]]:
    specs: list[dict[str, Any]] = graph["signature"]["input_specs"]
    return specs


def _nodes(graph: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The nodes of a graph and of the graphs that they call."""
    for node in graph["nodes"]:
        yield node
        for each in node["inputs"]:
            if "as_graph" in each["arg"]:
                yield from _nodes(each["arg"]["as_graph"]["graph"])


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
