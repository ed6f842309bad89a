"""TorchScript: traced once, its weights put in afterwards, frozen, and freed of local paths."""

import io
import re
from typing import Any

import torch

from zoo.contract.errors import ExportError
from zoo.contract.exporting.artifact import CPU, Backend, Capture, Paths, Run
from zoo_export.capture import first_line, quiet
from zoo_export.formats.torch_runner import torch_device, torch_runner
from zoo_export.formats.torchscript.archive import load_module

NUMBERED = re.compile(rb"___torch_mangle_(\d+)")  # the name of a class, or of a module of its own for it
CODE = (".py", ".pkl")
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
    paths.main.write_bytes(_reproducible(buffer))


def runner(paths: Paths, backend: Backend = CPU) -> Run:
    """Load an archive afresh, on the device of `backend`.

    Raises:
        DeviceError: that device is not here.
        ExportError: PyTorch does not load it, or it holds more than tensors and a graph of operators.
    """
    return torch_runner(load_module(paths.main, torch_device(backend)), backend)


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


def _reproducible(archive: io.BytesIO) -> bytes:
    """The archive without what depends on the machine and the process that exported.

    Its `.debug_pkl` records hold local paths. If a process meets a class name again, PyTorch numbers it with a counter
    that never goes back; the numbers are replaced by their ranks.
    """
    reader = torch._C.PyTorchFileReader(io.BytesIO(archive.getvalue()))
    clean = io.BytesIO()
    writer = torch._C.PyTorchFileWriter(clean)
    names = [name for name in reader.get_all_records() if not name.endswith(".debug_pkl") and name not in WRITERS_OWN]
    records = {name: reader.get_record(name) for name in names}
    texts = [*map(str.encode, names), *(record for name, record in records.items() if name.endswith(CODE))]
    numbers = {int(number) for text in texts for number in NUMBERED.findall(text)}
    ranks = {b"%d" % number: b"___torch_mangle_%d" % rank for rank, number in enumerate(sorted(numbers))}

    def renumber(text: bytes) -> bytes:
        return NUMBERED.sub(lambda match: ranks[match[1]], text)

    for name, record in records.items():
        if name.endswith(CODE):
            record = renumber(record)  # text, and pickles that hold names of classes by line
        writer.write_record(renumber(name.encode()).decode(), record, len(record))
    writer.write_end_of_file()
    return clean.getvalue()
