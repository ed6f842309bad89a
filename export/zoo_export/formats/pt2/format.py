"""PT2: the shared capture itself, as torch.export writes it, freed of local paths."""

import copy
import io

import torch
import torch._export.serde.serialize  # which loading needs; so it is imported before a child is forked
from torch.export.passes import move_to_device_pass

from zoo.contract.errors import ExportError
from zoo.contract.exporting.artifact import CPU, Backend, Capture, Paths, Run
from zoo_export.capture import first_line, quiet
from zoo_export.formats.pt2.archive import load_program
from zoo_export.formats.torch_runner import torch_device, torch_runner
from zoo_export.reasons import AGAIN, clause

PRIVATE = ("stack_trace", "from_node", "source_fn_stack")  # of a node; the first holds paths


def export(capture: Capture, paths: Paths) -> None:
    """Write `capture` as an archive for `torch.export.load`.

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
    paths.main.write_bytes(buffer.getvalue())


def runner(paths: Paths, backend: Backend = CPU) -> Run:
    """Load an archive afresh, on the device of `backend`.

    Raises:
        DeviceError: that device is not here.
        ExportError: PyTorch does not load it, or it asks for more than tensors and operators.
    """
    device = torch_device(backend)
    program = load_program(paths.main)
    try:
        with quiet():
            if device.type != "cpu":
                program = move_to_device_pass(program, device)  # devices are written into the graph too
            module = program.module()
    except Exception as error:
        raise ExportError(f"PyTorch does not load {paths.main.name}: {clause(error)}.", AGAIN) from error
    return torch_runner(module, backend)
