"""Check a TorchScript archive before PyTorch loads it, and its graph before anything runs.

What PyTorch's loader does with the records, and what is checked here:

| record | what PyTorch does | here |
|---|---|---|
| `data.pkl`, `constants.pkl` | makes tensors and objects of the archive's classes | see `pickles` |
| `code/**.py` | compiles the classes and methods that it needs; runs `__setstate__` while it loads | see below |
| `data/*`, `constants/*` | the bytes of tensors | copied |
| `code/**.debug_pkl`, `traced_inputs*`, `extra/*` | where code came from; inputs; text | left out |
| others, such as `bytecode.pkl`, `model.json` | other formats, with other loaders | refused |

A class with `__setstate__` or `__getstate__` runs code while it is loaded, and hooks run beside `forward`: both are
refused by their name in the code. Nothing else runs until `graph` has checked every operator that `forward` calls.
"""

import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from zoo.contract.errors import ExportError
from zoo.contract.printable import quoted
from zoo.files.regular import open_regular
from zoo_export.capture import quiet
from zoo_export.formats.pytorch_archive import TEXT_LIMIT, Archive, Refused, pack, refusing
from zoo_export.formats.torchscript.graph import check_graph
from zoo_export.formats.torchscript.pickles import Reader
from zoo_export.reasons import AGAIN, reason

COPIED = re.compile(r"(data|constants)/\w{1,40}")
CODE = re.compile(r"code/__torch__(/\w+)*\.py")
LEFT_OUT = re.compile(r"code/.*\.debug_pkl|traced_inputs(/\w+|\.pkl)|extra/.*", re.DOTALL)
VERSIONS = ("version", ".data/version")
OWN = ("byteorder", ".data/serialization_id", ".format_version", ".storage_alignment")  # the writer adds its own
RUN_ON_LOADING = (b"__setstate__", b"__getstate__", b"__forward_hooks__", b"__forward_pre_hooks__")
_JIT: Any = torch.jit  # untyped, in part


def load_module(path: Path, device: torch.device) -> Any:
    """Load a TorchScript file, checked, onto a device, in evaluation mode.

    Raises:
        ExportError: it holds more than tensors and a graph of operators, or PyTorch does not load it.
    """
    content = checked_archive(path)
    module = _loaded(path, content, device)
    with refusing(path.name):
        check_graph(module)
    return module


def checked_archive(path: Path) -> io.BytesIO:
    """The file in memory, without the records that are left out. Its graph is not checked yet.

    Raises:
        ExportError: it holds what could run code, or is not such an archive.
    """
    with refusing(path.name), open_regular(path) as file:
        Archive(file, TEXT_LIMIT)  # before it is read whole
        file.seek(0)
        content = io.BytesIO(file.read())
        archive = Archive(content, TEXT_LIMIT)
        kept = list(_checked(archive))
        if {*archive.names} - {*kept} - {*OWN}:
            content = pack((name, archive.read(name)) for name in kept)
    content.seek(0)
    return content


def _loaded(path: Path, content: io.BytesIO, device: torch.device) -> Any:
    try:
        with quiet():
            return _JIT.load(content, map_location=device).eval()
    except Exception as error:
        raise ExportError(f"PyTorch does not load {path.name}: {reason(error)}.", AGAIN) from error


def _checked(archive: Archive) -> Iterator[str]:
    """The names of the records to load, each of them checked."""
    for kind in ("data", "constants"):
        sizes = {name.partition("/")[2]: size for name, size in archive.sizes.items() if name.startswith(f"{kind}/")}
        Reader(sizes).check(archive.text(f"{kind}.pkl"))
    for name in archive.names:
        if CODE.fullmatch(name):
            code = archive.text(name)
            for method in RUN_ON_LOADING:
                if method in code:
                    raise Refused(f"its code has {method.decode()}, which would run when it is loaded")
        elif name in VERSIONS and not re.fullmatch(rb"\d{1,3}\n?", archive.text(name)):
            raise Refused(f"its record {name} is malformed")
        elif name == "byteorder" and archive.text(name) != sys.byteorder.encode():
            raise Refused("its tensors have another byte order")
        elif name in OWN or LEFT_OUT.fullmatch(name):
            continue
        elif name not in (*VERSIONS, "data.pkl", "constants.pkl") and not COPIED.fullmatch(name):
            raise Refused(f"it holds {quoted(name)}, which could run code")
        yield name
