"""ONNX: one file that carries labels and preprocessing."""

import json

from zoo.contract.exporting.artifact import Capture, Paths
from zoo_export.capture import quiet
from zoo_export.formats.onnx.file import save
from zoo_export.formats.onnx.keys import LABELS, NAME, PREPROCESS
from zoo_export.formats.onnx.lowering import lower


def export(capture: Capture, paths: Paths) -> None:
    """Write `capture`: opset 18, one file, its batch dynamic. Past 2 GB the tensors go to a second file.

    Raises:
        ExportError: PyTorch cannot lower the model to ONNX; the reason is its own.
    """
    program = lower(capture)
    with quiet():
        program.optimize()  # PyTorch's own ONNX optimisations
    program.model.metadata_props.update(_metadata(capture))
    save(program.model, paths.main)


def _metadata(capture: Capture) -> dict[str, str]:
    return {
        NAME: capture.name,
        LABELS: json.dumps(capture.labels, ensure_ascii=False),
        PREPROCESS: json.dumps(capture.preprocess.to_dict(), sort_keys=True),
    }
