"""Begin from weights that were trained before: all tensors of theirs but a head of other classes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor, nn

from zoo.contract.errors import UsageError, WeightsError
from zoo.contract.specs import Architecture
from zoo.data.datasets import LoadedDataset
from zoo.data.fitting import InputOverrides
from zoo.files.folders import find_weights
from zoo.files.weights import Weights, load_into, load_weights
from zoo.registry.registry import Entry
from zoo.training.recipe.recipe import Recipe

PINNED = re.compile(r"(.+)@([0-9a-f]{8,64})")  # a name, and the first digits of the digest that it had
DIGITS = 16  # of the digest that a recipe records


def split_init(init: str) -> tuple[str, str]:
    """The name of the weights, and the digits of the digest that are asked for; empty where none are."""
    pinned = PINNED.fullmatch(init)
    return (pinned[1], pinned[2]) if pinned else (init, "")


@dataclass(frozen=True)
class Start:
    """Weights that a run begins from, read and checked, on the CPU."""

    path: Path
    weights: Weights

    @property
    def digits(self) -> str:
        """The first digits of their digest, as a recipe records them."""
        return self.weights.card.digest.removeprefix("sha256:")[:DIGITS]

    def wanted(self, recipe: Recipe) -> InputOverrides:
        """What images are to be like: what the recipe asks for, else what these weights saw.

        Raises:
            UsageError: the recipe asks for another number of channels.
        """
        seen = self.weights.card.preprocess
        if recipe.channels not in (None, seen.channels):
            raise UsageError(
                f"The weights {self.path} see images of {seen.channels} channels, not {recipe.channels}.",
                "Leave --channels out: images are converted.",
            )
        square = seen.size[0] if seen.size[0] == seen.size[1] else None
        return InputOverrides(image_size=recipe.img_size or square, channels=seen.channels)

    def as_seen(self, data: LoadedDataset) -> LoadedDataset:
        """`data`, normalised as these weights saw theirs."""
        seen = self.weights.card.preprocess
        return replace(data, preprocess=replace(data.preprocess, mean=seen.mean, std=seen.std))

    def keeps_head(self, classes: tuple[str, ...]) -> bool:
        """Whether these are the classes of the weights, in the same order."""
        return self.weights.card.classes == classes

    def put_into(self, module: nn.Module, head: frozenset[str], classes: tuple[str, ...]) -> None:
        """Load them into a fresh model. Where its classes are others, the tensors named by `head` stay fresh.

        Raises:
            WeightsError: a tensor is missing, too many, or of another shape or dtype.
        """
        tensors: Mapping[str, Tensor] = self.weights.tensors
        if not self.keeps_head(classes):
            fresh = {name: value for name, value in module.state_dict().items() if name in head}
            tensors = {**{name: value for name, value in tensors.items() if name not in head}, **fresh}
        load_into(module, Weights(self.weights.card, tensors), self.path)

    def said(self, recipe: Recipe, head: frozenset[str], data: LoadedDataset) -> str:
        """One line on what is taken over."""
        kept = self.keeps_head(data.classes)
        names = sorted(head)
        shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
        shape = "×".join(map(str, data.preprocess.input_shape))
        return (
            f"begins from {self.path}: the head ({shown}) is "
            + ("kept, as the classes are the same" if kept else "fresh, as the classes are others")
            + f"; images of {shape} with the mean and std of those weights"
            + ("; the head alone is trained" if recipe.freeze else "")
        )


def read_start(init: str, entry: Entry[Architecture], place: Path | None = None) -> Start:
    """Find and read the weights that a recipe begins from.

    Args:
        init: as in the recipe.
        entry: the architecture that is trained.
        place: where they lie, where that is known; they may lie elsewhere now.

    Raises:
        UnknownName, WeightsError: there are none, they are unsound, of another architecture, or not those of the
            recorded digest.
    """
    name, digits = split_init(init)
    path = place if place is not None and place.is_file() else find_weights(name)
    start = Start(path, load_weights(path))
    card = start.weights.card
    ours = entry.full_name if card.entry_point else entry.qualified
    if card.architecture_name != ours:
        raise WeightsError(
            f"The weights {path} are of {card.architecture_name}, and {ours} is to be trained.",
            f"Train {card.architecture}, or begin from weights of {entry.spec.name}.",
        )
    if not card.digest.removeprefix("sha256:").startswith(digits):
        raise WeightsError(
            f"The weights {path} are not those that the recipe begins from: their digest begins with {start.digits}, "
            f"and it says {digits}.",
            f"Put those back, or begin anew with these: --initial-checkpoint {name}",
        )
    return start
