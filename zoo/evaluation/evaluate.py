"""Evaluate a model on a split."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from zoo.contract.errors import refuse_lost_worker
from zoo.contract.preprocess import Preprocess
from zoo.contract.pretrained import Metric
from zoo.data.batches import Batches
from zoo.data.images import normalise
from zoo.evaluation import BATCH_SIZE
from zoo.evaluation.calibration import Calibration
from zoo.evaluation.scores import wilson
from zoo.models.forward import check_logits, explain_model_errors
from zoo.models.losses import LossFunction


@dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation.

    Args:
        confusion: int64 `[K, K]`, true class by predicted class.
        top5: top-5 accuracy, 0 to 1.
        loss: mean over the images.
        calibration: images by confidence, the largest softmax probability of their logits.
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
        """Top-1 accuracy, 0 to 1."""
        return int(self.confusion.diagonal().sum()) / self.n

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % Wilson interval of `top1`."""
        return wilson(int(self.confusion.diagonal().sum()), self.n)

    def metrics(self, dataset: str, split: str) -> tuple[Metric, ...]:
        """Return `top1`, `top5` and `loss` as metrics for a card."""
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
    batch_size: int = BATCH_SIZE,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    on_logits: Callable[[Tensor], None] = lambda logits: None,
) -> Evaluation:
    """Evaluate `module` in float32 evaluation mode on a split. Its training mode is restored afterwards.

    Results are accumulated on the device, in memory of the order of K², and copied to the CPU once at the end.

    Args:
        on_progress: called after each batch with the number of images that were evaluated, and of all.
        on_logits: called with the logits `[B, K]` of each batch, on the device.

    Raises:
        PluginError: the model raised an exception, or did not return logits `[N, num_classes]`.
        DeviceError: out of memory.
    """
    training = module.training
    module.eval()
    confusion = torch.zeros(num_classes * num_classes, dtype=torch.int64, device=device)
    loss_sum = torch.zeros((), dtype=torch.float64 if device.type != "mps" else torch.float32, device=device)
    top5_count = torch.zeros((), dtype=torch.int64, device=device)
    calibration = Calibration(device)
    done = 0
    try:
        for images, labels in batches.epoch(batch_size):
            with explain_model_errors(device):
                logits = check_logits(module(normalise(images, preprocess)), len(labels), num_classes)
            on_logits(logits)
            predicted = logits.argmax(1)
            confusion.index_add_(
                0, labels * num_classes + predicted, torch.ones_like(labels)
            )  # bincount would synchronise with the device
            calibration.add(logits, predicted == labels)
            top5_count += (logits.topk(min(5, num_classes)).indices == labels[:, None]).any(1).sum()
            loss_sum += loss(logits, labels).to(loss_sum.dtype) * len(labels)
            done += len(labels)
            on_progress(done, batches.n)
    except RuntimeError as error:  # raised by a signal, at any of these lines
        refuse_lost_worker(error)
        raise
    finally:
        module.train(training)
    return Evaluation(
        confusion.view(num_classes, num_classes).cpu(),
        float(top5_count) / batches.n,
        float(loss_sum) / batches.n,
        calibration,
    )
