"""How a field of a recipe is declared: once, as an annotation, from which everything else about it is derived.

    lr: Annotated[float | None, Field("Optimizer", "Peak learning rate.", gt=0, goes_with="opt")] = None

gives the checks of `Recipe` and of TOML files, the option of `zoo train` with its help, its place in the command that
reproduces a recipe, its row in a report and its row in the documentation's table.
"""

import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from dataclasses import Field as DataclassField
from difflib import get_close_matches
from functools import wraps
from itertools import pairwise
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from zoo.contract.errors import UsageError

T = TypeVar("T")

MAX_COUNT = 2**31  # of epochs, images of a batch and the like
MAX_RATE = 1e38  # of learning rates, weight decay and gradient norms: float32 holds little more
MAX_SIDE = 16384  # pixels
TYPES = {  # of values, in the words of an error message
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "a string",
    tuple: "a list of numbers",
    dict: "a table",
}


@dataclass(frozen=True)
class Field:
    """One field of a recipe.

    Args:
        group: the section of `zoo train --help`.
        help: one or two sentences: what it does, in which unit, and the value that turns it off.
        note: what the documentation says beyond that.
        ge, gt, le, lt: the range of a number, or of each number of a list, which must increase.
        choices: the strings that are allowed; empty for any.
        spellings: other spellings of a choice, and the choice that each stands for.
        unset: what is used where the value is `None`, in words.
        goes_with: the field whose choice gives this one its meaning. Where a flag makes another choice than a recipe
            file or a card, the file's value of this field is left out.
        requires: the field that must be set for this one to do anything.
        off: the value at which it does nothing, and a report does not show it.
        in_report: whether a report shows it in the table of the recipe.
        metavar: the name of its value in the help.
        short: a short flag.
        long: its flag, where that is not `--` and its name.
        old: its name in recipes of versions 1 and 2, which is still a hidden flag.
        old_values: what those versions wrote in place of a value.
        name, types, optional, default: filled in by `declared`.
    """

    group: str
    help: str
    note: str = ""
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    choices: tuple[str, ...] = ()
    spellings: Mapping[str, str] = field(default_factory=dict)
    unset: str = ""
    goes_with: str = ""
    requires: str = ""
    off: Any = None
    in_report: bool = True
    metavar: str = ""
    short: str = ""
    long: str = ""
    old: str = ""
    old_values: Mapping[Any, Any] = field(default_factory=dict)

    name: str = ""
    type: type = str
    optional: bool = False
    default: Any = None

    @property
    def flag(self) -> str:
        """The flag of `zoo train` that sets it."""
        return self.long or f"--{self.name.replace('_', '-')}"

    @property
    def negative_flag(self) -> str:
        """The flag that sets it to false, if it is true or false."""
        return f"--no-{self.flag.removeprefix('--')}"

    @property
    def range(self) -> str:
        """The allowed values in words, such as `at least 0 and less than 1`; empty where any will do."""
        if self.choices:
            typed = {choice: spelling for spelling, choice in self.spellings.items()}
            return f"one of {', '.join(typed.get(choice, choice) for choice in self.choices)}"
        bounds = (("at least", self.ge), ("greater than", self.gt), ("at most", self.le), ("less than", self.lt))
        words = " and ".join(f"{word} {_number(bound)}" for word, bound in bounds if bound is not None)
        return f"increasing numbers {words}" if self.type is tuple else words

    def has_type(self, value: Any) -> bool:
        """Whether the value is of the declared type; an integer will do for a float, and a list for a tuple."""
        if value is None:
            return self.optional
        if isinstance(value, list | tuple):
            return self.type is tuple and all(_is_number(item) for item in value)
        if self.type is float:
            return _is_number(value)
        if self.type is dict:
            return isinstance(value, Mapping)
        return isinstance(value, self.type) and (self.type is bool or not isinstance(value, bool))

    def in_range(self, value: Any) -> bool:
        """Whether a value of the declared type is allowed. Numbers must be finite."""
        if value is None:
            return True
        if self.choices:
            return value in self.choices or value in self.spellings
        if self.type is tuple:
            return all(self._holds(item) for item in value) and all(x < y for x, y in pairwise(value))
        return self.type not in (int, float) or self._holds(value)

    def as_declared(self, value: Any) -> Any:
        """A value of an allowed type as the declared type: an integer becomes a float, and a list a tuple.

        Another spelling of a choice becomes the choice.
        """
        if self.spellings:
            return self.spellings.get(value, value)
        if self.type is tuple and value is not None:
            return tuple(float(item) for item in value)
        return float(value) if self.type is float and value is not None else value

    def is_on(self, value: Any) -> bool:
        """Whether the value does anything."""
        return value is not None and (self.off is None or value != self.off)

    def _holds(self, number: float) -> bool:
        return (
            _is_finite(number)
            and (self.ge is None or number >= self.ge)
            and (self.gt is None or number > self.gt)
            and (self.le is None or number <= self.le)
            and (self.lt is None or number < self.lt)
        )


def explained(recipe: type[T]) -> type[T]:
    """Give a dataclass of keyword arguments an `__init__` that explains which of them are missing or unknown.

    Its `__init__` raises `UsageError` where that of a dataclass raises `TypeError`.
    """
    names = [entry.name for entry in fields(recipe)]  # type: ignore[arg-type]
    needed = [
        entry.name
        for entry in fields(recipe)  # type: ignore[arg-type]
        if entry.default is MISSING and entry.default_factory is MISSING
    ]
    plain = recipe.__init__

    @wraps(plain)
    def init(self: T, *args: Any, **values: Any) -> None:
        missing = [name for name in needed if name not in values]
        unknown = [name for name in values if name not in names]
        if args or missing:
            raise UsageError(
                f"A recipe needs {' and '.join(needed)}, by name.", f"Pass {', '.join(missing or needed)}."
            )
        if unknown:
            close = get_close_matches(unknown[0], names, n=1)
            raise UsageError(
                f"{unknown[0]!r} is not a field of a recipe.",
                f"Did you mean {close[0]}?" if close else f"The fields are: {', '.join(names)}.",
            )
        plain(self, **values)

    recipe.__init__ = init  # type: ignore[assignment]
    return recipe


def declared(recipe: type) -> dict[str, Field]:
    """The fields of a dataclass whose annotations are `Annotated[type, Field(...)]`, by name, in their order."""
    hints = get_type_hints(recipe, include_extras=True)
    fields_of = {}
    for entry in fields(recipe):
        kind, declaration = get_args(hints[entry.name])
        kinds = get_args(kind) if isinstance(kind, UnionType) else (kind,)
        first = get_origin(kinds[0]) or kinds[0]
        fields_of[entry.name] = replace(
            declaration,
            name=entry.name,
            type=dict if issubclass(first, Mapping) else first,
            optional=type(None) in kinds,
            default=_default(entry),
        )
    return fields_of


def _default(entry: DataclassField[Any]) -> Any:
    """The default of a dataclass field; `None` for one that must be set."""
    if entry.default_factory is not MISSING:
        return entry.default_factory()
    return None if entry.default is MISSING else entry.default


def _is_finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # an integer beyond the range of float
        return False


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(bound: float) -> str:
    return f"{bound:g}" if bound < 2**31 else f"2**{int(bound).bit_length() - 1}"
