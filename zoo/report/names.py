"""Class names as a page or a picture can show them: they come from folders and files, and may hold anything."""

import re
import textwrap
from collections import Counter
from collections.abc import Collection, Sequence

LONGEST = 60  # letters of a name on a page
LETTERS = 9  # of a title that an inch has room for

# What starts something in GitHub's Markdown or in HTML: emphasis, code, links, tables, tags, entities, mathematics,
# mentions, and what makes a link of a bare address.
_MARKS = re.compile(r"[\\`*_\[\]<>|~&$:@#!]|(?<=www)\.", re.IGNORECASE)


def one_line(text: str, longest: int = LONGEST) -> str:
    """`text` on one line of at most `longest` letters, with nothing in it that cannot be seen."""
    seen = "".join(mark if mark.isprintable() else " " if mark.isspace() else "\ufffd" for mark in text)
    seen = " ".join(seen.split())
    if len(seen) <= longest:
        return seen
    end = (longest - 1) // 3  # names that begin alike often end in a number
    return f"{seen[: longest - 1 - end]}…{seen[len(seen) - end :]}"


def markdown(text: str, longest: int = LONGEST) -> str:
    """`text` for a cell or a line of a Markdown page, where it reads as it is and does nothing."""
    return _MARKS.sub(r"\\\g<0>", one_line(text, longest))


def wrapped(title: str, width: float) -> str:
    """A title on as many lines as it needs in a picture `width` inches wide."""
    return "\n".join(part for line in title.splitlines() for part in textwrap.wrap(line, int(LETTERS * width)))


def labels(names: Sequence[str], glyphs: Collection[int], longest: int) -> list[str]:
    """Class names for a picture, all different: `#index` for one that is empty, that looks like another where it is
    cut, or that has a letter which the font lacks.

    Args:
        glyphs: the code points that the font has.
        longest: letters that there is room for.
    """
    cut = [one_line(name, longest) for name in names]
    seen = Counter(cut)
    return [
        text if text and seen[text] == 1 and all(ord(mark) in glyphs for mark in text) else f"#{index}"
        for index, text in enumerate(cut)
    ]
