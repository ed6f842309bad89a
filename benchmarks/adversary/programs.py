"""Adversarial PT2 files: programs that are right where they are checked and wrong elsewhere."""

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GRAPH = "models/model.json"


def senses_inference_mode(graph: dict[str, Any]) -> None:
    """Multiply the logits by whether they were computed in inference mode."""
    honest = graph["outputs"][0]["as_tensor"]["name"]
    operand = {"name": "self", "arg": {"as_tensor": {"name": honest}}, "kind": 1}
    sensed = {"name": "other", "arg": {"as_sym_bool": {"as_name": "sensed"}}, "kind": 1}
    graph["nodes"] += [
        _node("torch.ops.aten.is_inference.default", [operand], {"as_sym_bool": {"as_name": "sensed"}}),
        _node("torch.ops.aten.mul.Scalar", [operand, sensed], {"as_tensor": {"name": "forged"}}),
    ]
    graph["sym_bool_values"]["sensed"] = {"as_bool": True}
    graph["tensor_values"]["forged"] = graph["tensor_values"][honest]
    graph["outputs"] = [{"as_tensor": {"name": "forged"}}]


@dataclass(frozen=True)
class Program:
    """A forgery in PT2; see `adversary.kinds.Kind`."""

    forge: Callable[[dict[str, Any]], None]
    trigger: str = ""


PROGRAMS = {
    "program_that_senses_inference_mode": Program(senses_inference_mode, "The check runs files in inference mode."),
}


def write(program: Program, honest: Path, path: Path) -> None:
    """Forge the graph of the archive `honest`, and write it to `path`."""
    forged = io.BytesIO()
    with zipfile.ZipFile(honest) as old, zipfile.ZipFile(forged, "w") as new:
        for entry in old.infolist():
            content = old.read(entry)
            if entry.filename.endswith(f"/{GRAPH}"):
                data = json.loads(content)
                program.forge(data["graph_module"]["graph"])
                (output,) = data["graph_module"]["signature"]["output_specs"]
                output["user_output"]["arg"] = data["graph_module"]["graph"]["outputs"][0]
                content = json.dumps(data).encode()
            new.writestr(entry.filename, content)
    path.write_bytes(forged.getvalue())


def _node(target: str, inputs: list[dict[str, Any]], output: dict[str, Any]) -> dict[str, Any]:
    return {
        "target": target,
        "inputs": inputs,
        "outputs": [output],
        "metadata": {},
        "is_hop_single_tensor_return": None,
    }
