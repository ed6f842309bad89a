"""Changes to safetensors files: weights with a card, checkpoints, the cache; sealed again afterwards."""

import hashlib
import json
import random
import struct
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from fuzzing.mutators import fields, raw
from fuzzing.mutators.values import MARKS, extreme
from zoo.files.card import CARD_DIGEST
from zoo.files.header import ITEM_SIZE, digest
from zoo.files.metadata import CHECKSUM_KEY, canonical_digest, to_metadata

FLOATS = (float("nan"), float("inf"), -1e38, 3e38, 1e-45, -0.0)


@dataclass
class File:
    """A safetensors file in parts.

    Args:
        key: of zoo's own JSON in the metadata.
        data: that JSON; the digest of the tensors stands in it as `digest`.
    """

    key: str
    tensors: dict[str, dict[str, Any]]
    bodies: dict[str, bytes]
    data: Any
    metadata: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, content: bytes, key: str) -> "File":
        """Take a valid file apart."""
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        metadata = header.pop("__metadata__")
        body = content[8 + length :]
        bodies = {name: body[slice(*entry["data_offsets"])] for name, entry in header.items()}
        return cls(key, header, bodies, json.loads(metadata[key]), metadata)

    def sealed(self, draw: random.Random, *, tensors: bool = True, text: bool = True) -> bytes:
        """The file as bytes.

        Args:
            tensors: renew the digest of the tensors.
            text: renew the checksum of the JSON.
        """
        if tensors and isinstance(self.data, dict):
            with suppress(TypeError, ValueError, KeyError, UnicodeError):
                self.data["digest"] = digest(
                    (name, entry["dtype"], tuple(entry["shape"]), self.bodies[name])
                    for name, entry in sorted(self.tensors.items())
                )
            seal_card(self.data)
        stored = fields.dump(self.data, draw)
        metadata = {**self.metadata, self.key: stored}
        if text:
            metadata |= {CHECKSUM_KEY: _checksum(stored)}
        header = fields.dump({"__metadata__": metadata, **self.tensors})
        encoded = header.encode("utf-8", "surrogatepass")
        encoded += b" " * (-len(encoded) % 8)
        return len(encoded).to_bytes(8, "little") + encoded + b"".join(self.bodies[name] for name in self.tensors)

    def lay_out(self) -> None:
        """Set every offset to where the bytes are."""
        end = 0
        for name, entry in self.tensors.items():
            begin, end = end, end + len(self.bodies[name])
            entry["data_offsets"] = [begin, end]


def seal_card(data: Any) -> None:
    """Renew the digest that a card holds of itself, where it has one."""
    if isinstance(data, dict) and CARD_DIGEST in data:
        with suppress(TypeError, ValueError, RecursionError):  # what is no JSON has no digest
            data[CARD_DIGEST] = canonical_digest({name: value for name, value in data.items() if name != CARD_DIGEST})


def mutate(
    content: bytes, key: str, draw: random.Random, outside: str = "", more: tuple[Any, ...] = ()
) -> tuple[bytes, list[str]]:
    """A changed file, and what was changed."""
    way = draw.random()
    if way < 0.15:
        changed, note = raw.damage(content, draw)
        return changed, [note]
    file = File.parse(content, key)
    if way < 0.68:
        notes = fields.mutate(file.data, draw, outside, more)
        return file.sealed(draw, tensors=draw.random() < 0.8, text=draw.random() < 0.95), notes
    if way < 0.92:
        notes = [draw.choice(TENSOR_WAYS)(file, draw)]
        return file.sealed(draw, tensors=draw.random() < 0.9), notes
    if way < 0.97:
        notes = fields.mutate(file.tensors, draw, outside)
        file.bodies = {**dict.fromkeys(file.tensors, b""), **file.bodies}
        return file.sealed(draw), ["the header:", *notes]
    notes = fields.mutate(file.metadata, draw, outside)
    return file.sealed(draw, text=draw.random() < 0.5), ["the metadata:", *notes]


