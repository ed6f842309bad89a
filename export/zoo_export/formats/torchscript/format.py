"""TorchScript: traced once, its weights put in afterwards, frozen, and freed of local paths."""

import io
from typing import Any

import torch

from zoo.contract.errors import ExportError
from zoo.contract.formats import CPU, Backend, Capture, Paths, Run
from zoo_export.capture import first_line, quiet
from zoo_export.formats.torch_runner import torch_device, torch_runner

_JIT: Any = torch.jit  # untyped, in part

# The archive's writer adds these itself; a second copy would be refused.
WRITERS_OWN = ("version", "byteorder", ".data/serialization_id", ".format_version", ".storage_alignment")


def export(capture: Capture, paths: Paths) -> None:
    """Write `capture` as an archive for `torch.jit.load` and libtorch.

    Raises:
        ExportError: the model cannot be traced; the reason is PyTorch's own.
    """
    buffer = io.BytesIO()
    try:
        with quiet(), torch.no_grad():
            _ = capture.program  # torch.export refuses what tracing would silently bake in: a branch on values
            _JIT.save(_JIT.freeze(traced(capture)), buffer)
    except ExportError:
        raise
    except Exception as error:
        raise ExportError(
            f"{capture.name} could not be traced to TorchScript: {first_line(error)}",
            "Leave TorchScript out with --format, or change the model's forward as the reason says.",
        ) from error
    paths.main.write_bytes(_without_sources(buffer))


def runner(paths: Paths, backend: Backend = CPU) -> Run:
    """Load an archive afresh, on the device of `backend`.

    Raises:
        DeviceError: that device is not here.
        ExportError: PyTorch does not load it.
    """
    device = torch_device(backend)
    try:
        with quiet():
            module = _JIT.load(paths.main, map_location=device).eval()
    except Exception as error:
        raise ExportError(
            f"PyTorch does not load {paths.main.name}: {first_line(error)}", "Export it again."
        ) from error
    return torch_runner(module, backend)


def traced(capture: Capture) -> Any:
    """The trace, made once for `capture` and those that share its memo, with the weights of `capture` put in."""
    if "torchscript" not in capture.memo:
        capture.memo["torchscript"] = _trace(capture)
    module = capture.memo["torchscript"]
    module.load_state_dict(capture.module.state_dict())
    return module


def _trace(capture: Capture) -> Any:
    """A script module with weights of its own, from a trace that was stored, as it then has no names of Python's."""
    buffer = io.BytesIO()
    with quiet(), torch.no_grad():
        _JIT.save(_JIT.trace(capture.module, capture.example, check_trace=False), buffer)
        buffer.seek(0)
        return _JIT.load(buffer).eval()


def _without_sources(archive: io.BytesIO) -> bytes:
    """The archive without its `.debug_pkl` records, which hold the paths of the machine that exported."""
    reader = torch._C.PyTorchFileReader(io.BytesIO(archive.getvalue()))
    clean = io.BytesIO()
    writer = torch._C.PyTorchFileWriter(clean)
    for name in reader.get_all_records():
        if not name.endswith(".debug_pkl") and name not in WRITERS_OWN:
            record = reader.get_record(name)
            writer.write_record(name, record, len(record))
    writer.write_end_of_file()
    return clean.getvalue()
