"""Find images that a model classifies wrongly."""

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from zoo.contract.preprocess import Preprocess
from zoo.data.batches import Batches
from zoo.data.images import normalise
from zoo.evaluation import BATCH_SIZE
from zoo.models.forward import check_logits, explain_model_errors

Pair = tuple[int, int]  # true class, predicted class


@dataclass(frozen=True)
class Mistake:
    """An image that was classified wrongly.

    Args:
        index: of the image in the split.
        image: uint8 `[C, H, W]` on the CPU, resized and cropped but not normalised.
    """

    index: int
    image: Tensor


@torch.inference_mode()
def find_mistakes(
    module: nn.Module,
    batches: Batches,
    preprocess: Preprocess,
    pairs: Collection[Pair],
    *,
    num_classes: int,
    each: int,
    batch_size: int = BATCH_SIZE,
) -> dict[Pair, list[Mistake]]:
    """Return, for each pair of classes, the first images of the true class that are predicted as the other.

    `module` runs in evaluation mode, and its training mode is restored. Iteration stops when all images are found.

    Args:
        each: the number of images to find per pair.

    Raises:
        PluginError, DeviceError: as `zoo.evaluation.evaluate.evaluate`.
    """
    mistakes: dict[Pair, list[Mistake]] = {pair: [] for pair in pairs}
    if not mistakes:
        return mistakes
    training = module.training
    module.eval()
    done = 0
    try:
        for images, labels in batches.epoch(batch_size):
            with explain_model_errors(images.device):
                logits = check_logits(module(normalise(images, preprocess)), len(labels), num_classes)
            for position, pair in enumerate(zip(labels.tolist(), logits.argmax(1).tolist(), strict=True)):
                if len(mistakes.get(pair, range(each))) < each:
                    mistakes[pair].append(Mistake(done + position, images[position].cpu()))
            done += len(labels)
            if all(len(one) >= each for one in mistakes.values()):
                break
    finally:
        module.train(training)
    return mistakes
