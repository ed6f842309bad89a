"""The header of a safetensors file, read and checked with the standard library alone.

A file is 8 bytes of little-endian length, that many bytes of JSON, and the tensors' bytes one after another.
Source of the format: the safetensors specification, https://github.com/huggingface/safetensors.
"""

import hashlib
import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from zoo.contract.errors import WeightsError
from zoo.contract.reading import MAX_JSON, Field, Malformed, fields, parse_json, shown
from zoo.files.regular import open_regular

MAX_HEADER = MAX_JSON  # bytes; the format's own limit is 100 MB
MAX_TENSORS, MAX_NAME, MAX_RANK = 100_000, 10_000, 64
ITEM_SIZE = {"BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2}
ITEM_SIZE |= {"I32": 4, "U32": 4, "F32": 4, "I64": 8, "U64": 8, "F64": 8}
PICKLES = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


@dataclass(frozen=True)
class TensorInfo:
    """One tensor in a file. `begin` and `end` are byte offsets from the start of the file."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class Header:
    """The header of a file: its tensors and its metadata."""

    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str]


def read_header(path: Path) -> Header:
    """Read and check the header of `path`; no tensor is read.

    Raises:
        WeightsError: the file is missing, empty, truncated, too long, a pickle, or its header is malformed or
            does not match its size.
    """
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            start = file.read(8)
            length = int.from_bytes(start, "little")
            text = file.read(length) if len(start) == 8 and length <= min(size - 8, MAX_HEADER) else b""
    except FileNotFoundError:
        raise WeightsError(f"There is no file {path}.", "List weights with `zoo weights list`.") from None
    except OSError as error:
        raise WeightsError(f"{path} could not be read: {error.strerror}.", "Check the path.") from None
    if start.startswith(PICKLES) and not text.startswith(b"{"):  # a header's length can begin like a pickle
        raise WeightsError(
            f"{path} is a pickle file: loading it could run arbitrary code.",
            "If you trust it, convert it: safetensors.torch.save_file(state_dict, path).",
        )
    if not text:
        raise refused(path, "it is empty" if size == 0 else "it is truncated, or the length of its header is wrong")
    try:
        return _checked(fields(parse_json(text), "header"), start=8 + length, size=size)
    except ValueError as error:
        raise refused(path, f"its header is malformed ({error})") from None


def digest(tensors: Iterable[tuple[str, str, tuple[int, ...], bytes | memoryview]]) -> str:
    """The digest of named tensors, independent of how a file lays them out.

    Args:
        tensors: `(name, safetensors dtype, shape, little-endian bytes)`, sorted by name.

    Returns:
        `sha256:` and 64 hex digits.
    """
    sha = hashlib.sha256()
    for name, dtype, shape, content in tensors:
        sha.update(json.dumps([name, dtype, list(shape)]).encode())
        sha.update(content)
    return f"sha256:{sha.hexdigest()}"


def file_digest(path: Path, header: Header) -> str:
    """The digest of the tensors in `path`, read one at a time."""
    with open_regular(path) as file:

        def tensors() -> Iterable[tuple[str, str, tuple[int, ...], bytes]]:
            for name, info in sorted(header.tensors.items()):
                file.seek(info.begin)
                yield name, info.dtype, info.shape, file.read(info.end - info.begin)

        return digest(tensors())


def with_sorted_metadata(content: bytes) -> bytes:
    """The bytes of a safetensors file with its metadata keys sorted; safetensors writes them in random order."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the format aligns tensors to 8 bytes
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


def refused(path: Path, why: str) -> WeightsError:
    """The error for a damaged weights file."""
    return WeightsError(f"{path} is refused: {why}.", "Download the file again, or train again.")


def _checked(data: Field, *, start: int, size: int) -> Header:
    entries = data.entries(0, MAX_TENSORS, MAX_NAME)
    metadata = entries.pop("__metadata__", None)
    tensors = {name: _tensor(entry, start) for name, entry in entries.items()}
    end = start
    for name, info in sorted(tensors.items(), key=lambda item: (item[1].begin, item[1].end)):
        if info.begin != end:
            raise Malformed(f"{shown(name)} overlaps another tensor or leaves a gap")
        end = info.end
    if end != size:
        raise Malformed(f"it describes {end} bytes and the file has {size}")
    return Header(tensors, {key: each.text(MAX_HEADER) for key, each in metadata.entries().items()} if metadata else {})


def _tensor(entry: Field, start: int) -> TensorInfo:
    entry.only("dtype", "shape", "data_offsets")
    dtype = entry["dtype"].choice(list(ITEM_SIZE))
    shape = tuple(side.integer() for side in entry["shape"].items(0, MAX_RANK))
    begin, end = (offset.integer() for offset in entry["data_offsets"].items(2, 2))
    if end - begin != math.prod(shape) * ITEM_SIZE[dtype]:
        raise Malformed(f"{entry.path} has {end - begin} bytes, which does not match its shape {shape} of {dtype}")
    return TensorInfo(dtype, shape, start + begin, start + end)
