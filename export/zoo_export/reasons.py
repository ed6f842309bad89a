"""Why something failed, in one line. Loads nothing else."""


def first_line(error: BaseException) -> str:
    """An error's type and the first line of its text that is not empty."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
