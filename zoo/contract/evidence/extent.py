"""What a verification looked at: how many images in which batches, where truth came from, how the graphs compare."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

SameGraph = Literal["identical", "rounded", "other", "unknown"]
IDENTICAL: SameGraph = "identical"  # the same files, or the same graph with the same tensors: nothing is left to sample
ROUNDED: SameGraph = "rounded"  # the same graph, with tensors that differ by rounding alone
OTHER: SameGraph = "other"  # another graph, or other tensors
UNKNOWN: SameGraph = "unknown"  # it was not compared


@dataclass(frozen=True)
class Extent:
    """The images and batches that each artifact was run on, with each of its runners.

    Args:
        seed: of the fresh images and of how batches were composed.
        images: the number of different images.
        fresh: how many of them were made or chosen for this verification alone.
        batches: the number of runs.
        batch_sizes: that occurred, ascending.
        real: which of them are images of a data set, or why there are none.
    """

    seed: int
    images: int
    fresh: int
    batches: int
    batch_sizes: tuple[int, ...]
    real: str = ""

    def __str__(self) -> str:
        sizes, n = self.batch_sizes, len(self.batch_sizes)
        span = f"of {n} sizes, {sizes[0]} to {sizes[-1]}" if n > 1 else f"of {sizes[0]}"
        fresh = f", {self.fresh} of them fresh" if self.fresh else ", all of them stored in the folder"
        real = f"; real images: {self.real}" if self.real else ""
        return f"{self.images} images{fresh}, in {self.batches} batches {span}, seed {self.seed}{real}"

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "seed": self.seed,
            "images": self.images,
            "fresh": self.fresh,
            "batches": self.batches,
            "batch_sizes": list(self.batch_sizes),
            "real_images": self.real,
            "text": str(self),
        }


@dataclass(frozen=True)
class TruthSource:
    """Where the model came from that truth was computed with.

    Args:
        path: of the weights file; `None` for a module, or fresh weights.
        sha256: of that file, in hex.
        digest: of the tensors.
        shadows: another weights file of the same name and other content, which `path` was found before.
    """

    path: Path | None
    sha256: str | None
    digest: str | None
    shadows: Path | None = None

    def __str__(self) -> str:
        if self.path is None:
            return f"weights in memory ({self.digest or 'without a digest'})"
        text = f"{self.path} (sha256:{self.sha256})"
        return f"{text}; {self.shadows} has the same name and other content" if self.shadows else text

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "path": None if self.path is None else str(self.path),
            "sha256": self.sha256,
            "digest": self.digest,
            "shadows": None if self.shadows is None else str(self.shadows),
        }


@dataclass(frozen=True)
class GraphComparison:
    """The graph of an artifact, compared with that of zoo's own export of the model.

    Args:
        same: `identical`, `rounded`, `other` or `unknown`.
        extra: how many more of each operator it has that chooses by values or shapes.
        note: why it could not be compared, or what else differs, in a few words.
    """

    same: SameGraph
    extra: Mapping[str, int] = field(default_factory=dict)
    note: str = ""

    @property
    def proven(self) -> bool:
        """Whether the artifact is zoo's own export of the model, but for rounding of its tensors."""
        return self.same in (IDENTICAL, ROUNDED)

    def __str__(self) -> str:
        if self.same == IDENTICAL:
            return "its graph and tensors are those of zoo's own export of the model"
        if self.same == ROUNDED:
            return "its graph is that of zoo's own export of the model, its tensors differ by rounding alone"
        text = "was not compared" if self.same == UNKNOWN else "differs from zoo's own export of the model"
        return f"its graph {text}{f' ({self.note})' if self.note else ''}"

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"same": self.same, "extra": dict(self.extra), "text": str(self)}
