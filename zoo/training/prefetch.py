"""What the steps of an epoch are taken on, prepared for several of them at a time where the images are small."""

from collections.abc import Iterator
from itertools import islice

from zoo.data.batches import Batch
from zoo.training.augment.mix import MixedBatch
from zoo.training.augment.pipeline import Augmenter
from zoo.training.step_rng import StepRNG

AT_ONCE = 2**20  # bytes of uint8 images at most, where they are more than a step's
MOST_STEPS = 8


def prepared(
    batches: Iterator[Batch], augmenter: Augmenter, draws: StepRNG, step: int, accumulate: int
) -> Iterator[list[MixedBatch]]:
    """The batches of each step, augmented and normalised.

    A model's step leaves the caches cold for the many small operations of augmentation, which after one another cost
    half as much. What is drawn is the step's own, so that it does not matter which steps are prepared together.

    Args:
        step: of the run, the one that the first of the batches are for.
        accumulate: batches a step.
    """
    together = 1
    while True:
        steps = list[list[MixedBatch]]()
        while len(steps) < together and (chosen := list(islice(batches, accumulate))):
            images, _ = chosen[0]
            together = max(1, min(MOST_STEPS, AT_ONCE // (accumulate * images.numel())))
            generator = draws.augmentation(step)
            steps.append([augmenter(*batch, generator) for batch in chosen])
            step += 1
        if not steps:
            return
        yield from steps
