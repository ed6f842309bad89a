"""The model card: what a weights file says of itself, as JSON in its header; readable without torch."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from zoo.contract.errors import WeightsError
from zoo.contract.names import bare_name
from zoo.contract.preprocess import Preprocess
from zoo.files.header import Header, read_header, refused
from zoo.files.metadata import from_metadata, to_metadata

KEY = "zoo"  # of the card in the header's __metadata__
FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A figure and what it was measured on.

    Args:
        name: `top1` (fraction of images, 0 to 1) or `loss` (mean over images).
        dataset, split, n: the images it was measured on, and how many they were.
    """

    name: str
    value: float
    dataset: str
    split: str
    n: int


@dataclass(frozen=True, kw_only=True)
class Card:
    """Everything needed to build the model, feed it, read its output, and know where it came from.

    Args:
        architecture: the name of its spec.
        plugin, plugin_version: the distribution that provides it.
        entry_point: the name of the plugin in that distribution; empty in cards of release 0.1.0.
        params: keyword arguments set for it.
        classes: class names, in the order of the logits.
        preprocess: how its images are prepared.
        dataset: name of the training set; empty for fresh weights.
        recipe: everything that decided the training run; empty for fresh weights.
        command: the command that made the file.
        metrics: measured on the weights as stored.
        versions: of Python and the packages that took part.
        licence: of the weights.
        digest: of the tensors, by `zoo.files.header.digest`.
        storage_dtype: the dtype in which the file stores float32 tensors of two dimensions or more, `bfloat16`; empty
            if as they are. zoo reads them as float32 again.
    """

    architecture: str
    plugin: str
    plugin_version: str
    classes: tuple[str, ...]
    preprocess: Preprocess
    params: Mapping[str, Any] = field(default_factory=dict)
    dataset: str = ""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""
    metrics: tuple[Metric, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    licence: str = ""
    digest: str = ""
    storage_dtype: str = ""
    entry_point: str = ""

    @property
    def architecture_name(self) -> str:
        """The architecture's name with its distribution and, where the card has it, its entry point."""
        return f"{self.plugin}{self.entry_point and '/'}{self.entry_point}:{self.architecture}"

    @property
    def dataset_name(self) -> str:
        """The data set's name, with its owner where the recipe has it."""
        name = self.recipe.get("data")
        return name if isinstance(name, str) and bare_name(name) == self.dataset else self.dataset

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; `from_dict` reads it back."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Card":
        """Read what `to_dict` wrote.

        Raises:
            ValueError: a field is missing or malformed, or the card is of a newer format.
        """
        try:
            if data["format"] != FORMAT:
                raise ValueError(
                    f"its card has format {data['format']!r}, and this zoo reads format {FORMAT}; another release of "
                    "zoo-kit reads it"
                )
            fields: dict[str, Any] = {name: _text(data, name) for name in _TEXTS}
            fields |= {_LATER_TEXTS[name]: _text(data, name) for name in _LATER_TEXTS if name in data}
            fields |= {name: _mapping(data, name) for name in ("params", "recipe", "versions")}
            card = cls(
                **fields,
                classes=tuple(_text({"class": name}, "class") for name in _list(data, "classes")),
                preprocess=Preprocess.from_dict(data["preprocess"]),
                metrics=tuple(_metric(metric) for metric in _list(data, "metrics")),
            )
        except (KeyError, TypeError, OverflowError) as error:
            raise ValueError(f"the card is incomplete or malformed ({error})") from None
        if not card.classes:
            raise ValueError("the card names no classes")
        return card

    def to_metadata(self) -> dict[str, str]:
        """What goes into the header's `__metadata__`; `read_card` reads it back.

        Raises:
            ValueError: a number in the card is not finite.
        """
        return to_metadata(KEY, self.to_dict(), sort_keys=True)

    def with_digest(self, digest: str) -> "Card":
        """The same card for tensors of that digest."""
        return replace(self, digest=digest)


_TEXTS = ("architecture", "plugin", "plugin_version", "dataset", "command", "licence", "digest")
_LATER_TEXTS = {  # key to field, of what not every card has
    "stored_as": "storage_dtype",  # the key of release 0.1.0
    "storage_dtype": "storage_dtype",
    "entry_point": "entry_point",
}


def read_card(path: Path) -> tuple[Card, Header]:
    """The card and the header of the weights file at `path`; no tensor is read.

    Raises:
        WeightsError: the file is unsound, or carries no card.
    """
    header = read_header(path)
    if KEY not in header.metadata:
        raise WeightsError(
            f"{path} is a safetensors file without a zoo card, so its architecture is not known.",
            "Use a file that `zoo train` wrote.",
        )
    try:
        return Card.from_dict(_json(header.metadata)), header
    except (ValueError, AttributeError, RecursionError) as error:
        raise refused(path, str(error)) from None


def _json(metadata: Mapping[str, str]) -> Any:
    data = from_metadata(KEY, metadata)
    json.dumps(data, ensure_ascii=False, allow_nan=False).encode()  # NaN or half a surrogate pair cannot be shown
    return data


def _metric(data: Any) -> Metric:
    metric = Metric(**data)
    texts = (metric.name, metric.dataset, metric.split)
    if not all(isinstance(text, str) for text in texts) or type(metric.n) is not int:
        raise TypeError("a metric does not say what it was measured on")
    if type(metric.value) not in (int, float):
        raise TypeError(f"the value of {metric.name} is not a number")
    return replace(metric, value=float(metric.value))


def _list(data: Mapping[str, Any], name: str) -> list[Any]:
    if not isinstance(data[name], list | tuple):
        raise TypeError(f"{name} is not a list")
    return list(data[name])


def _text(data: Mapping[str, Any], name: str) -> str:
    if not isinstance(data[name], str):
        raise TypeError(f"{name} is not text")
    return str(data[name])


def _mapping(data: Mapping[str, Any], name: str) -> dict[str, Any]:
    if not isinstance(data[name], dict):
        raise TypeError(f"{name} is not an object")
    return dict(data[name])
