"""Why something failed, in one line. Loads nothing else."""

INTERPRETER = "The following operation failed in the "  # PyTorch's, whose text ends with the reason


def first_line(error: BaseException) -> str:
    """An error's type and the first line of its text that is not empty."""
    lines = _lines(error)
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


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


def _lines(error: BaseException) -> list[str]:
    return [line.strip() for line in str(error).splitlines() if line.strip()]
