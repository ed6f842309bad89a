"""Symbolic sizes in a PT2 graph, written as sympy's `srepr`: PyTorch reads them with `eval`, so only these pass.

    SIZE     := Symbol('s77', positive=True, integer=True) | Integer(4) | -4 | NAME(SIZE, ...)

An expression is also bounded, as sympy computes while it reads: `Pow` of large numbers would never end.
"""

import re
from typing import Any

from zoo.contract.printable import quoted
from zoo_export.formats.operators import listed
from zoo_export.formats.pytorch_archive import Refused

LONGEST, DEEPEST, MOST_POWERS = 10_000, 40, 4
FUNCTIONS = listed(
    "Add Mul Pow Min Max Mod PythonMod FloorDiv CleanDiv CeilDiv CeilToInt FloorToInt TruncToInt RoundToInt "
    "IntTrueDiv ToFloat Where Identity Equality Unequality LessThan StrictLessThan GreaterThan "
    "StrictGreaterThan And Or "
    "Not"
)
TOKEN = re.compile(
    r" ?(?:(?P<symbol>Symbol\('[suf]\d{1,9}'(?:, ?(?:positive|integer|nonnegative|real)=True){0,4}\))"
    r"|(?P<number>(?:Integer\(-?\d{1,19}\)|Rational\(-?\d{1,19}, ?\d{1,19}\)|Float\('-?\d{1,20}\.\d{0,40}', "
    r"precision=\d{1,3}\)|-?\d{1,19}|true|false))"
    r"|(?P<open>[A-Za-z]+\()|(?P<comma>,)|(?P<close>\)))"
)
SMALL_EXPONENT = re.compile(r", ?(?:Integer\(-?\d\)|-?\d|Rational\(-?1, ?[1-9]\))\)")


def expression(text: Any) -> Any:
    """Return `text` if it is an expression over sizes.

    Raises:
        Refused: it is anything else.
    """
    if not isinstance(text, str) or len(text) > LONGEST or not _is_size(text):
        raise Refused(f"it holds the expression {quoted(text)}, which could run code or never end")
    return text


def _is_size(text: str) -> bool:
    """Walk over the tokens: a value may come where one is due, and a comma or a bracket after a value."""
    at, due, calls, powers = 0, True, list[str](), 0
    while at < len(text):
        token = TOKEN.match(text, at)
        if token is None:
            return False
        if (token.lastgroup in ("symbol", "number", "open")) != due:
            return False
        if token.lastgroup == "open":
            name = token["open"][:-1]
            calls.append(name)
            powers += name == "Pow"
            if name not in FUNCTIONS or len(calls) > DEEPEST or powers > MOST_POWERS:
                return False
        elif not due and (not calls or _raises_to_a_large_power(text, token, calls[-1])):
            return False
        elif token.lastgroup == "close":
            calls.pop()
        due = token.lastgroup in ("open", "comma")
        at = token.end()
    return not calls and not due


def _raises_to_a_large_power(text: str, token: re.Match[str], call: str) -> bool:
    return token.lastgroup == "comma" and call == "Pow" and not SMALL_EXPONENT.match(text, token.start("comma"))
