"""The record of a run, `run.json`: everything that resuming needs, and what must be the same then."""

import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.contract.errors import TrainingError, ZooError
from zoo.contract.names import NAME as NAMES
from zoo.contract.reading import MAX_JSON, Field, Malformed, fields, parse_json, shown
from zoo.contract.specs import Architecture, Dataset, Loss
from zoo.data.datasets import LoadedDataset
from zoo.files.folders import weights_name
from zoo.files.regular import read_regular
from zoo.registry.registry import Registry
from zoo.training.distributed.rendezvous import MAX_RANKS
from zoo.training.recipe.file import to_recipe
from zoo.training.recipe.recipe import Recipe
from zoo.version import __version__

NAME, FORMAT = "run.json", 3
DIGITS = re.compile(r"[0-9]+")
LONGEST_PATH = 4096  # characters
LONGEST_REASON = 300  # characters of an error that may quote the file


@dataclass(frozen=True, kw_only=True)
class Record:
    """A run as it was started.

    Args:
        plugins: distribution and version that provide the `architecture`, the `dataset` and the `loss`.
        dataset: the result of `describe_dataset`.
        environment: versions, device and number of threads.
        weights, data_root: folders, absolute. See `zoo.training.run.destination` for where a resumed run writes.
        force: whether the run was started with `--force`. A resumed run replaces a file only if that is repeated.
        initial_weights: path of the initial weights, absolute; empty for fresh ones.
        zoo: the release that started the run.
    """

    recipe: Recipe
    plugins: Mapping[str, str]
    dataset: Mapping[str, Any]
    environment: Mapping[str, str]
    tag: str
    weights: str
    data_root: str
    device: str
    force: bool
    initial_weights: str = ""
    zoo: str = __version__

    @property
    def weights_file(self) -> Path:
        """Where the run will store its weights."""
        return Path(self.weights) / weights_name(self.recipe.architecture, self.tag)

    def to_json(self) -> bytes:
        """The content of `run.json`."""
        fields = {**self.__dict__, "recipe": self.recipe.to_dict(), "format": FORMAT}
        return json.dumps(fields, indent=2).encode() + b"\n"


def read_record(folder: Path) -> Record:
    """The record of a run folder.

    Raises:
        TrainingError: there is none, it is damaged, or another release of zoo started the run.
    """
    path = folder / NAME
    try:
        content = read_regular(path, MAX_JSON)
    except FileNotFoundError:
        raise TrainingError(
            f"{folder} is not a run folder: it has no {NAME}.", "Name a folder in runs/ that `zoo train` made."
        ) from None
    except OSError as error:
        raise TrainingError(
            f"{path} cannot be read: {error.strerror}.", "Name a folder in runs/ that `zoo train` made."
        ) from None
    return parse_record(content, path)


def parse_record(content: bytes, path: Path) -> Record:
    """The record that `Record.to_json` wrote.

    Args:
        path: of the file, for messages.

    Raises:
        TrainingError: it is damaged, or another release of zoo started the run.
    """
    folder = path.parent
    try:
        data = parse_json(content)
        release = data["zoo"]
        if not isinstance(release, str):
            raise TypeError(f"zoo is {release!r}")
        if data.pop("format") != FORMAT or release != __version__:
            raise TrainingError(
                f"The run {folder} was started with zoo {release}, and this is zoo {__version__}: its weights would "
                "differ.",
                f"Install zoo-kit=={release} to resume it, or train again.",
            )
        if not isinstance(data["recipe"], dict):
            raise TypeError(f"recipe is {data['recipe']!r}")
        _check_fields(data)
        return Record(**{**data, "recipe": to_recipe(data["recipe"], str(path))})
    except TrainingError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, ZooError) as error:
        text = str(error)
        reason = text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]}..."
        raise TrainingError(f"{path} is damaged ({reason}).", "Train again, with another --name.") from None


def _check_fields(data: Mapping[str, Any]) -> None:
    """Check the types and ranges of everything in `run.json` but the recipe.

    Raises:
        Malformed: a `ValueError`: a field is missing, or has another type, or is out of range.
    """
    record = fields(data)
    for name in ("plugins", "environment"):
        for value in record[name].entries().values():
            value.text()
    record["dataset"].entries()
    record["dataset"].plain()
    for name in ("weights", "data_root", "initial_weights", "device"):
        _check_path(record[name])
    for name in ("weights", "data_root"):
        if not Path(data[name]).is_absolute():
            raise Malformed(f"{name} is {shown(data[name])}, not an absolute path")
    record["tag"].text(LONGEST_PATH, NAMES)
    record["force"].boolean()
    ranks = record["environment"].get("ranks")
    if ranks is not None and int(ranks.text(7, DIGITS)) not in range(1, MAX_RANKS + 1):
        raise Malformed(f"{ranks.path} is {shown(ranks.value)}, not a number of ranks")


def _check_path(field: Field) -> None:
    """A path may be of another encoding, so it need not be text that can be written as UTF-8."""
    if not isinstance(field.value, str) or "\0" in field.value or len(field.value) > LONGEST_PATH:
        raise Malformed(f"{field.path} is {shown(field.value)}, not a path of at most {LONGEST_PATH:,} characters")


def describe_dataset(data: LoadedDataset) -> dict[str, Any]:
    """What must be the same when the run is resumed: classes, preprocessing, counts, checksums."""
    return {
        "classes": list(data.classes),
        "train": data.train.n,
        "test": data.test.n,
        "skipped": dict(data.skipped),
        "preprocess": json.loads(json.dumps(data.preprocess.to_dict())),
        "labels": zlib.crc32(data.train.labels.cpu().numpy().data),
        **{f"{split}_images": checksum for split, checksum in data.checksums.items()},
    }


def plugins_of(registry: Registry, recipe: Recipe) -> dict[str, str]:
    """Distribution and version that provide the architecture, the data set and the loss, by kind.

    Raises:
        UnknownName: one of them does not exist.
    """
    plugins = {
        "architecture": registry.find(Architecture, recipe.architecture).plugin,
        "dataset": registry.find(Dataset, recipe.data).plugin,
        "loss": registry.find(Loss, recipe.loss).plugin,
    }
    return {kind: f"{plugin.distribution} {plugin.version}" for kind, plugin in plugins.items()}


def refuse_other_dataset(record: Record, data: LoadedDataset) -> None:
    """Raise `TrainingError` where `data` is not what the run was started with."""
    current = describe_dataset(data)
    units = {"classes": "classes", "train": "training images", "test": "test images"}
    for key, recorded in record.dataset.items():
        if current.get(key) == recorded:
            continue
        now, then = (len(value) if isinstance(value, list) else value for value in (current.get(key), recorded))
        if key in units and now != then:
            change = f"has {now} {units[key]}; it had {then}"
        else:
            change = f"has other {key.replace('_', ' ')} than"
        raise TrainingError(
            f"The data set {data.name} {change} when the run was started.",
            "Restore the data, pass its folder with --data-root, or train again.",
        )
