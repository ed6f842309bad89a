"""In a child process: read a checkpoint with PyTorch's weights-only unpickler, and write its tensors as safetensors.

The weights-only unpickler knows tensors, numbers, texts and containers of these. It imports no module and calls no
function that a file names, but those that build tensors. `source.py` starts the child, which may read files and write
in one folder, and nothing else.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from zoo.containment.child import is_out_of_memory
from zoo.containment.limits import Limits
from zoo.containment.protocol import AnyArray
from zoo.containment.system.restrictions import limit_memory, limit_processor, memory_in_use
from zoo.contract.errors import WeightsError
from zoo.models.importing.state_dicts import choose_state_dict, find_state_dicts, tensors_of

TENSORS = "tensors.safetensors"
DIGITS = 6  # of the number in front of a name
MAX_LISTED, MAX_NAME = 10, 100
GLOBAL = re.compile(r"GLOBAL (\S+)")
MODULES = ("torch.nn.modules.", "torchvision.models.", "timm.models.", "__main__.")
CONVERT = "If you trust its author, save its state dict alone with safetensors.torch.save_file, and import that file."
PROGRAM = "Import a state dict, which torch.save(model.state_dict(), path) writes."


class WeightsOnlyReader:
    """Reads the file that `setup` names.

    Args:
        setup: `file`, its path; `scratch`, the folder to write in; and `limits`.
    """

    def __init__(self, setup: Mapping[str, Any]) -> None:
        self._file, self._scratch = Path(setup["file"]), Path(setup["scratch"])
        self._limits = Limits(**setup["limits"])

    def __call__(self, request: dict[str, Any], array: AnyArray | None) -> tuple[Mapping[str, Any], AnyArray | None]:
        """Answer `{"key": KEY}`: write the tensors of the state dict with that key to `TENSORS` in the scratch folder.

        Returns:
            `key`, the one that was taken; `others`, keys that were not; `ignored`, entries that are no tensors.
        """
        limit_processor(self._limits.load_seconds)
        limit_memory(memory_in_use() + self._limits.memory_for())
        found = find_state_dicts(read(self._file))
        key = choose_state_dict(found, request["key"])
        tensors = tensors_of(found[key])
        ignored = [str(name)[:MAX_NAME] for name in found[key] if name not in tensors]
        write(tensors, self._scratch / TENSORS)
        others = [other[:MAX_NAME] for other in found if other != key and not other.startswith(f"{key}.")]
        return {"key": key[:MAX_NAME], "others": others[:MAX_LISTED], "ignored": ignored[:MAX_LISTED]}, None


def read(path: Path) -> object:
    """What a file that `torch.save` wrote holds: tensors, numbers, texts, and containers of these.

    Raises:
        WeightsError: it holds anything else, or is damaged.
    """
    if kind := _program(path):
        raise WeightsError(f"The file is an archive of {kind}: a program with its weights, not a state dict.", PROGRAM)
    torch.serialization.clear_safe_globals()  # what a library allowed
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise _refusal(path, error) from None


def write(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors as safetensors, with their number in front of each name, as the format does not keep their order.

    Raises:
        WeightsError: a tensor is sparse, quantized, complex, or of another kind that safetensors does not hold.
    """
    for name, tensor in tensors.items():
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex() or tensor.is_meta:
            kind = "quantized" if tensor.is_quantized else f"{tensor.dtype}, {tensor.layout}"
            raise WeightsError(
                f"The tensor {name[:MAX_NAME]} is {kind}, which weights files do not hold.",
                "Convert it to a dense tensor of float32.",
            )
    plain = {
        f"{number:0{DIGITS}} {name}": tensor.detach().contiguous().clone()
        for number, (name, tensor) in enumerate(tensors.items())
    }
    safetensors.torch.save_file(plain, path)


def _program(path: Path) -> str:
    """What wrote an archive that holds a program; empty if it holds none."""
    names = _records(path)
    if any(name.endswith("/constants.pkl") for name in names):
        return "torch.jit.save"
    return "torch.export.save" if any(name.endswith("/archive_format") for name in names) else ""


def _records(path: Path) -> Sequence[str]:
    from zipfile import BadZipFile, ZipFile

    try:
        with ZipFile(path) as archive:
            return archive.namelist()
    except (BadZipFile, OSError, ValueError, NotImplementedError):
        return []


def _refusal(path: Path, error: Exception) -> WeightsError:
    """Why the unpickler refused a file: what the file names that it does not know, or its own words."""
    names = _refused_names(path) or GLOBAL.findall(str(error))
    if not names:
        return WeightsError(f"The file cannot be read: {_reason(str(error))}.", "Check that the download is complete.")
    shown = ", ".join(name[:MAX_NAME] for name in names[:3]) + (f" and {len(names) - 3} more" if names[3:] else "")
    what = "is a whole pickled module" if any(name.startswith(MODULES) for name in names) else "holds more than tensors"
    return WeightsError(f"The file {what}: reading it would import and run {shown}, which zoo does not do.", CONVERT)


def _refused_names(path: Path) -> list[str]:
    """The functions and classes that an archive names and that the unpickler does not allow."""
    try:
        return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    except Exception as error:  # another layout, or a damaged one, which is what is reported then
        if is_out_of_memory(error):
            raise
        return []


def _reason(text: str) -> str:
    """In zoo's words, as the unpickler's are advice to turn it off."""
    if "PytorchStreamReader" in text:
        return "the archive is damaged or incomplete"
    if "legacy .tar" in text:
        return "it is a tar archive of the first releases of PyTorch"
    return "torch.save did not write it, or it is damaged"
