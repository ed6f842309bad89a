"""Evaluate a model on a split, each rank on a part of the images."""

import torch
from torch import nn

from zoo.data.batches import Batches
from zoo.data.datasets import LoadedDataset
from zoo.evaluation.calibration import Calibration
from zoo.evaluation.evaluate import Evaluation, evaluate
from zoo.models.losses import LossFunction
from zoo.training.distributed.process_group import ProcessGroup
from zoo.training.hold_out import Subset


def evaluate_distributed(
    module: nn.Module,
    batches: Batches,
    data: LoadedDataset,
    loss: LossFunction,
    device: torch.device,
    group: ProcessGroup,
) -> Evaluation:
    """`evaluate` over all ranks: each evaluates a part of the images, and every rank gets the result of the whole.

    Buffers, such as the running statistics of BatchNorm, are overwritten by those of rank 0 first.
    """
    num_classes = len(data.classes)
    if group.world_size == 1:
        return evaluate(module, batches, data.preprocess, loss, num_classes=num_classes, device=device)
    group.broadcast(list(module.buffers()))
    own = Subset(batches, torch.arange(batches.n)[group.rank :: group.world_size])
    part = evaluate(module, own, data.preprocess, loss, num_classes=num_classes, device=device) if own.n else None
    return _reduced(part, own.n, num_classes, group)


def _reduced(part: Evaluation | None, n: int, num_classes: int, group: ProcessGroup) -> Evaluation:
    cpu = torch.device("cpu")
    calibration = Calibration(cpu) if part is None else part.calibration
    confusion = torch.zeros(num_classes, num_classes, dtype=torch.int64) if part is None else part.confusion
    in_top5 = 0 if part is None else round(part.top5 * n)
    bins = [calibration.count.cpu(), calibration.correct.cpu()]
    counts = torch.cat([confusion.flatten(), *bins, torch.tensor([in_top5])])
    loss_sum = torch.tensor([0.0 if part is None else part.loss * n], dtype=torch.float64)
    # Integers can be summed in any order. Floats are summed in rank order, so that every rank gets the same result.
    values = torch.stack(group.all_gather(torch.cat([calibration.confidence.cpu().double(), loss_sum]))).sum(0)
    counts = group.all_reduce_sum(counts)
    whole = Calibration(cpu)
    whole.count, whole.correct = counts[num_classes**2 : -1].chunk(2)
    whole.confidence = values[:-1]
    matrix = counts[: num_classes**2].view(num_classes, num_classes)
    images = int(matrix.sum())
    return Evaluation(
        confusion=matrix,
        top5=int(counts[-1]) / images,
        loss=float(values[-1]) / images,
        calibration=whole,
    )
