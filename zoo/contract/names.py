"""Names of specs, classes and files.

People type the name of a spec alone, or with its owner where several plugins provide one of that name:

NAME                            resnet18
DISTRIBUTION:NAME               zoo-kit:resnet18
ENTRY_POINT:NAME                classic:resnet18
DISTRIBUTION/ENTRY_POINT:NAME   zoo-kit/classic:resnet18, which is always unambiguous

The name of an architecture may begin with the collection that it belongs to: COLLECTION/NAME, such as timm/resnet18.
Its weights are COLLECTION/NAME.TAG, and lie in a folder of the collection's name.
"""

import re
from collections.abc import Iterable, Sequence

from zoo.contract.errors import DataError

OWN_DISTRIBUTION = "zoo-kit"
NAME = re.compile(r"[a-z0-9][a-z0-9_]*")
COLLECTED = re.compile(rf"({NAME.pattern}/)?{NAME.pattern}")
QUALIFIED = re.compile(rf"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?:{COLLECTED.pattern}")
MEMBER = re.compile(rf"{NAME.pattern}/{NAME.pattern}(\.[\w.-]+)?")  # of a collection, or weights of one
UNUSABLE = {"Cc": "a control character", "Cs": "bytes that are not UTF-8", "Zl": "a line break", "Zp": "a line break"}
MAX_FILE_NAME = 200  # bytes; file systems take 255, and temporary files have longer names than the file


def is_file_name(name: str) -> bool:
    """Whether a file or folder can have this name on every system, and a message and a command can show it."""
    return (
        name.isprintable()  # no control characters, line breaks or bytes that are not UTF-8
        and len(name.encode(errors="replace")) <= MAX_FILE_NAME
        and not set(name) & set('/\\:*?"<>|')
        and name.strip(" ") == name
        and not name.endswith(".")
        and bool(name)
    )


def bare_name(name: str) -> str:
    """`resnet18` of `zoo-kit/classic:resnet18`; a bare name as it is."""
    return name.rpartition(":")[2]


def owner_name(name: str) -> str:
    """`zoo-kit/classic` of `zoo-kit/classic:resnet18`; empty for a bare name."""
    return name.rpartition(":")[0]


def collection_name(name: str) -> str:
    """`timm` of `timm/resnet18`, of `zoo-kit:timm/resnet18` and of `timm/resnet18.TAG`; empty for others."""
    bare = bare_name(name)
    return bare.partition("/")[0] if MEMBER.fullmatch(bare) else ""


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


def unusable(name: str) -> str:
    """What keeps a name from being recorded, such as `a control character`; empty if nothing does."""
    if not name.strip():
        return "nothing but spaces"
    from unicodedata import category  # names in listings are checked otherwise

    return next((UNUSABLE[kind] for kind in map(category, name) if kind in UNUSABLE), "")


def check_class_names(names: Sequence[str], dataset: str) -> None:
    """Check that every name can be recorded, before anything is trained for it.

    Raises:
        DataError: a name is empty, not UTF-8, or has a line break or a control character.
    """
    for index, name in enumerate(names):
        if reason := unusable(name):
            raise DataError(
                f"The name of class {index} of the data set {dataset}, {name!a}, has {reason}.",
                "Rename the class.",
            )


def names_alike(names: Sequence[str]) -> list[str]:
    """Pairs of names that differ in case, in Unicode form or in outer spaces alone, each as `Cat and cat`."""
    from unicodedata import normalize

    first: dict[str, str] = {}
    pairs = []
    for name in names:
        folded = normalize("NFKC", name).casefold().strip()
        if folded in first:
            pairs.append(f"{first[folded]} and {name}")
        first.setdefault(folded, name)
    return pairs