def _checksum(text: str) -> str:
    """Of any text, as `to_metadata` takes it of the JSON that it makes."""
    assert CHECKSUM_KEY in to_metadata("x", {})
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _values(file: File, draw: random.Random) -> str:
    name = draw.choice([name for name, body in file.bodies.items() if body])
    entry, body = file.tensors[name], bytearray(file.bodies[name])
    if entry["dtype"] == "F32":
        value = draw.choice(FLOATS)
        for _ in range(draw.choice((1, 10))):
            struct.pack_into("<f", body, 4 * draw.randrange(len(body) // 4), value)
    else:
        value = draw.choice((0, 255, 127, 128))
        body[:] = bytes([value]) * len(body)
    file.bodies[name] = bytes(body)
    return f"{value} in {name}"


def _dtype(file: File, draw: random.Random) -> str:
    name = draw.choice(list(file.tensors))
    entry = file.tensors[name]
    entry["dtype"] = draw.choice([*ITEM_SIZE, "F4", "C64", "f32", "", "F8_E8M0"])
    size = ITEM_SIZE.get(entry["dtype"], 4)
    count = 1
    for length in entry["shape"]:
        count *= length
    file.bodies[name] = (file.bodies[name] * 9)[: count * size]
    file.lay_out()
    return f"{entry['dtype']} of {name}"


def _shape(file: File, draw: random.Random) -> str:
    name = draw.choice(list(file.tensors))
    entry = file.tensors[name]
    shape = list(entry["shape"])
    ways: list[list[Any]] = [
        *(shape[::-1], [*shape, 1], [1, *shape], shape[:-1], [], [0], [0, 2**62], [2**31, 2**31, 0], [1] * 70),
        *([-1, *shape[1:]], [len(file.bodies[name]) // ITEM_SIZE[entry["dtype"]]], [2**63, 2**63], [True, *shape]),
    ]
    entry["shape"] = draw.choice(ways)
    count = 1
    for length in entry["shape"]:
        count *= length
    if 0 <= count <= 10**6:
        file.bodies[name] = (file.bodies[name] * 80)[: count * ITEM_SIZE[entry["dtype"]]]
    file.lay_out()
    return f"the shape {entry['shape']} of {name}"


def _name(file: File, draw: random.Random) -> str:
    name = draw.choice(list(file.tensors))
    new = draw.choice((name + draw.choice(MARKS), name.upper(), name.partition(".")[2], str(extreme(draw))))
    file.tensors = {new if each == name else each: entry for each, entry in file.tensors.items()}
    file.bodies[new] = file.bodies[name]
    return f"{name} is called {new!r:.60}"


def _remove(file: File, draw: random.Random) -> str:
    name = draw.choice(list(file.tensors))
    del file.tensors[name], file.bodies[name]
    file.lay_out()
    return f"without {name}"


def _add(file: File, draw: random.Random) -> str:
    like = draw.choice(list(file.tensors))
    name = draw.choice((f"{like}2", "extra", "", f"optimizer.0.{draw.choice((0, 99, -1, 'x'))}.exp_avg", "best.x"))
    file.tensors[name], file.bodies[name] = dict(file.tensors[like]), file.bodies[like]
    file.lay_out()
    return f"{name!r} too"


def _many(file: File, draw: random.Random) -> str:
    for index in range(4_000):
        file.tensors[f"t{index}"], file.bodies[f"t{index}"] = {"dtype": "U8", "shape": [0]}, b""
    file.lay_out()
    return "4,000 empty tensors"


def _none(file: File, draw: random.Random) -> str:
    file.tensors, file.bodies = {}, {}
    return "no tensors"


def _swap(file: File, draw: random.Random) -> str:
    one, other = draw.choice(list(file.tensors)), draw.choice(list(file.tensors))
    for part in (file.tensors, file.bodies):
        part[one], part[other] = part[other], part[one]
    file.lay_out()
    return f"{one} and {other} changed places"


def _order(file: File, draw: random.Random) -> str:
    names = list(file.tensors)
    draw.shuffle(names)
    file.tensors = {name: file.tensors[name] for name in names}
    file.lay_out()
    return "another order"


TENSOR_WAYS = (_values, _values, _dtype, _dtype, _shape, _shape, _name, _remove, _add, _swap, _order, _none, _many)
