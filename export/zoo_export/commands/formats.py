"""The names of formats in a comma-separated option."""


def format_names(text: str) -> list[str]:
    """The names in `text`, in order and once each; none if the option was not used.

    Raises:
        UsageError: the option was used and names no format.
    """
    from zoo.contract.errors import UsageError

    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if text and not names:
        raise UsageError("--format names no format.", "See `zoo list formats`.")
    return names
