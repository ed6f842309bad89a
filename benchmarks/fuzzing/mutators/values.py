"""Values that readers trip over: extremes, wrong types, marks that terminals obey, paths out of the folder."""

import random
from typing import Any

CANARY = "zoofuzzcanary"  # a module that no reader has a reason to import
# Written as text into JSON and TOML, and turned there into what a Python value cannot be.
DEEP, DIGITS, HUGE = "@@deep@@", "@@digits@@", "@@huge@@"
NUMBERS: tuple[Any, ...] = (
    *(0, 1, -1, 2, 3, 7, 255, 256, 65535, 65536, 2**31 - 1, 2**31, -(2**31), 2**32, 2**53, 2**63 - 1, 2**63, 2**64),
    *(10**12, 10**30, -(10**30), 10**400, 0.0, -0.0, 0.5, 1e-320, 1e-7, 1e7, 1e30, 1e38, 3.5e38, 1e308, -1e308),
    *(float("nan"), float("inf"), float("-inf")),
)
TEXTS = (
    *("", " ", "a", "0", "-1", "nan", "1e999", "null", "true", "\x00", "a\x00b", "\n", "\r\n", "\t", "a" * 300),
    *("x" * 70_000, "é", "\u202eabc", "\u2066x\u2069", "\x1b[2J\x1b[31mred", "\x9b31m", "\x07", "\x7f", "\x85"),
    *("\ud800", "\udc80", "\ufeff", "\u2028", ".", "..", "../..", "../../outside/canary", "/etc/passwd", "/dev/zero"),
    *("/dev/stdin", "~", "~root", "$HOME", "a/b", "a\\b", "C:\\x", "COM1", "-", "--help", "-rf", "%s%n", "{0}", "{}"),
    *("${x}", "`id`", "; id", "__class__", "__import__('os')", f"{CANARY}:x", f"{CANARY}.x", "os:system", "builtins"),
    *("sha256:", "sha256:" + "0" * 64, "0" * 64, "zoo-kit", "zoo-kit:onnx", "zoo-kit/export:onnx", "resnet20"),
)
OTHERS: tuple[Any, ...] = (None, True, False, [], {}, [[]], [{}], {"": None}, [0] * 5000, {"a": {"b": [None]}}, [None])
MARKS = ("\x1b[31m", "\x9b", "\u202e", "\x00", "\n", "/", "../", "\ud800", '"', "'", "%", "\\", ":", "é")


def extreme(draw: random.Random, outside: str = "", more: tuple[Any, ...] = ()) -> Any:
    """A value that a field was not made for.

    Args:
        outside: the path of a file that must not be touched.
        more: values that mean something where this one goes.
    """
    kind = draw.random()
    if more and kind < 0.25:
        return draw.choice(more)
    if kind < 0.5:
        return draw.choice(NUMBERS)
    if kind < 0.78:
        return draw.choice((*TEXTS, outside) if outside else TEXTS)
    if kind < 0.94:
        return draw.choice(OTHERS)
    return draw.choice((DEEP, DIGITS, HUGE))


def near(draw: random.Random, value: Any) -> Any:
    """A value like `value`, and not it."""
    if isinstance(value, bool) or value is None:
        return draw.choice((None, True, False, 0, 1, "true"))
    if isinstance(value, int):
        return draw.choice(
            (value + 1, value - 1, -value, value * 2, value * 1000, float(value), str(value), value + 0.5)
        )
    if isinstance(value, float):
        return draw.choice((-value, value * 1e300, value / 1e300, value + 1, str(value), 1 / value if value else 1.0))
    if isinstance(value, str):
        at = draw.randint(0, len(value))
        return draw.choice(
            (
                value[:at] + draw.choice(MARKS) + value[at:],
                value[:at],
                value * draw.choice((2, 50, 3000)),
                value.upper(),
                value + " ",
                value[::-1],
                [value],
                value.encode().hex(),
            )
        )
    if isinstance(value, list):
        return draw.choice(
            (value[:-1], value + value[-1:], value[::-1], [], value * 40, [value], dict(enumerate(value)))
        )
    if isinstance(value, dict):
        return draw.choice(({}, [value], list(value), list(value.values()), {"": value}, dict(list(value.items())[1:])))
    return None
