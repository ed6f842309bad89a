"""What a run folder says of its run, `run.json`: all that is needed to go on with it, and to refuse what would not."""

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.contract.errors import TrainingError, ZooError
from zoo.contract.specs import Architecture, Dataset, Loss
from zoo.data.datasets import LoadedDataset
from zoo.files.folders import weights_name
from zoo.registry.registry import Registry
from zoo.training.recipe.file import to_recipe
from zoo.training.recipe.recipe import Recipe
from zoo.version import __version__

NAME, FORMAT = "run.json", 2
TABLES = ("plugins", "data", "environment")
TEXTS = ("tag", "weights", "data_root", "device", "init")


@dataclass(frozen=True, kw_only=True)
class Record:
    """A run as it was begun.

    Args:
        plugins: distribution and version that provide the architecture, the data set and the loss, by kind.
        data: what the data set was like, by `look`.
        environment: versions, device and threads.
        weights, data_root: folders, absolute.
        init: the weights that it begins from, absolute; empty where there are none.
        zoo: the release that began it.
    """

    recipe: Recipe
    plugins: Mapping[str, str]
    data: Mapping[str, Any]
    environment: Mapping[str, str]
    tag: str
    weights: str
    data_root: str
    device: str
    force: bool
    init: str = ""
    zoo: str = __version__

    @property
    def weights_file(self) -> Path:
        """Where the run is to store its weights."""
        return Path(self.weights) / weights_name(self.recipe.architecture, self.tag)

    def to_json(self) -> bytes:
        """The content of `run.json`."""
        fields = {**self.__dict__, "recipe": self.recipe.to_dict(), "format": FORMAT}
        return json.dumps(fields, indent=2).encode() + b"\n"


def read_record(folder: Path) -> Record:
    """The record of a run folder.

    Raises:
        TrainingError: there is none, it is malformed, or another release of zoo began the run.
    """
    path = folder / NAME
    try:
        content = path.read_bytes()
    except OSError:
        raise TrainingError(
            f"{folder} is no run folder: there is no {NAME} in it.", "Name a folder in runs/, as `zoo train` made it."
        ) from None
    return parse_record(content, path)


def parse_record(content: bytes, path: Path) -> Record:
    """The record that `Record.to_json` wrote, at `path`.

    Raises:
        TrainingError: it is malformed, or another release of zoo began the run.
    """
    folder = path.parent
    try:
        said = json.loads(content)
        release = said["zoo"]
        if said.pop("format") != FORMAT or release != __version__:
            raise TrainingError(
                f"The run {folder} was begun with zoo {release}, and this is zoo {__version__}: it would not go on "
                "as it began.",
                f"Install zoo-kit=={release}, or train again.",
            )
        wrong = [name for name in TABLES if not isinstance(said[name], dict)]
        wrong += [name for name in TEXTS if not isinstance(said[name], str)]
        if wrong:
            raise TypeError(f"{wrong[0]} is {said[wrong[0]]!r}")
        return Record(**{**said, "recipe": to_recipe(said["recipe"], str(path))})
    except TrainingError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, ZooError) as error:
        raise TrainingError(f"{path} is damaged ({error}).", "Train again, under another --name.") from None


def look(data: LoadedDataset) -> dict[str, Any]:
    """What tells whether data is the same as it was: classes, preprocessing, counts, and checksums of the splits."""
    return {
        "classes": list(data.classes),
        "train": data.train.n,
        "test": data.test.n,
        "skipped": dict(data.skipped),
        "preprocess": json.loads(json.dumps(data.preprocess.to_dict())),
        "labels": zlib.crc32(data.train.labels.cpu().numpy().data),
        **{f"{split} images": checksum for split, checksum in data.checksums.items()},
    }


def plugins_of(registry: Registry, recipe: Recipe) -> dict[str, str]:
    """Distribution and version of what provides the architecture, the data set and the loss, by kind.

    Raises:
        UnknownName: there is no such one.
    """
    named = {"architecture": (Architecture, recipe.architecture), "data set": (Dataset, recipe.data)}
    found = {kind: registry.find(*what).plugin for kind, what in {**named, "loss": (Loss, recipe.loss)}.items()}
    return {kind: f"{plugin.distribution} {plugin.version}" for kind, plugin in found.items()}


def refuse_other_data(record: Record, data: LoadedDataset) -> None:
    """Raise `TrainingError` where `data` is not what the run was begun with."""
    now = look(data)
    words = {"classes": "has {} classes", "train": "has {} training images", "test": "has {} test images"}
    for key, before in record.data.items():
        if now.get(key) != before:
            here, there = (len(value) if isinstance(value, list) else value for value in (now.get(key), before))
            counted = key in words and here != there
            differs = f"{words[key].format(here)} now, and had {there}" if counted else f"has other {key} than"
            raise TrainingError(
                f"The data set {data.name} {differs} when the run was begun.",
                "Put the data back as it was, say where it is with --data-root, or train again.",
            )
