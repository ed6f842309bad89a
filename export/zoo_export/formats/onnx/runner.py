"""Run an ONNX file with onnxruntime at every level of its optimizations."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime

from zoo.contract.errors import DeviceError, ExportError
from zoo.contract.exporting.artifact import CPU, Array, Backend, Paths, Run
from zoo_export.formats.onnx.gate.check import check_file
from zoo_export.formats.onnx.providers import full_name, left_to_cpu, open_session, provider_options
from zoo_export.reasons import AGAIN, clause

LEVELS = {
    "onnxruntime, no optimizations": onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "onnxruntime, basic optimizations": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "onnxruntime, all optimizations": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
}


def runner(paths: Paths, backend: Backend = CPU) -> Mapping[str, Run]:
    """Load an ONNX file into onnxruntime on one provider, once for each level of its optimizations.

    Raises:
        DeviceError: a session does not get the provider, or it would run no node of the graph.
        ExportError: onnxruntime does not load the file, or it asks for more than its own files and operators.
    """
    check_file(paths)
    with ThreadPoolExecutor(len(LEVELS)) as pool:  # each takes its time on one core
        return dict(pool.map(lambda item: _session(paths.main, item[1], backend, item[0]), LEVELS.items()))


def _session(path: Path, level: onnxruntime.GraphOptimizationLevel, backend: Backend, name: str) -> tuple[str, Run]:
    provider = full_name(backend.device)
    if provider is None:
        raise DeviceError(
            f"onnxruntime has no provider for the device {backend.device!r}.", "`zoo doctor` shows the devices it has."
        )
    try:
        session = open_session(path, provider, provider_options(backend), level)
    except DeviceError:
        raise
    except Exception as error:
        raise ExportError(f"onnxruntime does not load {path.name}: {clause(error)}.", AGAIN) from error
    if backend.device != CPU.device:
        name = f"{name} on {backend.label}"
        left = left_to_cpu(session)
        if left is not None and left[0] == left[1]:
            raise DeviceError(
                f"onnxruntime runs no part of {path.name} on {backend.device}.",
                f"Leave {backend.device} out of --provider.",
            )
        name += f", {left[0]} of {left[1]} nodes on the CPU" if left and left[0] else ""

    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or len(outputs) != 1:
        raise ExportError(
            f"{path.name} has {len(inputs)} inputs and {len(outputs)} outputs, where images go in and logits come out.",
            "Export it with one of each.",
        )
    images_name, logits_name = inputs[0].name, outputs[0].name  # a file that zoo did not write has its own

    def run(images: Array) -> Array:
        (logits,) = session.run([logits_name], {images_name: images})
        return np.asarray(logits)

    return name, run
