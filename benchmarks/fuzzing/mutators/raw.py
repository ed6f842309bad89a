"""Changes to bytes that know nothing of what the bytes are."""

import random
import struct

INTEGERS = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def damage(content: bytes, draw: random.Random) -> tuple[bytes, str]:
    """The bytes changed in one way, and which."""
    if not content:
        return draw.randbytes(draw.randint(1, 64)), "random bytes"
    way = draw.choice(WAYS)
    return way(content, draw), way.__name__


def flip_bits(content: bytes, draw: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(draw.choice((1, 1, 1, 2, 8, 64))):
        changed[_position(content, draw)] ^= 1 << draw.randrange(8)
    return bytes(changed)


def set_bytes(content: bytes, draw: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(draw.choice((1, 1, 4, 16))):
        changed[_position(content, draw)] = draw.choice((0, 1, 0x7F, 0x80, 0xFF, draw.randrange(256)))
    return bytes(changed)


def set_integer(content: bytes, draw: random.Random) -> bytes:
    at = _position(content, draw)
    size = draw.choice(["<H", ">H", "<I", ">I", "<Q", ">Q"])
    value = draw.choice(INTEGERS) & (2 ** (8 * struct.calcsize(size)) - 1)
    return content[:at] + struct.pack(size, value) + content[at + struct.calcsize(size) :]


def truncate(content: bytes, draw: random.Random) -> bytes:
    return content[: draw.choice((0, 1, 4, 8, len(content) - 1, draw.randrange(len(content))))]


def insert(content: bytes, draw: random.Random) -> bytes:
    at = _position(content, draw)
    piece = draw.choice((b"\0" * 8, b"\xff" * 8, draw.randbytes(draw.choice((1, 3, 100))), _piece(content, draw)))
    return content[:at] + piece + content[at:]


def cut(content: bytes, draw: random.Random) -> bytes:
    at = _position(content, draw)
    return content[:at] + content[at + draw.choice((1, 2, 8, 100, 5000)) :]


def copy_piece(content: bytes, draw: random.Random) -> bytes:
    at, piece = _position(content, draw), _piece(content, draw)
    return content[:at] + piece + content[at + len(piece) :]


def append(content: bytes, draw: random.Random) -> bytes:
    return content + draw.choice((b"\0", b"\0" * 4096, draw.randbytes(33), content[:4096], content))


def prepend(content: bytes, draw: random.Random) -> bytes:
    return (
        draw.choice((b"\0", b"\xef\xbb\xbf", b"PK\x03\x04", b"\x80\x04", b"#!/bin/sh\n", draw.randbytes(9))) + content
    )


def zeros(content: bytes, draw: random.Random) -> bytes:
    at, size = _position(content, draw), draw.choice((8, 64, 4096, len(content)))
    return content[:at] + b"\0" * min(size, len(content) - at) + content[at + size :]


def noise(content: bytes, draw: random.Random) -> bytes:
    return draw.randbytes(draw.choice((1, 8, 100, 5000)))


WAYS = (
    *(flip_bits, flip_bits, set_bytes, set_bytes, set_integer, set_integer),
    *(truncate, insert, cut, copy_piece, append, prepend, zeros, noise),
)


def _position(content: bytes, draw: random.Random) -> int:
    """More often at the beginning or the end, where headers and directories are."""
    edge = min(len(content), 512)
    where = draw.random()
    if where < 0.35:
        return draw.randrange(edge)
    if where < 0.6:
        return len(content) - 1 - draw.randrange(edge)
    return draw.randrange(len(content))


def _piece(content: bytes, draw: random.Random) -> bytes:
    begin = draw.randrange(len(content))
    return content[begin : begin + draw.choice((1, 4, 8, 64, 1024))]
