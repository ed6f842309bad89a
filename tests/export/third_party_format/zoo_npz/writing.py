"""From a captured program to a graph, plain data, and its weights."""

import json

import numpy as np

from zoo import ExportError


def export(capture, paths):
    """Write the graph as JSON and the weights, quantised in int8, as npz."""
    graph, weights = graph_of(capture)
    stored = {name: part for key, value in weights.items() for name, part in packed(key, value, capture.precision)}
    paths["graph"].write_text(json.dumps({"labels": list(capture.labels), **graph}, ensure_ascii=False), "utf-8")
    np.savez(paths["weights"], **stored)


def graph_of(capture):
    """The steps of the program in order, and the weights that they use, float32 by name."""
    program = capture.program
    weights = {name: value.detach().numpy() for name, value in program.state_dict.items() if value.is_floating_point()}
    names = {spec.arg.name: spec.target for spec in program.graph_signature.input_specs if spec.target}
    (images,), (logits,) = program.graph_signature.user_inputs, program.graph_signature.user_outputs
    steps = []
    for node in program.graph.nodes:
        if node.op != "call_function":
            continue
        operation = str(node.target).removeprefix("aten.").partition(".")[0]
        if operation not in OPERATIONS:
            raise ExportError(f"npz has no operation {operation}.", "Use another --format.")
        module = list((node.meta.get("nn_module_stack") or {"": ("", None)}).values())[-1][0]
        arguments = [
            {"value": argument.name} if hasattr(argument, "name") else argument for argument in map(plain, node.args)
        ]
        for argument in arguments:
            if isinstance(argument, dict) and argument["value"] in names:
                argument["weight"] = names[argument.pop("value")]
        steps.append({"name": node.name, "operation": operation, "module": module, "arguments": arguments})
    return {"images": images, "logits": logits, "steps": steps}, weights


def plain(argument):
    """Lists of numbers as lists."""
    return list(argument) if isinstance(argument, list | tuple) else argument


def packed(name, value, precision):
    """The arrays that are stored for a weight: itself, or 8-bit integers and their scale."""
    if precision != "int8" or value.ndim < 2:
        yield name, value
        return
    scale = np.float32(np.abs(value).max() / 127)
    yield name, np.round(value / scale).astype(np.int8)
    yield f"{name}.scale", scale


OPERATIONS = {"conv2d", "batch_norm", "relu", "tanh", "avg_pool2d", "flatten", "linear", "mean"}
