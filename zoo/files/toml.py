"""Read a TOML file that a user or somebody else wrote, in bounded time and memory."""

import re
import tomllib
from pathlib import Path
from typing import Any

from zoo.files.regular import read_regular

MAX_BYTES = 1 << 18  # of a file
# `tomllib` takes time and memory in the square of the number of a key's parts: `a.a.a` has three.
MAX_PARTS = 32
STRING = re.compile(r"\"[^\"\n]*\"|'[^'\n]*'")
LONG_KEY = re.compile(rf"(?:[\w-]+[ \t]*\.[ \t]*){{{MAX_PARTS}}}")


def read_toml(path: Path) -> dict[str, Any]:
    """The content of the TOML file at `path`.

    Raises:
        OSError: it cannot be read, is not a regular file, or has more than `MAX_BYTES`.
        ValueError: it is not UTF-8 or not TOML, is nested too deeply, or a key has more than `MAX_PARTS` parts.
    """
    text = read_regular(path, MAX_BYTES).decode("utf-8-sig")
    if LONG_KEY.search(STRING.sub("s", text)):
        raise ValueError(f"a key has more than {MAX_PARTS} parts")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
