"""Frames between a process and the one that runs an artifact for it: a JSON header and at most one array.

    4 bytes     length of the header, big-endian
    header      a JSON object; if an array follows, `array` holds its `dtype` and `shape`
    array       its bytes, C order, little-endian

Whoever reads a frame decides how large its array may be before anything is allocated.
"""

import json
import math
import os
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

LENGTH = struct.Struct(">I")
MAX_HEADER = 2**16
MAX_RANK, MAX_SIDE = 8, 2**40
DTYPES = {
    name: np.dtype(name).newbyteorder("<")
    for name in (
        *("float16", "float32", "float64", "bool"),
        *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    )
}

AnyArray = npt.NDArray[Any]
Frame = tuple[dict[str, Any], AnyArray | None]


class InvalidFrame(ValueError):
    """Bytes that are no frame, or one that is larger than allowed; the message completes "it sent"."""


def encode(header: Mapping[str, Any], array: AnyArray | None = None) -> list[memoryview]:
    """The bytes of a frame, in parts. `array` is of one of `DTYPES`."""
    content, parts = dict(header), list[memoryview]()
    if array is not None:
        content["array"] = {"dtype": array.dtype.name, "shape": list(array.shape)}
        packed = np.ascontiguousarray(array, DTYPES[array.dtype.name])
        if packed.size:
            parts.append(packed.reshape(-1).view(np.uint8).data)
    text = json.dumps(content).encode("ascii")
    if len(text) > MAX_HEADER:
        raise InvalidFrame(f"a header of {len(text)} bytes")
    return [memoryview(LENGTH.pack(len(text)) + text), *parts]


class Decoder:
    """Puts a frame together from bytes: fill `space` from its beginning, and call `advance`, until `frame` is there.

    Args:
        largest: bytes that the array may have.
    """

    def __init__(self, largest: int) -> None:
        self.frame: Frame | None = None
        self._largest = largest
        self._header: dict[str, Any] | None = None
        self._array: AnyArray | None = None
        self._buffer = bytearray(LENGTH.size)
        self._sized = False
        self.space = memoryview(self._buffer)

    @property
    def started(self) -> bool:
        """Whether any byte has arrived."""
        return self._sized or len(self.space) < LENGTH.size

    def advance(self, count: int) -> None:
        """Take note that the first `count` bytes of `space` are filled.

        Raises:
            InvalidFrame: they are not what a frame consists of.
        """
        self.space = self.space[count:]
        if len(self.space):
            return
        if not self._sized:
            (length,) = LENGTH.unpack(self._buffer)
            if not 2 <= length <= MAX_HEADER:
                raise InvalidFrame(f"a header of {length} bytes")
            self._sized, self._buffer = True, bytearray(length)
            self.space = memoryview(self._buffer)
        elif self._header is None:
            self._header = _parse(bytes(self._buffer))
            self._array = _empty(self._header.pop("array", None), self._largest)
            if self._array is None or not self._array.size:
                self.frame = self._header, self._array
            else:
                self.space = self._array.reshape(-1).view(np.uint8).data
        else:
            self.frame = self._header, self._array


def send(descriptor: int, header: Mapping[str, Any], array: AnyArray | None = None) -> None:
    """Write a frame to a pipe that blocks."""
    for part in encode(header, array):
        while part:
            part = part[os.write(descriptor, part) :]


def receive(descriptor: int, largest: int) -> Frame | None:
    """Read a frame from a pipe that blocks; `None` at its end.

    Raises:
        InvalidFrame: what arrives is no frame, or ends inside one.
    """
    decoder = Decoder(largest)
    while decoder.frame is None:
        count = os.readv(descriptor, [decoder.space])
        if not count:
            if decoder.started:
                raise InvalidFrame("a frame that ends too early")
            return None
        decoder.advance(count)
    return decoder.frame


def _parse(text: bytes) -> dict[str, Any]:
    try:
        header = json.loads(text.decode("ascii"))
    except (ValueError, RecursionError):
        raise InvalidFrame("a header that is not JSON") from None
    if not isinstance(header, dict):
        raise InvalidFrame("a header that is not an object")
    return header


def _empty(declared: Any, largest: int) -> AnyArray | None:
    """An array of the declared type and shape, its values not yet there."""
    if declared is None:
        return None
    if not isinstance(declared, dict) or set(declared) != {"dtype", "shape"}:
        raise InvalidFrame("an array without a type and a shape")
    name, shape = declared["dtype"], declared["shape"]
    sides = isinstance(shape, list) and len(shape) <= MAX_RANK
    if not isinstance(name, str) or name not in DTYPES or not sides:
        raise InvalidFrame("an array of an unknown type or shape")
    if not all(type(side) is int and 0 <= side <= MAX_SIDE for side in shape):
        raise InvalidFrame("an array of an unknown type or shape")
    if math.prod(shape) * DTYPES[name].itemsize > largest:
        raise InvalidFrame(f"an array of the shape {shape}, larger than any logits")
    return np.empty(shape, DTYPES[name])
