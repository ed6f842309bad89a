"""What the export layer hands to the rest of zoo: exported files as models, and what users state of a single file."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

from zoo.contract.errors import UsageError
from zoo.contract.names import unusable
from zoo.contract.preprocess import Preprocess
from zoo.contract.reading import MAX_CLASSES, MAX_JSON, MAX_LABEL, fields, parse_json
from zoo.files.card import Card
from zoo.files.regular import read_regular
from zoo.models.load import Model

LABELS_STEP = "Write one class name in each line, in the order of the logits, or a JSON list of them."
PREPROCESS_STEP = 'Use the JSON object `preprocess` of a manifest.json: {"size": [224, 224], "mean": …, …}.'


@dataclass(frozen=True, kw_only=True)
class ArtifactOptions:
    """How exported files are opened as models.

    Args:
        formats: formats of a folder; by default all.
        single: accept a file that is in no export folder.
        labels: class names of such a file, one for each logit; by default those that it carries.
        preprocess: how images are prepared for such a file; by default as it says.
        fallback: the card of a model, for what neither the file nor `labels` and `preprocess` say.
        device: that the files are run on.
        trust: run them in this process, without limits; by default each runs in a process of its own.
        expect_digest: the digest of the folder's manifest, or the SHA-256 of a single file.
    """

    formats: Sequence[str] = ()
    single: bool = False
    labels: tuple[str, ...] | None = None
    preprocess: Preprocess | None = None
    fallback: Card | None = None
    device: str = "cpu"
    trust: bool = False
    expect_digest: str | None = None


@dataclass(frozen=True)
class OpenedExport:
    """An export folder, or one exported file.

    Args:
        name: of the model that was exported, or of the file.
        artifacts: functions that open the exported files as models, by file name. A process that runs a file ends when
            its model is no longer used.
        original: opens the model that was exported; `None` for a file that does not say which it was. It raises a
            `ZooError` where no stored weights of that name have the digest that was exported.
        warnings: about the export and about what runs it, a line each.
    """

    name: str
    artifacts: Mapping[str, Callable[[], Model]]
    original: Callable[[], Model] | None = None
    warnings: tuple[str, ...] = field(default=())


def read_labels(path: str | PathLike[str]) -> tuple[str, ...]:
    """The class names in a file: one in each line, or a JSON list.

    Raises:
        UsageError: the file cannot be read, or holds no such list.
    """
    content = _read(path, LABELS_STEP)
    try:
        if content.lstrip().startswith(b"["):
            names = [each.text(MAX_LABEL) for each in fields({"labels": parse_json(content)}, "")["labels"].items(1)]
        else:
            names = content.decode("utf-8-sig").splitlines()
    except ValueError as error:
        raise UsageError(f"{path} holds no labels: {error}.", LABELS_STEP) from None
    return check_labels(names, str(path))


def check_labels(names: Sequence[str], source: str) -> tuple[str, ...]:
    """Class names that users state, if they can be.

    Raises:
        UsageError: they are no texts, too many, or one of them is empty or has a line break or control character.
    """
    if isinstance(names, str) or not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise UsageError(f"{source} is not a list of class names.", "Pass one label for each logit.")
    if not 1 <= len(names) <= MAX_CLASSES:
        raise UsageError(f"{source} has {len(names):,} labels.", f"Use 1 to {MAX_CLASSES:,}.")
    for index, name in enumerate(names):
        if reason := unusable(name) or ("too many characters" if len(name) > MAX_LABEL else ""):
            raise UsageError(f"Label {index} of {source} has {reason}.", LABELS_STEP)
    return tuple(names)


def read_preprocess(path: str | PathLike[str]) -> Preprocess:
    """The preprocessing in a JSON file: an object as `Preprocess.to_dict` makes it, or one that has it as `preprocess`.

    Raises:
        UsageError: the file cannot be read, or holds none.
    """
    content = _read(path, PREPROCESS_STEP)
    try:
        data = fields(parse_json(content), "file")
        return Preprocess.from_dict(data.get("preprocess") or data)
    except ValueError as error:
        raise UsageError(f"{path} holds no preprocessing: {error}.", PREPROCESS_STEP) from None


def _read(path: str | PathLike[str], next_step: str) -> bytes:
    try:
        return read_regular(Path(path), MAX_JSON)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.", next_step) from None
