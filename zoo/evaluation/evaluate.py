"""Measure a model on a split."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from zoo.contract.preprocess import Preprocess
from zoo.data.batches import Batches
from zoo.data.images import normalise
from zoo.evaluation.calibration import Calibration
from zoo.evaluation.scores import wilson
from zoo.files.card import Metric
from zoo.models.forward import check_logits, explained
from zoo.models.losses import LossFunction


@dataclass(frozen=True)
class Evaluation:
    """What was measured.

    Args:
        confusion: int64 `[K, K]`, true class by predicted class.
        top5: the share of images whose class is among the five largest logits, 0 to 1.
        loss: mean over the images.
        calibration: images by how sure the model was, that is, by the largest softmax probability of their logits.
    """

    confusion: Tensor
    top5: float
    loss: float
    calibration: Calibration

    @property
    def n(self) -> int:
        """The number of images."""
        return int(self.confusion.sum())

    @property
    def top1(self) -> float:
        """The share of images classified correctly, 0 to 1."""
        return int(self.confusion.diagonal().sum()) / self.n

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % Wilson interval of `top1`."""
        return wilson(int(self.confusion.diagonal().sum()), self.n)

    def metrics(self, dataset: str, split: str) -> tuple[Metric, ...]:
        """The figures for a card."""
        values = {"top1": self.top1, "top5": self.top5, "loss": self.loss}
        return tuple(Metric(name=k, value=v, dataset=dataset, split=split, n=self.n) for k, v in values.items())


@torch.inference_mode()
def evaluate(
    module: nn.Module,
    batches: Batches,
    preprocess: Preprocess,
    loss: LossFunction,
    *,
    num_classes: int,
    device: torch.device,
    batch_size: int = 256,
) -> Evaluation:
    """Run `module` in float32 evaluation mode over a split. Its training mode is put back afterwards.

    What is gathered on the device is of the order of K² whatever the number of images, and is read once, at the end.

    Raises:
        PluginError: the model raises, or gives something other than logits `[N, num_classes]`.
        DeviceError: there was not enough memory.
    """
    training = module.training
    module.eval()
    confusion = torch.zeros(num_classes * num_classes, dtype=torch.int64, device=device)
    total = torch.zeros((), dtype=torch.float64 if device.type != "mps" else torch.float32, device=device)
    among_five = torch.zeros((), dtype=torch.int64, device=device)
    calibration = Calibration(device)
    try:
        for images, labels in batches.epoch(batch_size):
            with explained(device):
                logits = check_logits(module(normalise(images, preprocess)), len(labels), num_classes)
            predicted = logits.argmax(1)
            confusion.index_add_(0, labels * num_classes + predicted, torch.ones_like(labels))  # bincount would wait
            calibration.add(logits, predicted == labels)
            among_five += (logits.topk(min(5, num_classes)).indices == labels[:, None]).any(1).sum()
            total += loss(logits, labels).to(total.dtype) * len(labels)
    finally:
        module.train(training)
    return Evaluation(
        confusion.view(num_classes, num_classes).cpu(),
        float(among_five) / batches.n,
        float(total) / batches.n,
        calibration,
    )
