"""The error for an artifact whose process was ended, or went over a limit."""

from zoo.contract.errors import ExportError

TRUST = "If you trust the file, `--trust` (in Python trust=True) runs it without limits."


class ContainmentError(ExportError):
    """An artifact could not be run to its end within its limits, so nothing is known about what it computes."""
