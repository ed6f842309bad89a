"""Class names as a page or a picture can show them: they come from folders and files, and may hold anything."""

import re
from collections.abc import Collection

LONGEST = 60  # letters of a name on a page

# What starts something in GitHub's Markdown or in HTML: emphasis, code, links, tables, tags, entities, mathematics,
# mentions, and what makes a link of a bare address.
_MARKS = re.compile(r"[\\`*_\[\]<>|~&$:@#!]|(?<=www)\.", re.IGNORECASE)


def one_line(text: str, longest: int = LONGEST) -> str:
    """`text` on one line of at most `longest` letters, with nothing in it that cannot be seen."""
    seen = "".join(mark if mark.isprintable() else " " if mark.isspace() else "\ufffd" for mark in text)
    seen = " ".join(seen.split())
    return seen if len(seen) <= longest else f"{seen[: longest - 1]}…"


def markdown(text: str, longest: int = LONGEST) -> str:
    """`text` for a cell or a line of a Markdown page, where it reads as it is and does nothing."""
    return _MARKS.sub(r"\\\g<0>", one_line(text, longest))


def label(name: str, index: int, glyphs: Collection[int], longest: int) -> str:
    """A class name for a picture: `#index` where it is empty or the font lacks one of its letters.

    Args:
        glyphs: the code points that the font has.
        longest: letters that there is room for.
    """
    shown = one_line(name, longest)
    return shown if shown and all(ord(mark) in glyphs for mark in shown) else f"#{index}"
