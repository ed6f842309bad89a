"""Text that is safe to show: names, cards and messages may come from anywhere."""


def plain(text: object) -> str:
    """`text` on one line, without control characters that a terminal would obey."""
    return "".join(mark if mark.isprintable() else " " if mark.isspace() else "\ufffd" for mark in str(text))
