"""The keys under which zoo keeps what an ONNX file says of itself in its metadata."""

import re
import unicodedata

NAME, LABELS, PREPROCESS = OWN = "zoo.name", "zoo.labels", "zoo.preprocess"
CLAIMS = {"labels": LABELS, "preprocessing": PREPROCESS}
DIGITS = str.maketrans("01", "ol")  # which look like these letters


def twin_of(key: str) -> str:
    """The key of zoo's that a person would read `key` as, though it is another one; empty if there is none.

    Case, spaces, punctuation, accents and invisible characters do not count. A letter that is not ASCII may look like
    any other, as those of Greek and Cyrillic do.
    """
    if key in OWN:
        return ""
    marks = [mark for mark in unicodedata.normalize("NFKD", key).casefold() if unicodedata.category(mark)[0] in "LN"]
    pattern = re.compile("".join(mark if mark.isascii() else "." for mark in marks).translate(DIGITS))
    return next((own for own in OWN if pattern.fullmatch(own.replace(".", ""))), "")
