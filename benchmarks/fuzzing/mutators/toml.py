"""Changes to TOML files: to their values, as to those of JSON, and to their text."""

import math
import random
import re
import tomllib
from typing import Any

from fuzzing.mutators import fields, raw
from fuzzing.mutators.values import DEEP, DIGITS, HUGE

BARE = re.compile(r"[A-Za-z0-9_-]+")
LITERALS = (  # values that JSON does not have
    *("1979-05-27T07:32:00Z", "1979-05-27", "07:32:00", "inf", "-inf", "nan", "0x7fffffffffffffffff", "0o7", "1_000"),
    *("'''a\nb'''", '"""\n"""', "{a = 1}", "[1, 'a', [2]]", "+1", "1e+400", "[[[]]]", "0b1", "1.0e-400", "-0", "+0.0"),
)
LINES = (
    *("[x]", "[[x]]", "x.y = 1", "= 1", "x", "x =", "[", "x = [", '"" = 1', "x = 1 # \x00", "\x1b[31m = 1", "é = 1"),
    *("x = 1\rx = 2", 'x = "\\ud800"', 'x = "\\U00110000"', "[a.b]\n[a]\nb = 1", "version = 1", "version = 2"),
)


def mutate(
    content: bytes, draw: random.Random, outside: str = "", more: tuple[Any, ...] = ()
) -> tuple[bytes, list[str]]:
    """A changed TOML file, and what was changed."""
    way = draw.random()
    if way < 0.62:
        data = tomllib.loads(content.decode())
        notes = fields.mutate(data, draw, outside, more)
        return _dump(data).encode("utf-8", "surrogatepass"), notes
    if way < 0.88:
        lines = content.decode().splitlines()
        at = draw.randrange(len(lines))
        name = lines[at].partition("=")[0]
        lines[at] = draw.choice((f"{name}= {draw.choice(LITERALS)}", draw.choice(LINES), lines[0], ""))
        return "\n".join(lines).encode(), [f"the line {lines[at]!r:.60}"]
    if way < 0.895:
        return b"a = " + b"[" * 50_000 + b"]" * 50_000, ["50,000 brackets"]
    if way < 0.905:
        return b"a." * 50_000 + b"a = 1", ["a key of 50,000 parts"]
    changed, note = raw.damage(content, draw)
    return changed, [note]


def _dump(data: Any) -> str:
    return "".join(f"{_key(name)} = {_value(value)}\n" for name, value in data.items())


def _key(name: Any) -> str:
    return name if BARE.fullmatch(str(name)) else _text(str(name))


def _value(value: Any) -> str:
    if value is None:
        return '"None"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return "9" * 5000 if abs(value) > 10**4000 else str(value)
    if isinstance(value, float):
        return "nan" if math.isnan(value) else repr(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(name)} = {_value(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return {DEEP: "[" * 3000 + "]" * 3000, DIGITS: "9" * 5000, HUGE: "1e999"}.get(value, _text(str(value)))


def _text(text: str) -> str:
    return '"' + "".join(f"\\u{ord(mark):04x}" if ord(mark) < 32 or mark in '"\\\x7f' else mark for mark in text) + '"'
