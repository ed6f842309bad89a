"""Whether a model is right as often as it is sure: the expected calibration error, gathered batch by batch."""

import torch
from torch import Tensor

BINS = 15


class Calibration:
    """Images by how sure the model was, in `BINS` bins of equal width, as in Guo, Pleiss, Sun and Weinberger 2017,
    "On Calibration of Modern Neural Networks", section 2.

    How sure a model is of an image is the largest softmax probability of its logits, whatever loss it was trained
    with: a model trained with `bce_with_logits`, say, is judged by the softmax of its logits too, as that is what
    ranks its classes against each other. Bin `m`, counted from 0, holds probabilities in `(m / BINS, (m + 1) / BINS]`.

    Attributes:
        count, right: int64 `[BINS]`, images, and those of them that were classified correctly.
        confidence: float64 `[BINS]` (float32 on mps), the sum of their largest probabilities.
    """

    def __init__(self, device: torch.device) -> None:
        self.count = torch.zeros(BINS, dtype=torch.int64, device=device)
        self.right = torch.zeros(BINS, dtype=torch.int64, device=device)
        wide = torch.float32 if device.type == "mps" else torch.float64
        self.confidence = torch.zeros(BINS, dtype=wide, device=device)
        self._bins = torch.arange(BINS, device=device)

    def add(self, logits: Tensor, right: Tensor) -> None:
        """Count a batch, without waiting for the device.

        Args:
            logits: `[N, K]`.
            right: bool `[N]`, whether each image was classified correctly.
        """
        sure = logits.float().softmax(1).amax(1)
        place = (sure * BINS).ceil().long().sub(1).clamp(0, BINS - 1)
        here = place[:, None] == self._bins  # summed in a fixed order, unlike a scattered sum on CUDA
        self.count += here.sum(0)
        self.right += (here & right[:, None]).sum(0)
        self.confidence += torch.where(here, sure[:, None].to(self.confidence.dtype), 0.0).sum(0)

    def error(self) -> float:
        """The expected calibration error, 0 to 1: the mean over images of how far the accuracy of their bin is from
        its mean confidence. NaN where logits were."""
        gap = (self.right - self.confidence).abs().sum()
        return min(float(gap) / int(self.count.sum()), 1.0) if not gap.isnan() else float("nan")

    def bins(self) -> list[dict[str, float | int | None]]:
        """For each bin `above` and `up_to`, images `n`, and their mean `confidence` and `accuracy`, 0 to 1, which are
        `None` in an empty bin."""
        rows = zip(self.count.tolist(), self.confidence.tolist(), self.right.tolist(), strict=True)
        return [
            {
                "above": place / BINS,
                "up_to": (place + 1) / BINS,
                "n": n,
                "confidence": confidence / n if n else None,
                "accuracy": right / n if n else None,
            }
            for place, (n, confidence, right) in enumerate(rows)
        ]
