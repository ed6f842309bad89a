"""The expected calibration error (ECE), accumulated batch by batch."""

import torch
from torch import Tensor

BINS = 15


class Calibration:
    """Counts images in `BINS` confidence bins of equal width, as in Guo, Pleiss, Sun and Weinberger 2017, "On
    Calibration of Modern Neural Networks", section 2.

    The confidence for an image is the largest softmax probability of its logits. This holds for every loss: a model
    trained with `bce_with_logits` is also evaluated by the softmax of its logits, which ranks its classes against
    each other. Bin `m`, counted from 0, contains confidences in `(m / BINS, (m + 1) / BINS]`.

    Attributes:
        count, correct: int64 `[BINS]`, the number of images, and of images classified correctly.
        confidence: float64 `[BINS]` (float32 on mps), the sum of the confidences.
    """

    def __init__(self, device: torch.device) -> None:
        self.count = torch.zeros(BINS, dtype=torch.int64, device=device)
        self.correct = torch.zeros(BINS, dtype=torch.int64, device=device)
        dtype = torch.float32 if device.type == "mps" else torch.float64
        self.confidence = torch.zeros(BINS, dtype=dtype, device=device)
        self._bins = torch.arange(BINS, device=device)

    def add(self, logits: Tensor, correct: Tensor) -> None:
        """Add a batch, without synchronising with the device.

        Args:
            logits: `[N, K]`.
            correct: bool `[N]`, whether each image was classified correctly.
        """
        confidence = logits.float().softmax(1).amax(1)
        index = (confidence * BINS).ceil().long().sub(1).clamp(0, BINS - 1)
        in_bin = index[:, None] == self._bins  # a sum over a mask is deterministic on CUDA; scatter_add is not
        self.count += in_bin.sum(0)
        self.correct += (in_bin & correct[:, None]).sum(0)
        self.confidence += torch.where(in_bin, confidence[:, None].to(self.confidence.dtype), 0.0).sum(0)

    def error(self) -> float:
        """Return the expected calibration error, 0 to 1: the difference between accuracy and mean confidence of each
        bin, averaged over images. NaN if a logit was NaN."""
        gap = (self.correct - self.confidence).abs().sum()
        return min(float(gap) / int(self.count.sum()), 1.0) if not gap.isnan() else float("nan")

    def bins(self) -> list[dict[str, float | int | None]]:
        """Return, for each bin, its limits `above` and `up_to`, the number of images `n`, and their mean `confidence`
        and `accuracy`, 0 to 1; `None` for an empty bin."""
        rows = zip(self.count.tolist(), self.confidence.tolist(), self.correct.tolist(), strict=True)
        return [
            {
                "above": index / BINS,
                "up_to": (index + 1) / BINS,
                "n": n,
                "confidence": confidence / n if n else None,
                "accuracy": correct / n if n else None,
            }
            for index, (n, confidence, correct) in enumerate(rows)
        ]
