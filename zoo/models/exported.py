"""What the export layer hands to the rest of zoo: exported files as models, and what users state of a single file."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

from zoo.contract.errors import UsageError
from zoo.contract.preprocess import Preprocess
from zoo.contract.reading import MAX_JSON, fields, parse_json
from zoo.files.card import Card
from zoo.files.regular import read_regular
from zoo.models.load import Model

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


def read_preprocess(path: str | PathLike[str]) -> Preprocess:
    """The preprocessing in a JSON file: an object as `Preprocess.to_dict` makes it, or one that has it as `preprocess`.

    Raises:
        UsageError: the file cannot be read, or holds none.
    """
    try:
        data = fields(parse_json(read_regular(Path(path), MAX_JSON)), "file")
        return Preprocess.from_dict(data.get("preprocess") or data)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.", PREPROCESS_STEP) from None
    except ValueError as error:
        raise UsageError(f"{path} holds no preprocessing: {error}.", PREPROCESS_STEP) from None
