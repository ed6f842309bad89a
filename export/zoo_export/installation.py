"""What is wrong with the installed packages that run artifacts, as the formats themselves say."""

from collections.abc import Sequence

from zoo.contract.formats import ExportFormat
from zoo.registry.refs import resolve
from zoo.registry.registry import Entry


def installation_warnings(entries: Sequence[Entry[ExportFormat]]) -> tuple[str, ...]:
    """The warnings of these formats, each once. Imports none of the packages that run them.

    Raises:
        PluginError: a format's own function cannot be imported.
    """
    texts = [text for entry in entries if entry.spec.installation for text in _warnings(entry)]
    return tuple(dict.fromkeys(texts))


def _warnings(entry: Entry[ExportFormat]) -> Sequence[str]:
    warnings: Sequence[str] = resolve(entry, entry.spec.installation)()
    return warnings
