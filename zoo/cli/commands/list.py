"""`zoo list`: what plugins provide."""

from collections import Counter
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import click

from zoo.cli.options import json_option
from zoo.cli.output import print_json, print_table
from zoo.contract.errors import UsageError
from zoo.contract.formats import ExportFormat
from zoo.contract.names import close_names, collection_name
from zoo.contract.precisions import Precision
from zoo.contract.specs import Architecture, Command, Dataset, Loss, Spec

if TYPE_CHECKING:
    from zoo.cli.main import Lazy
    from zoo.registry.registry import Entry, Registry

KINDS: dict[str, type[Spec]] = {
    spec.plural: spec for spec in (Architecture, Loss, Dataset, ExportFormat, Precision, Command)
}


@click.command("list")
@click.argument("kind", metavar="[KIND | COLLECTION | PATTERN]", required=False)
@click.option("--filter", "-f", "pattern", default="*", help="Only names that match, such as 'resnet*'.")
@json_option
@click.pass_obj
def command(lazy: "Lazy", kind: str | None, pattern: str, as_json: bool) -> None:
    """List what the installed plugins provide.

    With a KIND (architectures, losses, datasets, formats, precisions, commands), only that. A collection of
    architectures, such as timm, is one line; its name, or a pattern such as 'timm/resnet*', lists what is in it.

    Each is one line: in a terminal, summaries are cut, and columns that do not fit are left out. In a pipe, columns are
    separated by tabs and whole.
    """
    kind, pattern, collapsed = _chosen(lazy.registry, kind, pattern)
    entries_of = {
        name: [
            entry
            for each in lazy.registry.names(spec, members=as_json or not collapsed)
            if fnmatchcase(each, pattern)
            for entry in lazy.registry.entries(spec, each)
        ]
        for name, spec in KINDS.items()
        if kind in (None, name)
    }
    if as_json:
        print_json(
            {
                name: [
                    {"name": entry.spec.name, "summary": entry.spec.summary, "plugin": entry.plugin.name}
                    | {"distribution": entry.plugin.distribution}
                    | {key: value(entry.spec) for key, value in EXTRA.get(name, {}).items()}
                    for entry in entries
                ]
                for name, entries in entries_of.items()
            }
        )
        return
    for name, entries in entries_of.items():
        extra = EXTRA.get(name, {})
        rows = [
            [
                entry.spec.name,
                *(_shown(value(entry.spec)) for value in extra.values()),
                entry.spec.summary,
                entry.plugin.name,
            ]
            for entry in entries
            if not (collapsed and collection_name(entry.spec.name))
        ]
        if collapsed and name == Architecture.plural:
            rows += [
                [f"{collection}/*", *("" for _ in extra), f"{count:,} {name}; see `zoo list {collection}`", plugin]
                for (collection, plugin), count in _collections(lazy.registry, entries).items()
            ]
        if rows:
            print_table(
                [name, *extra, "summary", "plugin"], rows, shorten="summary", optional=("plugin", *reversed(extra))
            )


def _chosen(registry: "Registry", what: str | None, pattern: str) -> tuple[str | None, str, bool]:
    """The kind and the pattern to list, and whether collections are one line.

    Raises:
        UsageError: `what` is neither a kind nor a collection nor a pattern.
    """
    if what is None or what in KINDS:
        return what, pattern, pattern == "*"
    if set(what) & set("*?["):
        return None, what, False
    collections = {collection_name(name) for name in registry.names(Architecture)} - {""}
    if what not in collections:
        close = close_names(what, [*KINDS, *collections], n=1)
        hint = (
            f"Did you mean {close[0]}?" if close else f"Use {', '.join([*KINDS, *sorted(collections)])} or a pattern."
        )
        raise UsageError(f"{what!r} is neither a kind of thing nor a collection.", hint)
    return Architecture.plural, f"{what}/{pattern}", False


def _collections(registry: "Registry", entries: "Sequence[Entry[Spec]]") -> "Counter[tuple[str, str]]":
    """How many architectures there are by collection and plugin.

    Args:
        entries: the architectures that plugins declare one by one.
    """
    counts = Counter((collection_name(entry.spec.name), entry.plugin.name) for entry in entries)
    counts.update({(entry.spec.name, entry.plugin.name): count for entry, count in registry.collections()})
    return Counter({key: count for key, count in sorted(counts.items()) if key[0]})


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list):
        return ", ".join(value)
    return "×".join(map(str, value)) if isinstance(value, tuple) else str(value or "")


EXTRA: dict[str, dict[str, Callable[[Any], Any]]] = {
    "architectures": {"parameters": lambda spec: spec.parameters, "input": lambda spec: spec.input_shape}
    | {"weights": lambda spec: list(spec.pretrained)},
    "datasets": {"classes": lambda spec: len(spec.classes) or None, "images": lambda spec: spec.input_shape},
    "formats": {
        "suffix": lambda spec: next(iter(spec.suffixes.values())),
        "precisions": lambda spec: list(spec.precisions),
        "default": lambda spec: spec.default,
    },
    "losses": {"target": lambda spec: spec.target},
}
