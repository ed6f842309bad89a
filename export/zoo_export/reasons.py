"""Why something failed, in one line. Loads little else."""

import re

from zoo.contract.printable import plain, shortened

AGAIN = "Export it again, or get it from its author again."
"""The next step for a file that cannot be used, which may be the user's or somebody else's."""

ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-~])")  # colours and the like
LONGEST = 300  # characters of a reason
MOST_SOURCES = 20  # in one text

INTERPRETER = "The following operation failed in the "  # PyTorch's, whose text ends with the reason
# What libraries of C++ write around a reason: codes, and where in their sources it was found.
CODE = re.compile(r"\[\w{1,40}\] : \d+ : \w+ : ")
ENFORCED = re.compile(r"\[enforce fail at [^\]]*\][ .]*")
SOURCE = re.compile(r"\S{0,300}\w\.(?:cc|cpp|cxx|cu|cuh|h|hpp):\d+:?\s*")
FUNCTION = re.compile(r"[\w:*&<>,~ ]*::[\w~<>=]+|\w+(?: \w+)?")  # and the type that it returns
CONDITION = re.compile(r"\A\S.{0,200}? was false\. (?=\S)")


def first_line(error: BaseException, *, place: bool = False) -> str:
    """An error's type and the first line of its text that is not empty, without what a terminal would obey.

    Args:
        place: add the file and line of the author's code that it comes from, where there is one.
    """
    lines = _lines(error)
    text = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    if not place:
        return text
    from zoo.contract.wording.author_code import in_author_code

    return text + in_author_code(error)


def clause(error: BaseException) -> str:
    """The first line of an error's text, to go on with after a colon: without its type if it is a `ValueError`."""
    lines = _lines(error)
    text = lines[0] if lines and isinstance(error, ValueError) else first_line(error)
    return shortened(text.rstrip(". "), LONGEST)


def reason(error: BaseException) -> str:
    """An error's type and the line of its text that holds the reason, where a heading stands above it.

    A line that ends in a colon is a heading of the next one. An interpreter of PyTorch writes where it was, line by
    line, and the reason last.
    """
    lines = _lines(error)
    if lines and lines[0].startswith(INTERPRETER):
        return f"{type(error).__name__}: {lines[-1]}"
    heading = next((index for index, line in enumerate(lines) if not line.endswith(":")), len(lines) - 1)
    return f"{type(error).__name__}: {' '.join(lines[: heading + 1])}" if lines else type(error).__name__


def without_sources(text: str) -> str:
    """`text` without the codes, paths, lines and signatures of the C++ that raised it."""
    text = ENFORCED.sub("", CODE.sub("", text))
    for _ in range(MOST_SOURCES):
        match = SOURCE.search(text)
        if match is None:
            break
        before, after = text[: match.start()], text[match.end() :]
        text = before + CONDITION.sub("", _without_signature(after), count=1)
    return text


def _lines(error: BaseException) -> list[str]:
    text = without_sources(ESCAPES.sub("", str(error)))
    return [plain(line.strip()) for line in text.splitlines() if line.strip()]


def _without_signature(text: str) -> str:
    """`text` without the signature of a function that it may begin with: to the end of its arguments."""
    line, _, _ = text.partition("\n")
    start = line.find("(")
    if not 0 <= start < LONGEST or not FUNCTION.fullmatch(line[:start]):
        return text
    depth = 0
    for index in range(start, len(line)):
        depth += (line[index] == "(") - (line[index] == ")")
        if not depth:
            rest = text[index + 1 :]
            return re.sub(r"^(?: const)?(?: \[with [^\n]*?\])?\s*", "", rest)
    return text[len(line) :]
