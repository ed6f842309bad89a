"""ONNX: one file that carries labels and preprocessing."""

import json
from collections.abc import Sequence

from zoo.contract.evidence import Workaround
from zoo.contract.exporting.artifact import Capture, Paths
from zoo_export.capture import quiet
from zoo_export.formats.onnx.file import save
from zoo_export.formats.onnx.keys import LABELS, NAME, PREPROCESS
from zoo_export.formats.onnx.lowering import lower
from zoo_export.formats.onnx.miscompilations import avoid_all
from zoo_export.formats.onnx.translations import translated


def export(capture: Capture, paths: Paths) -> Sequence[Workaround]:
    """Write `capture`: one file, its batch dynamic. Past 2 GB the tensors go to a second file.

    Returns:
        What was done to avoid known faults of PyTorch's exporter and of onnxruntime.

    Raises:
        ExportError: an operator of the model cannot be translated to ONNX.
    """
    program = lower(capture)
    with quiet():
        program.optimize()  # PyTorch's own ONNX optimisations
    assert program.exported_program is not None  # it was lowered from one
    workarounds = (*translated(program.exported_program), *avoid_all(program.model))
    program.model.metadata_props.update(_metadata(capture))
    save(program.model, paths.main)
    return workarounds


def _metadata(capture: Capture) -> dict[str, str]:
    return {
        NAME: capture.name,
        LABELS: json.dumps(capture.labels, ensure_ascii=False),
        PREPROCESS: json.dumps(capture.preprocess.to_dict(), sort_keys=True),
    }
