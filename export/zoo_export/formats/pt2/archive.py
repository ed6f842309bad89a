"""Check a PT2 archive before PyTorch loads it: plain tensors and a graph of operators, nothing that could run code.

What PyTorch's loader does with the records, and what is checked here:

| record | what PyTorch does | here |
|---|---|---|
| `data/weights/*`, `data/constants/*` | unpickles what their configuration calls pickled | none may be |
| `custom_obj_*`, `opaque_obj_*` in `data/constants` | unpickles them | refused |
| `data/weights/model.pt`, `data/constants/model.pt` | unpickles them, of older releases | refused |
| `data/sample_inputs/model.pt` | unpickles it | left out |
| `data/aotinductor/*` | loads it as a library | refused |
| `extra/*` | returns it as text | left out |
| `models/model.json` | see `program` | see `program` |

An archive of PyTorch before 2.8 has another layout, with pickles in it, and is refused.
"""

import json
import math
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch.export import ExportedProgram

from zoo.contract.errors import ExportError
from zoo.contract.printable import quoted
from zoo_export.capture import quiet
from zoo_export.formats.pt2.form import boolean, exactly, integer, many, mapping, one_of, parse, record
from zoo_export.formats.pt2.program import DEVICE, attribute, checked_program
from zoo_export.formats.pytorch_archive import Archive, Refused, repack
from zoo_export.reasons import AGAIN, clause

RECORDS = re.compile(
    r"models/model\.json|archive_format|archive_version|byteorder|version|\.data/\w+"
    r"|data/(weights/weight_\d+|weights/model_weights_config\.json)"
    r"|data/(constants/tensor_\d+|constants/model_constants_config\.json)|data/sample_inputs/model\.pt"
)
PAYLOAD = {"weights": re.compile(r"weight_\d+"), "constants": re.compile(r"tensor_\d+")}
LARGEST_SHARED = 2**28  # bytes of a tensor that is larger than its record, as its elements share their memory
ITEM_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 2, 7: 4, 8: 8, 9: 4, 10: 8, 11: 16, 12: 1, 13: 2, 28: 2, 29: 1, 30: 1}
ITEM_SIZES |= {31: 1, 32: 1, 33: 1, 34: 4, 35: 8}  # bytes, by the number that PyTorch writes for a dtype


def _payload(value: Any) -> Any:
    if isinstance(value, dict) and value.get("use_pickle") is not False:
        raise Refused("it holds a tensor that is pickled, which could run code")
    return PAYLOAD_META(value)


LENGTHS = many(one_of(as_int=integer(0)))
TENSOR_META = record(
    {
        "dtype": exactly(*ITEM_SIZES),
        "sizes": LENGTHS,
        "requires_grad": boolean,
        "device": DEVICE,
        "strides": LENGTHS,
        "storage_offset": one_of(as_int=integer(0)),
        "layout": exactly(7),  # strided
    }
)
PAYLOAD_META = record(
    {
        "path_name": lambda value: value,
        "is_param": boolean,
        "use_pickle": exactly(False),
        "tensor_meta": TENSOR_META,
    }
)
CONFIG = record({"config": mapping(attribute, _payload)})


def load_program(path: Path) -> ExportedProgram:
    """Load a PT2 file, checked.

    Raises:
        ExportError: it is not an archive of plain tensors and a graph of operators, or PyTorch does not load it.
    """
    archive = checked_archive(path)
    try:
        with quiet():
            return torch.export.load(archive)
    except Exception as error:
        raise ExportError(f"PyTorch does not load {path.name}: {clause(error)}.", AGAIN) from error


def checked_archive(path: Path) -> BinaryIO:
    """The checked records of a PT2 file as a fresh archive in memory.

    Raises:
        ExportError: as `load_program`, before anything is loaded.
    """
    return repack(path, _records)


def _records(archive: Archive) -> Iterator[tuple[str, bytes]]:
    """The checked records."""
    for name in archive.names:
        if not RECORDS.fullmatch(name) and not name.startswith("extra/"):
            raise Refused(f"it holds {quoted(name)}, which could run code")
    yield "data/sample_inputs/model.pt", b""
    for kind in ("weights", "constants"):
        name = f"data/{kind}/model_{kind}_config.json"
        config = CONFIG(parse(archive.text(name)))
        for path_name in {payload["path_name"]: payload for payload in config["config"].values()}:
            if not isinstance(path_name, str) or not PAYLOAD[kind].fullmatch(path_name):
                raise Refused(f"it keeps a tensor in {quoted(path_name)}, which could run code")
        for entry, payload in config["config"].items():
            _check_size(archive, entry, f"data/{kind}/{payload['path_name']}", payload["tensor_meta"])
        yield name, json.dumps(config).encode()
        for record_name in sorted({f"data/{kind}/{payload['path_name']}" for payload in config["config"].values()}):
            yield record_name, archive.read(record_name)
    yield "models/model.json", json.dumps(checked_program(archive.text("models/model.json"))).encode()
    if archive.text("byteorder") != sys.byteorder.encode():  # the archive's writer adds its own
        raise Refused("its tensors have another byte order")
    for name, pattern in (("archive_format", rb"pt2"), ("archive_version", rb"\d{1,3}")):
        if not re.fullmatch(pattern, archive.text(name)):
            raise Refused(f"its record {name} is malformed")
        yield name, archive.text(name)


def _check_size(archive: Archive, entry: str, name: str, meta: Any) -> None:
    """Raise `Refused` where a tensor would take more memory than its record and a limit."""
    if name not in archive.sizes:
        raise Refused(f"it has no record {quoted(name)}")
    size = math.prod(length["as_int"] for length in meta["sizes"]) * ITEM_SIZES[meta["dtype"]]
    if size > max(archive.sizes[name], LARGEST_SHARED if archive.sizes[name] else 0):
        raise Refused(f"its tensor {quoted(entry)} has {size:,} bytes, and its record {archive.sizes[name]:,}")
