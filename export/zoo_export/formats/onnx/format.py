"""ONNX: one file that carries labels and preprocessing, run by onnxruntime at every level of optimisation."""

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx_ir
import onnxruntime

from zoo.contract.errors import DeviceError, ExportError
from zoo_export.capture import Capture, first_line
from zoo_export.formats.onnx.lowering import optimised
from zoo_export.formats.onnx.providers import CPU, TF32, full_name, left_to_cpu, open_session

PROTOBUF_LIMIT = 2**31 - 2**24  # bytes; a little is left for the graph itself
LEVELS = {
    "onnxruntime, no optimizations": onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "onnxruntime, basic optimizations": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "onnxruntime, all optimizations": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
}
Run = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]


def export(capture: Capture, path: Path) -> None:
    """Write `capture` to `path`: opset 18, one file, its batch dynamic. Past 2 GB the tensors go to `path.data`.

    Raises:
        ExportError: PyTorch cannot lower the model to ONNX; the reason is its own.
    """
    model = optimised(capture)
    model.metadata_props.update(_metadata(capture))
    large = sum(value.const_value.nbytes for value in model.graph.initializers.values() if value.const_value)
    onnx_ir.save(model, path, external_data=f"{path.name}.data" if large > PROTOBUF_LIMIT else None)


def runner(path: Path, *, provider: str = CPU) -> Mapping[str, Run]:
    """Load an ONNX file into onnxruntime on one provider, once for each level of its optimisations.

    Raises:
        DeviceError: a session does not get the provider, or it would run no node of the graph.
        ExportError: onnxruntime does not load it.
    """
    with ThreadPoolExecutor(len(LEVELS)) as pool:  # each takes its time on one core
        return dict(pool.map(lambda told: _session(path, told[1], provider, told[0]), LEVELS.items()))


def _session(path: Path, level: onnxruntime.GraphOptimizationLevel, provider: str, name: str) -> tuple[str, Run]:
    try:
        session = open_session(path, full_name(provider) or provider, TF32.get(provider, {}), level)
    except DeviceError:
        raise
    except Exception as error:
        raise ExportError(f"onnxruntime does not load {path.name}: {first_line(error)}", "Export it again.") from error
    if provider != CPU:
        name = f"{name} on {provider}"
        left = left_to_cpu(session)
        if left is not None and left[0] == left[1]:
            raise DeviceError(
                f"onnxruntime runs no part of {path.name} on {provider}.", f"Leave {provider} out of --provider."
            )
        name += f", {left[0]} of {left[1]} nodes on the CPU" if left and left[0] else ""

    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or len(outputs) != 1:
        raise ExportError(
            f"{path.name} has {len(inputs)} inputs and {len(outputs)} outputs, where images go in and logits come out.",
            "Export it with one of each.",
        )
    given, wanted = inputs[0].name, outputs[0].name  # a file that zoo did not write may name them as it likes

    def run(images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        (logits,) = session.run([wanted], {given: images})
        return np.asarray(logits)

    return name, run


def _metadata(capture: Capture) -> dict[str, str]:
    card = capture.card
    return {
        "zoo.name": capture.name,
        "zoo.labels": json.dumps(card.classes, ensure_ascii=False),
        "zoo.preprocess": json.dumps(card.preprocess.to_dict(), sort_keys=True),
    }
