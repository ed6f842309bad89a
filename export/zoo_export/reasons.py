"""Why something failed, in one line. Loads little else."""

import re

from zoo.contract.printable import plain

ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-~])")  # colours and the like


def first_line(error: BaseException) -> str:
    """An error's type and the first line of its text that is not empty, without what a terminal would obey."""
    lines = [line.strip() for line in ESCAPES.sub("", str(error)).splitlines() if line.strip()]
    return f"{type(error).__name__}: {plain(lines[0])}" if lines else type(error).__name__
