"""Compare a file or a folder with a digest that the user got for it by another way, such as a web page."""

import re

from zoo.contract.errors import DifferenceError, UsageError
from zoo.files.card import Card

DIGEST = re.compile(r"(?:sha256:)?([0-9a-f]{64})", re.IGNORECASE)


def digest_of(card: Card) -> str:
    """The digest that stands for a weights file: of its whole card, which holds the digest of the tensors.

    A card of format 1 has only the digest of the tensors.
    """
    return card.card_digest or card.digest


def parse_digest(expected: str) -> str:
    """`sha256:` and 64 lower-case hex digits, of a digest with or without `sha256:`.

    Raises:
        UsageError: it is no such digest.
    """
    match = DIGEST.fullmatch(expected.strip())
    if match is None:
        raise UsageError(
            f"{expected[:100]!r} is not a SHA-256 digest.",
            "Use the 64 hex digits that `zoo weights verify FILE` or `zoo verify DIR` shows.",
        )
    return f"sha256:{match[1].lower()}"


def check_digest(expected: str | None, actual: str, subject: str) -> None:
    """Refuse a file or folder, `subject`, whose digest is not the expected one; `None` expects none.

    Raises:
        DifferenceError: they differ.
        UsageError: `expected` is no digest.
    """
    if expected is not None and parse_digest(expected) != actual:
        raise DifferenceError(
            f"{subject} has the digest {actual or 'none'}, not {parse_digest(expected)}.",
            "It is another file than the one whose digest you have. Get it again from its author.",
        )
