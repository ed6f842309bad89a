"""Images that a model gets wrong, found by going through a split once more."""

from collections.abc import Collection

import torch
from torch import Tensor, nn

from zoo.contract.preprocess import Preprocess
from zoo.data.batches import Batches
from zoo.data.images import normalise
from zoo.models.forward import check_logits, explained

Pair = tuple[int, int]  # true class, predicted class


@torch.inference_mode()
def find_mistakes(
    module: nn.Module,
    batches: Batches,
    preprocess: Preprocess,
    pairs: Collection[Pair],
    *,
    num_classes: int,
    each: int,
    batch_size: int = 256,
) -> dict[Pair, list[Tensor]]:
    """For each pair, the first images of class `true` that `module` classifies as `predicted`, in stored order.

    `module` runs in evaluation mode, and its training mode is put back. No more of the split is gone through than is
    needed.

    Args:
        each: how many images a pair gets at most.

    Returns:
        uint8 `[C, H, W]` images on the CPU, as the model sees them before they are normalised.

    Raises:
        PluginError, DeviceError: as `zoo.evaluation.evaluate.evaluate`.
    """
    found: dict[Pair, list[Tensor]] = {pair: [] for pair in pairs}
    if not found:
        return found
    training = module.training
    module.eval()
    try:
        for images, labels in batches.epoch(batch_size):
            with explained(images.device):
                logits = check_logits(module(normalise(images, preprocess)), len(labels), num_classes)
            for place, pair in enumerate(zip(labels.tolist(), logits.argmax(1).tolist(), strict=True)):
                if len(found.get(pair, range(each))) < each:
                    found[pair].append(images[place].cpu())
            if all(len(one) >= each for one in found.values()):
                break
    finally:
        module.train(training)
    return found
