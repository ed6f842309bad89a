"""The record of a run, `run.json`: everything that resuming needs, and what must be the same then."""

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

NAME, FORMAT = "run.json", 3
MAPPINGS = ("plugins", "dataset", "environment")
TEXTS = ("tag", "weights", "data_root", "device", "initial_weights")


@dataclass(frozen=True, kw_only=True)
class Record:
    """A run as it was started.

    Args:
        plugins: distribution and version that provide the `architecture`, the `dataset` and the `loss`.
        dataset: the result of `describe_dataset`.
        environment: versions, device and number of threads.
        weights, data_root: folders, absolute.
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
        content = path.read_bytes()
    except OSError:
        raise TrainingError(
            f"{folder} is not a run folder: it has no {NAME}.", "Name a folder in runs/ that `zoo train` made."
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
        data = json.loads(content)
        release = data["zoo"]
        if data.pop("format") != FORMAT or release != __version__:
            raise TrainingError(
                f"The run {folder} was started with zoo {release}, and this is zoo {__version__}: its weights would "
                "differ.",
                f"Install zoo-kit=={release} to resume it, or train again.",
            )
        wrong = [name for name in MAPPINGS if not isinstance(data[name], dict)]
        wrong += [name for name in TEXTS if not isinstance(data[name], str)]
        if wrong:
            raise TypeError(f"{wrong[0]} is {data[wrong[0]]!r}")
        return Record(**{**data, "recipe": to_recipe(data["recipe"], str(path))})
    except TrainingError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, ZooError) as error:
        raise TrainingError(f"{path} is damaged ({error}).", "Train again, with another --name.") from None


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
