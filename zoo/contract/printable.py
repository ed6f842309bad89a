"""Text that is safe to show: names, cards and messages may come from anywhere, and a terminal obeys some characters.

Escape sequences, C0 and C1 controls, bidirectional marks and invisible characters become `\\uXXXX`. So nothing that
is read from a file moves the cursor, changes what was printed before, or looks like something else.
"""

import json
from typing import Any

# What Unicode calls default-ignorable and draws as nothing, where str.isprintable allows it; and the blank of Braille
INVISIBLE = {0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0}
INVISIBLE |= {*range(0x180B, 0x1810), *range(0xFE00, 0xFE0F), *range(0xE0100, 0xE01F0)}  # all but the emoji selector


def plain(text: object) -> str:
    """`text` on one line, with what a terminal would obey or not draw written as `\\uXXXX`."""
    line = str(text)
    if line.isascii() and line.isprintable():
        return line
    return "".join(mark if _is_shown(mark) else " " if mark.isspace() else _escaped(mark) for mark in line)


def quoted(text: object, longest: int = 80) -> str:
    """A file's own text for a message: as `plain`, in quotes, with at most `longest` characters."""
    line = plain(text)
    return repr(line if len(line) <= longest else f"{line[:longest]}…")


def shortened(text: str, longest: int) -> str:
    """`text`, cut after a word and ended with "…" where it has more than `longest` characters."""
    if len(text) <= longest:
        return text
    kept = text[: longest - 1]
    return f"{kept[: kept.rfind(' ')] if ' ' in kept else kept}…"


def plain_lines(text: str) -> str:
    """`text` with its line breaks, and each line as `plain` has it."""
    return "\n".join(plain(line) for line in text.split("\n"))


def json_text(data: Any) -> str:
    """`data` as indented JSON that any parser reads as the same data, and that is safe on a terminal.

    Raises:
        ValueError: a number is not finite.
    """
    return _json(data, indent=2)


def json_line(data: Any) -> str:
    """As `json_text`, on one line."""
    return _json(data, indent=None)


def _json(data: Any, indent: int | None) -> str:
    text = json.dumps(data, indent=indent, ensure_ascii=False, allow_nan=False)
    if text.isascii():  # json escapes C0 controls
        return text.replace("\x7f", "\\u007f")
    return "".join(mark if mark == "\n" or _is_shown(mark) else _escaped(mark, pairs=True) for mark in text)


def _is_shown(mark: str) -> bool:
    return mark.isprintable() and ord(mark) not in INVISIBLE


def _escaped(mark: str, *, pairs: bool = False) -> str:
    """`\\uXXXX`; beyond 16 bits `\\UXXXXXXXX`, or two surrogates, as JSON has it."""
    if ord(mark) < 0x10000:
        return f"\\u{ord(mark):04x}"
    return json.dumps(mark)[1:-1] if pairs else f"\\U{ord(mark):08x}"
