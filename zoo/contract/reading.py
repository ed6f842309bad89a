"""Read data from a file field by field: every value has a type and a range, and an error names the field.

`fields(data)["probes"].items(1, 100)[3]["n"].integer(1, 64)` gives an integer from 1 to 64, or raises `Malformed`:
"probes[3].n is -1, not an integer from 1 to 64".
"""

import json
import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")

MAX_JSON = 1 << 24  # bytes of a JSON document: 16 MiB. Parsed, it takes about twenty times as much
MAX_DEPTH = 32  # of what is inside what, in free data such as a recipe
MAX_ITEMS = 1 << 20  # entries of a list or an object
MAX_TEXT = 1 << 16  # characters of a text of which no more is known
MAX_CLASSES = 100_000
MAX_LABEL = 1_000  # characters of the name of a class
MAX_INTEGER = 2**63 - 1
MAX_NUMBER = 1e300  # finite, and so is twice as much
SHA256 = re.compile(r"[0-9a-f]{64}")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class Malformed(ValueError):
    """A field of a file is missing, of the wrong type, or out of range. The message names the field and the value."""


@dataclass(frozen=True)
class Field:
    """A value of a file, and the path of the field that holds it, such as `certificate.probes[3].n`."""

    value: Any
    path: str = ""

    def __getitem__(self, key: str) -> "Field":
        """The field `key` of an object, which must be there."""
        value = self.get(key)
        if value is None:
            raise Malformed(f"{self.path or 'it'} has no {key}")
        return value

    def get(self, key: str) -> "Field | None":
        """The field `key` of an object, or `None` if it is not there."""
        data = self._object()
        return Field(data[key], f"{self.path}.{key}" if self.path else key) if key in data else None

    def only(self, *keys: str) -> "Field":
        """The same object, which has no other fields than `keys`."""
        for key in self._object():
            if key not in keys:
                raise Malformed(f"{self.path or 'it'} has the unknown field {shown(key)}")
        return self

    def text(self, limit: int = MAX_TEXT, pattern: re.Pattern[str] | None = None) -> str:
        """Text of at most `limit` characters that can be written as UTF-8, and that `pattern` matches whole."""
        value = self.value
        if not isinstance(value, str) or len(value) > limit or not is_unicode(value):
            raise self._not(f"text of at most {limit:,} characters")
        if pattern is not None and not pattern.fullmatch(value):
            raise self._not(f"of the form {pattern.pattern}")
        return value

    def integer(self, low: int = 0, high: int = MAX_INTEGER) -> int:
        """An integer from `low` to `high`; `true` and `1.0` are none."""
        if type(self.value) is not int or not low <= self.value <= high:
            raise self._not(f"an integer from {low:,} to {high:,}")
        return self.value

    def number(self, low: float = -MAX_NUMBER, high: float = MAX_NUMBER) -> float:
        """A finite number from `low` to `high`; `true` is none."""
        if type(self.value) not in (int, float) or not low <= self.value <= high:  # so for NaN
            raise self._not(f"a number from {low:g} to {high:g}")
        return float(self.value)

    def boolean(self) -> bool:
        """`true` or `false`."""
        if type(self.value) is not bool:
            raise self._not("true or false")
        return self.value

    def choice(self, values: Collection[T]) -> T:
        """One of `values`, of the same type."""
        for value in values:
            if type(self.value) is type(value) and self.value == value:
                return value
        raise self._not(f"one of {', '.join(map(str, values))}")

    def optional(self, read: Callable[["Field"], T]) -> T | None:
        """What `read` makes of it, or `None` for `null`."""
        return None if self.value is None else read(self)

    def items(self, low: int = 0, high: int = MAX_ITEMS) -> "list[Field]":
        """The elements of a list that has from `low` to `high` of them."""
        if not isinstance(self.value, list | tuple) or not low <= len(self.value) <= high:
            raise self._not(f"a list of {_count(low, high)}")
        return [Field(value, f"{self.path}[{index}]") for index, value in enumerate(self.value)]

    def entries(self, low: int = 0, high: int = 10_000, key_limit: int = 1_000) -> "dict[str, Field]":
        """The fields of an object whose keys are not fixed, and that has from `low` to `high` of them."""
        data = self._object()
        if not low <= len(data) <= high:
            raise self._not(f"an object of {_count(low, high)}")
        for key in data:
            Field(key, f"a key of {self.path}").text(key_limit)
        return {key: Field(value, f"{self.path}[{shown(key)}]") for key, value in data.items()}

    def plain(self, depth: int = MAX_DEPTH) -> Any:
        """Any JSON data: no deeper than `depth`, all text UTF-8, all numbers finite and in range."""
        value = self.value
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return self.text()
        if isinstance(value, int):
            return self.integer(-MAX_INTEGER)
        if isinstance(value, float):
            return self.number()
        if depth == 0:
            raise Malformed(f"{self.path[:100]} is nested more than {MAX_DEPTH} deep")
        if isinstance(value, list | tuple):
            return [each.plain(depth - 1) for each in self.items()]
        return {key: each.plain(depth - 1) for key, each in self.entries().items()}

    def _object(self) -> Mapping[str, Any]:
        if not isinstance(self.value, Mapping):
            raise self._not("an object")
        return self.value

    def _not(self, right: str) -> Malformed:
        return Malformed(f"{self.path or 'it'} is {shown(self.value)}, not {right}")


def fields(data: "Mapping[str, Any] | Field", path: str = "") -> Field:
    """`data` to be read field by field; a `Field` is returned as it is."""
    return data if isinstance(data, Field) else Field(data, path)


def parse_json(text: bytes) -> Any:
    """The data of a JSON document in UTF-8.

    A reader of duplicate keys picks one of them, and another reader may pick the other: they are refused.

    Raises:
        Malformed: it is not JSON, or too large, too deep, has a key twice, or a number that is not finite.
    """
    if len(text) > MAX_JSON:
        raise Malformed(f"it has {len(text):,} bytes, and the limit is {MAX_JSON:,}")
    try:
        return json.loads(text.decode(), object_pairs_hook=_unique, parse_constant=_not_finite, parse_float=_finite)
    except RecursionError:
        raise Malformed("it is nested too deep") from None
    except Malformed:
        raise
    except ValueError as error:
        raise Malformed(f"it is not JSON in UTF-8 ({error})") from None


def is_unicode(text: str) -> bool:
    """Whether `text` can be written as UTF-8: it holds no half of a surrogate pair."""
    return text.isascii() or not any("\ud800" <= mark <= "\udfff" for mark in text)


def shown(value: object) -> str:
    """`value` in an error: its beginning, or what it is."""
    if isinstance(value, Mapping):
        return f"an object of {_count(len(value), len(value))}"
    if isinstance(value, list | tuple):
        return f"a list of {_count(len(value), len(value))}"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > MAX_INTEGER:
        return f"an integer of {value.bit_length():,} bits"
    text = repr(value[:61] if isinstance(value, str) else value)
    return text if len(text) <= 70 else f"{text[:60]}…"


def _count(low: int, high: int) -> str:
    number = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    return f"{number} {'entry' if high == 1 else 'entries'}"


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for key, value in pairs:
        if key in data:
            raise Malformed(f"it has the key {shown(key)} twice")
        data[key] = value
    return data


def _not_finite(text: str) -> float:
    raise Malformed(f"it holds the number {text}, which is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise Malformed(f"it holds the number {text[:20]}, which is too large")
    return number
