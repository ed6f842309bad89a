"""The model card: what a weights file says of itself, as JSON in its header; readable without torch."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from zoo.contract.errors import WeightsError
from zoo.contract.names import bare_name
from zoo.contract.preprocess import Preprocess
from zoo.contract.pretrained import Metric
from zoo.contract.reading import DIGEST, MAX_CLASSES, MAX_LABEL, SHA256, Field, Malformed, fields
from zoo.files.header import Header, read_header, refused
from zoo.files.metadata import canonical_digest, from_metadata, to_metadata

KEY = "zoo"  # of the card in the header's __metadata__
FORMAT = 2
COVERED = 2  # the first format whose cards hold a digest of themselves
CARD_DIGEST = "card_digest"
MAX_SOURCE = 2_000  # characters
NOT_EMPTY = re.compile(r".+")


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
        published: metrics as the authors of the weights state them, not measured by zoo; empty if zoo trained them.
        source: the URL, hub identifier or file that the weights came from; empty if zoo trained them.
        source_sha256: SHA-256 of that file, as 64 hex digits; empty if it was not a single file.
        versions: of Python and the packages that took part.
        licence: of the weights.
        digest: of the tensors, by `zoo.files.header.digest`.
        format: of the card as it was read; 1 is that of release 0.1.0, whose digest covers the tensors alone.
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
    published: tuple[Metric, ...] = ()
    source: str = ""
    source_sha256: str = ""
    format: int = FORMAT

    @property
    def architecture_name(self) -> str:
        """The architecture's name with its distribution and, where the card has it, its entry point."""
        return f"{self.plugin}{self.entry_point and '/'}{self.entry_point}:{self.architecture}"

    @property
    def dataset_name(self) -> str:
        """The data set's name, with its owner where the recipe has it."""
        name = self.recipe.get("data")
        return name if isinstance(name, str) and bare_name(name) == self.dataset else self.dataset

    @property
    def card_digest(self) -> str:
        """The digest of the whole card, and so of the tensors whose digest it holds; what `--expect-digest` compares.

        Cards of format 1 store none, and have only the digest of the tensors.
        """
        return canonical_digest(self._content()) if self.format >= COVERED else ""

    def _content(self) -> dict[str, Any]:
        # The card of weights that zoo trained has none of the fields on the origin, so that it and its digest stay the
        # ones that earlier cards have.
        content = {**asdict(self), "preprocess": self.preprocess.to_dict()}
        return {key: value for key, value in content.items() if value or key not in _ORIGIN}

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; `from_dict` reads it back."""
        content = self._content()
        return {**content, CARD_DIGEST: canonical_digest(content)} if self.format >= COVERED else content

    @classmethod
    def from_dict(cls, data: Mapping[str, Any] | Field) -> "Card":
        """Read what `to_dict` wrote, or what release 0.1.0 wrote.

        Raises:
            Malformed: a `ValueError`: a field is missing, malformed or out of range, the card is not the one that its
                digest is of, or it is of a newer format.
        """
        card = fields(data, "card")
        number = card["format"].integer(1)
        if number > FORMAT:
            raise Malformed(
                f"its card has format {number}, and this zoo reads formats 1 to {FORMAT}; a newer release of zoo-kit "
                "reads it"
            )
        later = {name: each for key, name in _LATER_TEXTS.items() if (each := card.get(key)) is not None}
        covered = number >= COVERED
        card.only("format", *_TEXTS, *_OTHERS, *_LATER_TEXTS, *_ORIGIN, *([CARD_DIGEST] if covered else []))
        texts: dict[str, Any] = {name: card[name].text() for name in _TEXTS}
        texts |= {name: field.text() for name, field in later.items()}
        published, source, sha256 = (card.get(name) for name in _ORIGIN)
        result = cls(
            **texts,
            format=number,
            params={key: each.plain() for key, each in card["params"].entries().items()},
            recipe={key: each.plain() for key, each in card["recipe"].entries().items()},
            versions={name: each.text(1_000) for name, each in card["versions"].entries().items()},
            classes=tuple(name.text(MAX_LABEL) for name in card["classes"].items(1, MAX_CLASSES)),
            preprocess=Preprocess.from_dict(card["preprocess"]),
            metrics=tuple(_metric(metric) for metric in card["metrics"].items(0, 1_000)),
            published=tuple(_metric(metric) for metric in published.items(1, 1_000)) if published else (),
            source=source.text(MAX_SOURCE, NOT_EMPTY) if source else "",
            source_sha256=sha256.text(64, SHA256) if sha256 else "",
        )
        if covered and card[CARD_DIGEST].text(71, DIGEST) != _digest_of(card.value):
            raise Malformed("its card is not the one that was written: it does not match its own digest")
        return result

    def to_metadata(self) -> dict[str, str]:
        """What goes into the header's `__metadata__`; `read_card` reads it back.

        Raises:
            ValueError: a number in the card is not finite.
        """
        return to_metadata(KEY, self.to_dict(), sort_keys=True)

    def with_digest(self, digest: str) -> "Card":
        """The same card in the newest format, for tensors of that digest."""
        return replace(self, digest=digest, format=FORMAT)


_TEXTS = ("architecture", "plugin", "plugin_version", "dataset", "command", "licence", "digest")
_OTHERS = ("params", "recipe", "versions", "classes", "preprocess", "metrics")
_ORIGIN = ("published", "source", "source_sha256")  # of weights that others trained; left out where empty
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
        return Card.from_dict(from_metadata(KEY, header.metadata)), header
    except ValueError as error:
        raise refused(path, str(error)) from None


def _digest_of(data: Mapping[str, Any]) -> str:
    return canonical_digest({key: value for key, value in data.items() if key != CARD_DIGEST})


def _metric(data: Field) -> Metric:
    metric = data.only("name", "value", "dataset", "split", "n")
    texts = {name: metric[name].text(1_000) for name in ("name", "dataset", "split")}
    return Metric(**texts, value=metric["value"].number(), n=metric["n"].integer())
