"""TorchScript: traced once, its weights put in afterwards, frozen, and freed of local paths."""

import io
from typing import Any

import torch
from torch import Tensor, nn

from zoo.contract.errors import ExportError
from zoo.contract.exporting.artifact import CPU, Backend, Capture, Paths, Run
from zoo.contract.wording.author_code import in_author_code
from zoo.evaluation.attributes import keep_attributes
from zoo_export.capture import quiet
from zoo_export.formats.torch_runner import torch_device, torch_runner
from zoo_export.formats.torchscript.archive import OWN, load_module
from zoo_export.formats.torchscript.names import Renumbering
from zoo_export.reasons import reason

TRACE = "torchscript"  # its key in `memo`
_JIT: Any = torch.jit  # untyped, in part


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
            f"{capture.name} could not be traced to TorchScript: {reason(error)}{in_author_code(error)}",
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
    """The trace, made once for `capture` and those that share its memo, with the weights of `capture` put in.

    Where the trace cannot take them by name, these weights get a trace of their own.
    """
    if TRACE not in capture.memo:
        capture.memo[TRACE] = _trace(capture)
    module = capture.memo[TRACE]
    return module if put_weights(module, capture.module) else _trace(capture)


@torch.no_grad()
def put_weights(script: Any, module: nn.Module) -> bool:
    """Give each parameter and buffer of `script` the values of the one of `module` that has its name.

    A script module knows no persistence, so its state dict also holds buffers that are in no state dict of `module`.

    Returns:
        Whether both hold tensors of the same names, shapes and dtypes. If not, nothing is changed.
    """
    targets, sources = _tensors(script), _tensors(module)
    if targets.keys() != sources.keys():
        return False
    if any(
        (target.shape, target.dtype) != (sources[name].shape, sources[name].dtype) for name, target in targets.items()
    ):
        return False
    for name, target in targets.items():
        target.copy_(sources[name])
    return True


def _tensors(module: Any) -> dict[str, Tensor]:
    """Parameters and buffers, those that are shared under each of their names."""
    parameters, buffers = module.named_parameters, module.named_buffers
    return {**dict(parameters(remove_duplicate=False)), **dict(buffers(remove_duplicate=False))}


def _trace(capture: Capture) -> Any:
    """A script module with weights of its own, from a trace that was stored, as it then has no names of Python's."""
    buffer = io.BytesIO()
    with keep_attributes(capture.module), quiet(), torch.no_grad():
        _JIT.save(_JIT.trace(capture.module, capture.example, check_trace=False), buffer)
        buffer.seek(0)
        return _JIT.load(buffer).eval()


def _reproducible(archive: io.BytesIO) -> bytes:
    """The archive without what depends on the machine and the process that exported.

    Its `.debug_pkl` records hold local paths. If a process meets a class name again, PyTorch numbers it with a counter
    that never goes back; the numbers are replaced by their ranks. The version stays as it was: it decides what
    operators such as `div` and `gelu` mean, and a writer that receives none would write the oldest.
    """
    reader = torch._C.PyTorchFileReader(io.BytesIO(archive.getvalue()))
    clean = io.BytesIO()
    writer = torch._C.PyTorchFileWriter(clean)
    names = [name for name in reader.get_all_records() if not name.endswith(".debug_pkl") and name not in OWN]
    records = {name: reader.get_record(name) for name in names}
    renumbering = Renumbering(records)
    for name, record in records.items():
        record = renumbering.record(name, record)
        writer.write_record(renumbering.name(name), record, len(record))
    writer.write_end_of_file()
    return clean.getvalue()
