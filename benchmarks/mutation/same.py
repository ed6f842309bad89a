"""Changes to a graph that leave its function as it was: a check must accept them all."""

from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import onnx_ir as ir
import onnxruntime
import onnxscript.optimizer
import onnxslim

from zoo_export.capture import quiet


def renamed(model: ir.Model) -> ir.Model:
    """Every node, and every value inside the graph, has another name."""
    for index, node in enumerate(model.graph):
        node.name = f"renamed_node_{index}"
        for value in node.outputs:
            if not value.is_graph_output():
                value.name = f"renamed_{index}_{value.name}"
    return model


def reordered(model: ir.Model) -> ir.Model:
    """The nodes are in another order, in which each still comes after what it reads."""
    rng, left = Random(0), list(model.graph)
    made, order = set[ir.Value](), list[ir.Node]()
    inner = {value for node in left for value in node.outputs}
    while left:
        ready = [node for node in left if all(each not in inner or each in made for each in node.inputs if each)]
        node = rng.choice(ready)
        left.remove(node)
        order.append(node)
        made.update(node.outputs)
    graph = model.graph
    graph.remove(order)
    graph.extend(order)
    return model


def folded(model: ir.Model) -> ir.Model:
    """What depends on constants alone is computed beforehand."""
    onnxscript.optimizer.fold_constants(model)
    return model


def slimmed(model: ir.Model) -> ir.Model:
    """As OnnxSlim writes it: layers fused, constants folded, nodes eliminated.

    Constants become initializers first: OnnxSlim 0.1.98 makes float64 of a constant given as `value_floats`, such as
    a Resize's scales, and onnxruntime refuses the file that comes of it.
    """
    ir.passes.common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    with quiet():
        return ir.from_proto(onnxslim.slim(ir.to_proto(model)))


def optimised(model: ir.Model) -> ir.Model:
    """onnxscript's optimizer, with more passes over the graph than an export makes."""
    onnxscript.optimizer.optimize(model, num_iterations=4)
    return model


def fused(model: ir.Model) -> ir.Model:
    """As onnxruntime saves it after its own basic optimisations."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "fused.onnx")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(path)
        onnxruntime.InferenceSession(
            ir.to_proto(model).SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        loaded = ir.load(path)
        ir.external_data.load_to_model(loaded)
    return loaded


SAME: Mapping[str, Callable[[ir.Model], ir.Model]] = {
    "as lowered": lambda model: model,
    "renamed": renamed,
    "reordered": reordered,
    "constants folded": folded,
    "optimised": optimised,
    "slimmed by OnnxSlim": slimmed,
    "fused by onnxruntime": fused,
}
