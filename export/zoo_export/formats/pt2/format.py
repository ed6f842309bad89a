"""PT2: the shared capture itself, as torch.export writes it, freed of local paths."""

import copy
import io
from collections.abc import Mapping
from pathlib import Path

import torch
from torch.export.passes import move_to_device_pass

from zoo.contract.errors import ExportError
from zoo_export.capture import Capture, first_line, quiet
from zoo_export.formats.pt2.archive import refuse_unsafe
from zoo_export.formats.torch_runner import Run, named, torch_runner
from zoo_export.parity.backend import Backend

PRIVATE = ("stack_trace", "from_node", "source_fn_stack")  # of a node; the first holds paths


def export(capture: Capture, path: Path) -> None:
    """Write `capture` to `path` as an archive for `torch.export.load`.

    Raises:
        ExportError: the model cannot be captured or written; the reason is PyTorch's own.
    """
    buffer = io.BytesIO()
    try:
        with quiet():
            program = copy.deepcopy(capture.program)
            for module in program.graph_module.modules():
                for node in getattr(module, "graph", torch.fx.Graph()).nodes:
                    for key in PRIVATE:
                        node.meta.pop(key, None)
            program.example_inputs = None  # they would be stored too
            program._guards_code = []  # code, which no loader should have to run
            torch.export.save(program, buffer)
    except ExportError:
        raise
    except Exception as error:
        raise ExportError(
            f"{capture.name} could not be written as PT2: {first_line(error)}", "Leave PT2 out with --format."
        ) from error
    path.write_bytes(buffer.getvalue())


def runner(path: Path, *, provider: str = "cpu") -> Run | Mapping[str, Run]:
    """Load an archive afresh, on the device that goes with an onnxruntime provider: a GPU for `cuda`, else the CPU.

    Raises:
        ExportError: PyTorch does not load it, or it asks for more than tensors and operators.
    """
    refuse_unsafe(path)
    setting = Backend(provider)
    try:
        with quiet():
            program = torch.export.load(path)
            if setting.device.type != "cpu":
                program = move_to_device_pass(program, setting.device)  # devices are written into the graph too
            module = program.module()
    except Exception as error:
        raise ExportError(f"PyTorch does not load {path.name}: {first_line(error)}", "Export it again.") from error
    return named(setting, torch_runner(module, setting))
