"""Names as people type them: `resnet18`, or with its owner where several plugins provide one of that name.

NAME                            resnet18
DISTRIBUTION:NAME               zoo-kit:resnet18
ENTRY_POINT:NAME                classic:resnet18
DISTRIBUTION/ENTRY_POINT:NAME   zoo-kit/classic:resnet18, which is always unambiguous
"""

import re
from collections.abc import Iterable

QUALIFIED = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?:[a-z0-9][a-z0-9_]*")


def bare_name(name: str) -> str:
    """`resnet18` of `zoo-kit/classic:resnet18`; a bare name as it is."""
    return name.rpartition(":")[2]


def owner_name(name: str) -> str:
    """`zoo-kit/classic` of `zoo-kit/classic:resnet18`; empty for a bare name."""
    return name.rpartition(":")[0]


def is_owner(owner: str, distribution: str, entry_point: str) -> bool:
    """Whether `owner` is that distribution, or `DISTRIBUTION/ENTRY_POINT` in full."""
    named, slash, point = owner.partition("/")
    return normalized(named) == normalized(distribution) and (not slash or point == entry_point)


def normalized(distribution: str) -> str:
    """A distribution's name as package indexes compare it: `Zoo_Kit` is `zoo-kit`."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def close_names(name: str, names: Iterable[str], n: int = 3, cutoff: float = 0.6) -> list[str]:
    """At most `n` of `names` that are spelt like `name`, the closest first; see `difflib.get_close_matches`."""
    from difflib import get_close_matches  # takes time that listings need not spend

    return get_close_matches(name, list(names), n=n, cutoff=cutoff)
