"""From the shared capture to an ONNX graph: lowered once, its weights put in afterwards."""

import traceback

import onnx_ir
import torch
from torch import Tensor
from torch.fx import Node

from zoo.contract.errors import ExportError, refuse_out_of_memory
from zoo.contract.exporting.artifact import Capture
from zoo_export.blame.intermediates import place
from zoo_export.capture import INPUT, OUTPUT, first_line, quiet
from zoo_export.formats.onnx.translations import TABLE, learnt_bias

OPSET = 18  # by default
LOWERED = "onnx"  # its key in the memo
PRIVATE = ("pkg.torch.onnx.stack_trace",)  # holds the paths of the machine that exported


def lower(capture: Capture) -> torch.onnx.ONNXProgram:
    """The graph as PyTorch lowers it, not yet optimised, with `capture`'s weights, dynamic batch and opset.

    It is lowered once for all captures that share a memo; the result is a copy, which may be changed.

    Raises:
        ExportError: an operator of the model cannot be translated to ONNX, or not to this opset.
    """
    opset = capture.opset or OPSET
    if LOWERED not in capture.memo:
        try:
            with quiet(), learnt_bias.without_gradients(capture.program):
                program = torch.onnx.export(
                    capture.program,
                    dynamo=True,
                    opset_version=opset,
                    input_names=[INPUT],
                    output_names=[OUTPUT],
                    custom_translation_table=TABLE,
                    optimize=False,
                    verbose=False,
                )
        except ExportError:
            raise
        except Exception as error:
            refuse_out_of_memory(error)
            raise ExportError(
                f"{capture.name} cannot be written as ONNX: {_refusal(error)}.",
                "Use another --format, such as pt2, which needs no translation; or change the model to use an operator "
                "that ONNX has.",
            ) from error
        assert program is not None  # only without dynamo=True
        written = program.model.opset_imports.get("")
        if written != opset:  # PyTorch only logs that it could not convert the graph
            raise ExportError(
                f"PyTorch wrote opset {written} for {capture.name}, and not opset {opset}.",
                "Use another --opset, or leave it out.",
            )
        _name_sizes(program.model, [str(size) for size in capture.input_shape])
        for node in program.model.graph.all_nodes():
            for key in PRIVATE:
                node.metadata_props.pop(key, None)
        capture.memo[LOWERED] = program
    shared: torch.onnx.ONNXProgram = capture.memo[LOWERED]
    model = shared.model.clone()
    _put_weights(model, capture.module.state_dict())
    return torch.onnx.ONNXProgram(model, shared.exported_program)


def _refusal(error: BaseException) -> str:
    """Which operator of which module PyTorch could not translate, and its reason; its own message is a page long."""
    chain = [error]
    while (earlier := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(earlier)
    reason = first_line(chain[-1]).rstrip(".")
    frames = [frame for each in chain for frame, _ in traceback.walk_tb(each.__traceback__)]
    nodes = (frame.f_locals.get("node") for frame in frames)
    node = next((node for node in nodes if isinstance(node, Node) and node.op == "call_function"), None)
    if node is None:
        return reason
    where = place(node)
    module = f" in {where.module or 'the model itself'}{f' ({where.source})' if where.source else ''}"
    return f"the operator {node.target}{module} cannot be translated ({reason})"


def _put_weights(model: onnx_ir.Model, weights: dict[str, Tensor]) -> None:
    for name, value in model.graph.initializers.items():
        if name in weights:
            value.const_value = onnx_ir.tensor(weights[name].detach().numpy(), name=name)


def _name_sizes(model: onnx_ir.Model, sizes: list[str]) -> None:
    shape = model.graph.inputs[0].shape
    assert shape is not None  # the capture's input has one
    names = {str(dim): name for dim, name in zip(shape, sizes, strict=True) if not isinstance(dim, int)}
    for value in [*model.graph.inputs, *(output for node in model.graph.all_nodes() for output in node.outputs)]:
        if value.shape is not None:
            value.shape = onnx_ir.Shape([names.get(str(dim), dim) for dim in value.shape])
