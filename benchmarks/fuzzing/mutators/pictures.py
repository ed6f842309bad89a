"""Changes to images: PNG chunk by chunk with its checksums, JPEG by segments, all by their bytes; and to IDX files."""

import gzip
import random
import struct
import zlib

from fuzzing.mutators import raw

EPS = (
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 16 16\n%%EndComments\n(canary) (w) file closefile\nshowpage\n%%EOF\n"
)
SIDES = (0, 1, 2, 28, 255, 256, 5000, 13_000, 30_000, 60_000, 65_535, 2**31 - 1, 2**31, 2**32 - 1)


def mutate(content: bytes, draw: random.Random) -> tuple[bytes, list[str]]:
    """A changed image, and what was changed."""
    way = draw.random()
    if way < 0.03:
        return EPS, ["PostScript"]
    if way < 0.08:
        width, height = draw.choice(((1, 60_000), (60_000, 1), (1, 1), (12_000, 12_000), (20_000, 20_000), (3, 9000)))
        return blank(width, height, draw.choice((0, 2, 3, 6))), [f"{width}×{height} pixels of one colour"]
    if content.startswith(b"\x89PNG") and way < 0.7:
        return _png(content, draw)
    if content.startswith(b"\xff\xd8") and way < 0.6:
        return _jpeg(content, draw)
    changed, note = raw.damage(content, draw)
    return changed, [note]


def blank(width: int, height: int, colours: int) -> bytes:
    """A valid PNG of zeros; a megapixel takes about a kilobyte."""
    samples = {0: 1, 2: 3, 3: 1, 6: 4}[colours]
    stream = zlib.compressobj(1)
    row = b"\0" * (1 + width * samples)
    body = b"".join(stream.compress(row) for _ in range(height)) + stream.flush()
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colours, 0, 0, 0))]
    chunks += [(b"PLTE", b"\0\0\0\xff\xff\xff")] if colours == 3 else []
    return _packed([*chunks, (b"IDAT", body), (b"IEND", b"")])


def _png(content: bytes, draw: random.Random) -> tuple[bytes, list[str]]:
    chunks, at = [], 8
    while at < len(content):
        (length,) = struct.unpack_from(">I", content, at)
        chunks.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + length]))
        at += 12 + length
    index = draw.randrange(len(chunks))
    name, body = chunks[index]
    way = draw.randrange(7)
    if way == 0:
        header = bytearray(chunks[0][1])
        struct.pack_into(">I", header, draw.choice((0, 4)), draw.choice(SIDES))
        chunks[0] = (b"IHDR", bytes(header))
        note = "a side"
    elif way == 1:
        header = bytearray(chunks[0][1])
        header[draw.randrange(8, 13)] = draw.choice((0, 1, 2, 3, 4, 6, 8, 16, 99))
        chunks[0] = (b"IHDR", bytes(header))
        note = "a field of IHDR"
    elif way == 2:
        del chunks[index]
        note = f"without {name!r}"
    elif way == 3:
        chunks.insert(index, (name, body))
        note = f"{name!r} twice"
    elif way == 4:
        kinds = (
            b"tEXt",
            b"zTXt",
            b"iTXt",
            b"iCCP",
            b"eXIf",
            b"acTL",
            b"fcTL",
            b"tRNS",
            b"PLTE",
            b"gAMA",
            b"sBIT",
            b"xxxx",
        )
        payload = draw.choice((b"", b"\0" * 9, draw.randbytes(40), b"a\0\0" + zlib.compress(b"\0" * 80_000_000, 1)))
        chunks.insert(1, (draw.choice(kinds), payload))
        note = f"{chunks[1][0]!r} of {len(payload)} bytes"
    elif way == 5:
        chunks[index] = (name, raw.damage(body, draw)[0])
        note = f"{name!r} damaged"
    else:
        pixels = b"".join(body for name, body in chunks if name == b"IDAT")
        changed = raw.damage(zlib.decompress(pixels), draw)[0]
        chunks = [(name, zlib.compress(changed) if name == b"IDAT" else body) for name, body in chunks]
        note = "pixels damaged"
    return _packed(chunks), [note]


def _packed(chunks: list[tuple[bytes, bytes]]) -> bytes:
    parts = [
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _jpeg(content: bytes, draw: random.Random) -> tuple[bytes, list[str]]:
    """One length, one side or one table."""
    starts = [at for at in range(len(content) - 9) if content[at] == 0xFF and 0xC0 <= content[at + 1] <= 0xFE]
    at = draw.choice(starts)
    changed = bytearray(content)
    offset, value = draw.choice(((2, draw.choice(SIDES)), (5, draw.choice(SIDES)), (7, draw.choice(SIDES)), (4, 99)))
    struct.pack_into(">H", changed, at + offset, value & 0xFFFF)
    return bytes(changed), [f"{value} in the segment {content[at + 1]:x}"]


def mutate_idx(content: bytes, draw: random.Random) -> tuple[bytes, list[str]]:
    """A changed IDX file, which may be compressed."""
    packed = content.startswith(b"\x1f\x8b")
    data = gzip.decompress(content) if packed else content
    way = draw.random()
    if way < 0.45:
        changed = bytearray(data)
        struct.pack_into(">I", changed, draw.choice((0, 4, 8, 12)), draw.choice((*SIDES, 2049, 2051, 9, 11, 1_000_000)))
        note = "the header"
        data = bytes(changed)
    elif way < 0.6:
        data = data + b"\0" * draw.choice((1, 1000, 20_000_000))
        note = "more bytes"
    elif way < 0.65:
        data = struct.pack(">IIII", 2051, 1_000_000, 28, 28) + b"\0" * 50_000_000
        note = "a million images that are not there"
    elif way < 0.8:
        data, note = raw.damage(data, draw)
    if packed and way < 0.8:
        return gzip.compress(data, 1, mtime=0), [note]
    if way < 0.8:
        return data, [note]
    changed_bytes, note = raw.damage(content, draw)
    return changed_bytes, [note]
