"""Initial weights: start training from stored weights; a head for other classes starts fresh."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from zoo.contract.errors import UsageError, WeightsError
from zoo.contract.specs import Architecture
from zoo.data.datasets import LoadedDataset
from zoo.data.fitting import InputOverrides
from zoo.files.weights import Weights, load_into, load_weights
from zoo.models.stored.pretrained import locate_weights
from zoo.registry.registry import Entry, Registry
from zoo.training.recipe.recipe import Recipe

PINNED = re.compile(r"(.+)@([0-9a-f]{8,64})")  # a name, and the first digits of the digest
DIGITS = 16  # of the digest that a recipe records


def split_init(initial_checkpoint: str) -> tuple[str, str]:
    """The name of the weights, and the first digits of their digest; empty where the recipe does not pin them."""
    pinned = PINNED.fullmatch(initial_checkpoint)
    return (pinned[1], pinned[2]) if pinned else (initial_checkpoint, "")


@dataclass(frozen=True)
class InitialWeights:
    """Weights that training starts from, read and checked, on the CPU."""

    path: Path
    weights: Weights

    @property
    def digits(self) -> str:
        """The first digits of their digest, as a recipe records them."""
        return self.weights.card.digest.removeprefix("sha256:")[:DIGITS]

    def input_overrides(self, recipe: Recipe) -> InputOverrides:
        """The image size that the recipe sets, else that of these weights; always the channels of these weights.

        Raises:
            UsageError: the recipe sets another number of channels.
        """
        trained_on = self.weights.card.preprocess
        if recipe.channels not in (None, trained_on.channels):
            raise UsageError(
                f"The weights {self.path} take images of {trained_on.channels} channels, not {recipe.channels}.",
                "Omit `--channels`: images are converted.",
            )
        square = trained_on.size[0] if trained_on.size[0] == trained_on.size[1] else None
        return InputOverrides(
            img_size=recipe.img_size or square,
            channels=trained_on.channels,
            exif_orientation=bool(recipe.exif_orientation),
        )

    def with_mean_and_std(self, data: LoadedDataset) -> LoadedDataset:
        """`data` with the mean and std that these weights were trained with."""
        trained_on = self.weights.card.preprocess
        return replace(data, preprocess=replace(data.preprocess, mean=trained_on.mean, std=trained_on.std))

    def keeps_head(self, classes: tuple[str, ...]) -> bool:
        """Whether the weights have the same classes in the same order."""
        return self.weights.card.classes == classes

    def load_into(
        self, module: nn.Module, head: frozenset[str], classes: tuple[str, ...], head_scale: float = 1.0
    ) -> None:
        """Load the weights into a fresh model. For other classes, the tensors named by `head` stay fresh.

        Args:
            head_scale: what the parameters of a fresh head are multiplied by.

        Raises:
            WeightsError: a tensor is missing, unexpected, or of another shape or dtype.
        """
        tensors: Mapping[str, Tensor] = self.weights.tensors
        if not self.keeps_head(classes):
            _scale_parameters(module, head, head_scale)
            fresh = {name: value for name, value in module.state_dict().items() if name in head}
            tensors = {**{name: value for name, value in tensors.items() if name not in head}, **fresh}
        load_into(module, Weights(self.weights.card, tensors), self.path)

    def describe(self, recipe: Recipe, head: frozenset[str], data: LoadedDataset) -> str:
        """One line on what is loaded and what is fresh."""
        names = sorted(head)
        shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
        shape = "×".join(map(str, data.preprocess.input_shape))
        return (
            f"starts from {self.path}: the head ({shown}) is "
            + ("kept (same classes)" if self.keeps_head(data.classes) else "fresh (other classes)")
            + f"; images of {shape} with the mean and std of these weights"
            + ("; only the head is trained" if recipe.freeze else "")
        )


def _scale_parameters(module: nn.Module, names: frozenset[str], factor: float) -> None:
    if factor != 1:
        with torch.no_grad():
            for name, parameter in module.named_parameters():
                if name in names:
                    parameter.mul_(factor)


def read_initial_weights(
    registry: Registry,
    initial_checkpoint: str,
    entry: Entry[Architecture],
    path: Path | None = None,
    *,
    download: bool = False,
) -> InitialWeights:
    """Find and read the weights that a recipe starts from.

    Args:
        initial_checkpoint: as in the recipe.
        entry: the architecture that is trained.
        path: where the weights were before; they may have moved.
        download: download weights that a plugin provides, if they are not on this machine.

    Raises:
        UnknownName, WeightsError: the weights are missing or damaged, of another architecture, or have another digest
            than the recipe records.
    """
    name, digits = split_init(initial_checkpoint)
    path = path if path is not None and path.is_file() else locate_weights(registry, name, download=download)
    initial = InitialWeights(path, load_weights(path))
    card = initial.weights.card
    architecture = entry.full_name if card.entry_point else entry.qualified
    if card.architecture_name != architecture:
        raise WeightsError(
            f"The weights {path} are of {card.architecture_name}, not of {architecture}.",
            f"Train {card.architecture}, or start from weights of {entry.spec.name}.",
        )
    if not card.digest.removeprefix("sha256:").startswith(digits):
        raise WeightsError(
            f"The weights {path} changed: their digest starts with {initial.digits}, and the recipe records {digits}.",
            f"Restore the original file, or train again from this one: --initial-checkpoint {name}",
        )
    return initial
