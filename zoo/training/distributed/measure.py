"""Measure a model on a split, on every rank a share of it."""

import torch
from torch import nn

from zoo.data.batches import Batches
from zoo.data.datasets import LoadedDataset
from zoo.evaluation.calibration import Calibration
from zoo.evaluation.evaluate import Evaluation, evaluate
from zoo.models.losses import LossFunction
from zoo.training.distributed.process_group import ProcessGroup
from zoo.training.hold_out import Subset


def measure(
    module: nn.Module,
    batches: Batches,
    data: LoadedDataset,
    loss: LossFunction,
    device: torch.device,
    ranks: ProcessGroup,
) -> Evaluation:
    """`evaluate`, each rank a share of the images; counts are added up, so every rank gets the figures of the whole.

    Buffers, such as BatchNorm's statistics, become those of rank 0 before.
    """
    classes = len(data.classes)
    if ranks.world == 1:
        return evaluate(module, batches, data.preprocess, loss, num_classes=classes, device=device)
    ranks.give(list(module.buffers()))
    mine = Subset(batches, torch.arange(batches.n)[ranks.rank :: ranks.world])
    part = evaluate(module, mine, data.preprocess, loss, num_classes=classes, device=device) if mine.n else None
    return _added(part, mine.n, classes, ranks)


def _added(part: Evaluation | None, n: int, classes: int, ranks: ProcessGroup) -> Evaluation:
    nothing = torch.device("cpu")
    calibration = Calibration(nothing) if part is None else part.calibration
    confusion = torch.zeros(classes, classes, dtype=torch.int64) if part is None else part.confusion
    among_five = 0 if part is None else round(part.top5 * n)
    bins = [calibration.count.cpu(), calibration.right.cpu()]
    counts = torch.cat([confusion.flatten(), *bins, torch.tensor([among_five])])
    lost = torch.tensor([0.0 if part is None else part.loss * n], dtype=torch.float64)
    # Counts may be added in any order. Sums of fractions are added in that of the ranks, to be the same on all of them.
    values = torch.stack(ranks.each(torch.cat([calibration.confidence.cpu().double(), lost]))).sum(0)
    summed = ranks.total(counts)
    whole = Calibration(nothing)
    whole.count, whole.right = summed[classes**2 : -1].chunk(2)
    whole.confidence = values[:-1]
    matrix = summed[: classes**2].view(classes, classes)
    images = int(matrix.sum())
    return Evaluation(matrix, int(summed[-1]) / images, float(values[-1]) / images, whole)
