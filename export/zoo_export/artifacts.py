"""The files that formats write: where they go, whether they are what was declared, and where they are read from."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from zoo.contract.errors import ExportError, UnknownName, UsageError, ZooError, refuse_out_of_memory
from zoo.contract.evidence import Workaround
from zoo.contract.exporting.artifact import Capture, Paths
from zoo.contract.formats import ExportFormat
from zoo.contract.names import owner_name
from zoo.contract.wording.author_code import SHOW_TRACEBACK
from zoo.files.atomic import is_of_writing
from zoo.files.regular import is_regular
from zoo.registry.registry import Entry, Registry
from zoo_export.reasons import AGAIN, first_line


def recorded_format(registry: Registry, name: str) -> Entry[ExportFormat]:
    """The format of an artifact, under the name that the manifest records.

    Raises:
        ExportError: no installed plugin provides it.
    """
    try:
        return registry.find(ExportFormat, name)
    except UnknownName:
        owner = owner_name(name).partition("/")[0]
        raise ExportError(
            f"No installed plugin provides the format {name}, in which this artifact was exported.",
            f"Install {owner or 'the plugin that does'}, or choose other formats of the folder with --format.",
        ) from None


def refuse_same_files(entries: Sequence[Entry[ExportFormat]]) -> None:
    """Refuse formats whose artifacts would overwrite each other in one folder.

    Raises:
        ExportError: two of them have one name, or write a file of one name.
        UsageError: one of them is there twice.
    """
    for index, entry in enumerate(entries):
        for other in entries[:index]:
            shared = set(entry.spec.suffixes.values()) & set(other.spec.suffixes.values())
            if other == entry:
                raise UsageError(f"The format {entry.spec.name} is named twice.", "Name each format once.")
            if shared or entry.spec.name == other.spec.name:
                same = f"write model{min(shared)}" if shared else f"are named {entry.spec.name}"
                raise ExportError(
                    f"{other.qualified} and {entry.qualified} cannot be exported to one folder: both {same}.",
                    "Export them one at a time, each to another --output.",
                )


def refuse_precision(entries: Sequence[Entry[ExportFormat]], precision: str) -> None:
    """Refuse formats that cannot write a precision.

    Raises:
        ExportError: one of them does not declare it.
    """
    for entry in entries:
        if precision not in entry.spec.precisions:
            raise ExportError(
                f"The format {entry.spec.name} does not write {precision}.",
                f"Use --precision {' or '.join(entry.spec.precisions)}, or another --format.",
            )


def refuse_opset(entries: Sequence[Entry[ExportFormat]], opset: int | None) -> None:
    """Refuse an operator set that the formats do not write.

    Raises:
        UsageError: it is not within the range of a format that has operator sets, or no format has any.
    """
    if opset is None:
        return
    ranges = {entry.spec.name: entry.spec.opsets for entry in entries if entry.spec.opsets}
    if not ranges:
        names = ", ".join(entry.spec.name for entry in entries)
        raise UsageError(f"--opset {opset} does not apply to {names}.", "Leave it out, or add a --format with opsets.")
    for name, (oldest, newest) in ranges.items():
        if not oldest <= opset <= newest:
            raise UsageError(
                f"--opset {opset} is not supported: the format {name} writes opsets {oldest} to {newest}.",
                f"Use a number from {oldest} to {newest}.",
            )


@contextmanager
def export_checked(entry: Entry[ExportFormat], capture: Capture, paths: Paths) -> Iterator[None]:
    """Around a format's `export`: explain what it raises, and check what it wrote.

    Raises:
        ExportError: it raised, wrote no artifact, or wrote files that it does not declare.
    """
    folder = paths.main.parent
    before = set(folder.iterdir())
    try:
        yield
    except ZooError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and is_of_writing(error, folder):
            raise
        refuse_out_of_memory(error)
        raise ExportError(
            f"The format {entry.spec.name} of {entry.plugin.distribution} could not export {capture.name}: "
            f"{first_line(error, place=True)}",
            f"Leave it out with --format, or report it to its author; {SHOW_TRACEBACK}",
        ) from error
    missing = [paths[role].name for role in entry.spec.required if not paths[role].is_file()]
    strange = sorted(path.name for path in set(folder.iterdir()) - before - set(paths.files.values()))
    if missing or strange:
        what = f"did not write {missing[0]}" if missing else f"wrote {strange[0]}, which it does not declare"
        raise ExportError(
            f"The format {entry.spec.name} of {entry.plugin.distribution} {what}.",
            f"Report it to its author: {entry.spec.export} must write the files of `paths`, and no others.",
        )


def workarounds_of(entry: Entry[ExportFormat], returned: object) -> tuple[Workaround, ...]:
    """What a format's `export` returned: the known faults that the artifact avoids, or nothing.

    Raises:
        ExportError: it returned something else.
    """
    avoided = () if returned is None else returned
    if not isinstance(avoided, Sequence) or not all(isinstance(each, Workaround) for each in avoided):
        raise ExportError(
            f"The format {entry.spec.name} of {entry.plugin.distribution} returned a {type(returned).__name__}.",
            f"Report it to its author: {entry.spec.export} must return nothing, or a sequence of Workarounds.",
        )
    return tuple(avoided)


def artifact_paths(entry: Entry[ExportFormat], main: Path) -> Paths:
    """The files of the artifact whose main file is `main`.

    Raises:
        ExportError: that is not a file of this format, it is empty, or another one that it needs is missing.
    """
    paths = entry.spec.paths_of(main)
    if paths is None:
        raise ExportError(
            f"{main} is not a file of the format {entry.spec.name}.",
            f"The names of those end in {next(iter(entry.spec.suffixes.values()))}.",
        )
    if is_regular(main) and not main.stat().st_size:
        raise ExportError(f"{main} is empty.", AGAIN)
    missing = [paths[role] for role in entry.spec.required if not paths[role].is_file()]
    if missing:
        raise ExportError(
            f"The {entry.spec.name} artifact {main} lacks its file {missing[0].name}.", f"Put it into {main.parent}."
        )
    return paths


def format_of(registry: Registry, main: Path) -> Entry[ExportFormat]:
    """The format of a main file, by its suffix: the longest one, if several fit; of one suffix, zoo's own.

    Raises:
        ExportError: no format has its suffix.
        MissingPackage: the format needs a package that is not installed.
    """
    known = sorted(registry.defaults(ExportFormat), key=lambda entry: entry.is_own)
    every = {next(iter(entry.spec.suffixes.values())): entry for entry in known}
    suffix = max((suffix for suffix in every if main.name.endswith(suffix)), key=len, default=None)
    if suffix is None:
        raise ExportError(f"No format writes files with the suffix {main.suffix!r}.", f"Known: {', '.join(every)}.")
    return registry.find(ExportFormat, registry.short_name(every[suffix]))
