"""The batches that an artifact is run on: the seeded probes for replay, then fresh images in batches of many sizes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from zoo.contract.errors import ExportError
from zoo.contract.evidence import TOLERANCE_FACTOR, Comparison, Extent, Probe
from zoo.evaluation.attributes import keep_attributes
from zoo.files.card import Card
from zoo.registry.registry import Registry
from zoo_export.capture import quiet
from zoo_export.precisions.fp32 import RoundingRules
from zoo_export.precisions.in_use import PrecisionInUse
from zoo_export.probes.every_class import images_of_every_class
from zoo_export.probes.fresh import FRESH, fresh_probes, real_count
from zoo_export.probes.regroup import BATCH, in_batches_of, regrouped

MOST_BYTES = 2**28  # of the images of one batch that a file may fix


@dataclass(frozen=True)
class Batches:
    """Which batches are run, given probes with truth of which the first ones are stored or seeded.

    Args:
        seed: of how images are put together.
        first: how many of the probes are run as they are; all are run in other batches too.
        size: the only batch size that the artifact takes; `None` if it takes any.
        real: which images of a data set are among them, or why there are none.
        apart: whether the logits of an image depend on the images beside it, so that batches must be left as they are.
    """

    seed: int
    first: int
    size: int | None = None
    real: str = ""
    apart: bool = False

    def replayed(self, probes: Sequence[Probe]) -> list[Probe]:
        """The stored or seeded probes."""
        first = list(probes[: self.first])
        return first if self.size is None else in_batches_of(first, self.size)

    def further(self, probes: Sequence[Probe]) -> list[Probe]:
        """The images of all probes in other batches."""
        if not self.apart:
            return regrouped(probes, self.seed, self.size)
        rest = list(probes[self.first :])
        return rest if self.size is None else in_batches_of(rest, self.size)

    def all(self, probes: Sequence[Probe]) -> list[Probe]:
        """All batches, in the order in which they are run."""
        return [*self.replayed(probes), *self.further(probes)]

    def is_dealt(self, probe: Probe) -> bool:
        """Whether a batch is run by one of the artifact's runners only, in turn, and not by each."""
        return probe.name.startswith(BATCH)

    def split(
        self, comparisons: Sequence[Comparison], probes: Sequence[Probe]
    ) -> tuple[list[Comparison], list[Comparison]]:
        """The comparisons on the stored or seeded probes, and those on further batches."""
        names = {probe.name for probe in self.replayed(probes)}
        first = [each for each in comparisons if each.probe in names]
        return first, [each for each in comparisons if each.probe not in names]

    def extent(self, probes: Sequence[Probe]) -> Extent:
        """What is looked at."""
        run = self.all(probes)
        fresh = sum(probe.n for probe in probes if probe.name.startswith(FRESH))
        sizes = tuple(sorted({probe.n for probe in run}))
        return Extent(self.seed, sum(probe.n for probe in probes), fresh, len(run), sizes, self.real)


def draw(registry: Registry, card: Card, data_root: Path, seed: int) -> tuple[list[Probe], str]:
    """Fresh probes for the model of `card`, real images of every class among them, and where these are from."""
    real = images_of_every_class(registry, card, data_root, seed, real_count(card.preprocess))
    return fresh_probes(card.preprocess, seed, real.images), real.source


def draw_for(
    registry: Registry, card: Card, precision: PrecisionInUse, data_root: Path, seed: int
) -> tuple[list[Probe], str]:
    """As `draw`, where the precision is judged image by image; else none, and why."""
    if not isinstance(precision.rules, RoundingRules):
        return [], f"none: {precision.name} is judged on its stored probes alone"
    return draw(registry, card, data_root, seed)


def refuse_large(size: int | None, shape: Sequence[int], name: str) -> None:
    """Refuse a fixed batch that would take too much memory.

    Args:
        shape: `(C, H, W)`.

    Raises:
        ExportError: naming the batch.
    """
    if size is not None and not 0 < size * int(np.prod(shape)) * 4 <= MOST_BYTES:
        raise ExportError(
            f"{name} takes batches of {size} images only, which is more than zoo tries.",
            "Export it with a dynamic or a smaller batch.",
        )


def mixes_images(module: nn.Module, probes: Sequence[Probe], seed: int) -> bool:
    """Whether the logits of an image depend on the images beside it, or on its place, by more than rounding."""
    batch = max(regrouped(probes, seed)[:8], key=lambda probe: probe.n)
    with keep_attributes(module), torch.inference_mode(), quiet():
        logits = module(torch.from_numpy(batch.images.copy())).double().numpy()
    return not float(np.abs(logits - batch.truth).max()) <= TOLERANCE_FACTOR * batch.rounding_error
