"""Loss functions: `loss(logits, target)` returns a scalar.

`logits` are float `[N, K]`. `target` is class indices int64 `[N]` in 0..K-1, or per-class scores `[N, K]` of any number
type, as each class documents. Losses are computed in float32, or in float64 if the logits are float64: half precision
loses small probabilities. Weights are moved to the device of the logits.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss, multi_margin_loss


class CrossEntropy(nn.Module):
    """Cross-entropy of the softmax: `-log softmax(logits)[target]`, averaged.

    Target: class indices int64 `[N]`, or the probability of each class, `[N, K]` with rows that sum to 1.

    Args:
        label_smoothing: 0 to 1 (Szegedy et al.: Rethinking the Inception Architecture, arXiv:1512.00567, section 7).
        class_weights: K numbers of at least 0, or empty. The weighted sum is divided by N.
            `torch.nn.CrossEntropyLoss` divides it by the sum of the weights in the batch; then the weight of an image
            depends on its batch, gradient accumulation is not exact, and a batch of weight 0 has a loss of NaN.

    Raises:
        ValueError: an argument is out of range, or (in `forward`) the number of weights is not K.
    """

    class_weights: Tensor

    def __init__(self, *, label_smoothing: float = 0.0, class_weights: Sequence[float] = ()) -> None:
        super().__init__()
        if not 0 <= label_smoothing <= 1:
            raise ValueError(f"label_smoothing must be from 0 to 1, not {label_smoothing}")
        self.label_smoothing = label_smoothing
        self.register_buffer("class_weights", _weights("class_weights", class_weights), persistent=False)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        logits = _at_least_float32(logits)
        weight = _check_weights("class_weights", self.class_weights, logits)
        target = target.to(logits.dtype) if target.ndim == logits.ndim else target
        if weight is None:
            return cross_entropy(logits, target, label_smoothing=self.label_smoothing)
        summed = cross_entropy(logits, target, weight=weight, label_smoothing=self.label_smoothing, reduction="sum")
        return summed / len(logits)


class BCEWithLogits(nn.Module):
    """Binary cross-entropy of the sigmoid of each logit, averaged over images and classes.

    Target: scores `[N, K]` from 0 to 1. Several classes of an image may be 1.

    Args:
        pos_weight: K numbers of at least 0, or empty: the weight of a positive example relative to a negative one.

    Raises:
        ValueError: a weight is out of range, or (in `forward`) the number of weights is not K, or the target is not
            `[N, K]`.
    """

    pos_weight: Tensor

    def __init__(self, *, pos_weight: Sequence[float] = ()) -> None:
        super().__init__()
        self.register_buffer("pos_weight", _weights("pos_weight", pos_weight), persistent=False)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        logits = _at_least_float32(logits)
        weight = _check_weights("pos_weight", self.pos_weight, logits)
        return binary_cross_entropy_with_logits(logits, _scores(target, logits), pos_weight=weight)


class Focal(nn.Module):
    """Focal loss over the softmax: `-(1 - p)^gamma log p`, where p is the probability of the target class; averaged.

    Lin, Goyal, Girshick, He, Dollár: Focal Loss for Dense Object Detection. arXiv:1708.02002, equation 5, with
    softmax instead of sigmoid. `torchvision.ops` has the sigmoid form only, and takes seconds to import.

    Target: class indices int64 `[N]`.

    Args:
        gamma: at least 0. The paper uses 2; 0 is cross-entropy.
        class_weights: K numbers of at least 0, or empty: alpha in the paper. The weighted sum is divided by N, so
            that `gamma=0` is equal to `CrossEntropy` with the same weights.

    Raises:
        ValueError: an argument is out of range, or (in `forward`) the number of weights is not K.
    """

    class_weights: Tensor

    def __init__(self, *, gamma: float = 2.0, class_weights: Sequence[float] = ()) -> None:
        super().__init__()
        if not 0 <= gamma < float("inf"):
            raise ValueError(f"gamma must be finite and at least 0, not {gamma}")
        self.gamma = gamma
        self.register_buffer("class_weights", _weights("class_weights", class_weights), persistent=False)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        logits = _at_least_float32(logits)
        weight = _check_weights("class_weights", self.class_weights, logits)
        nll = cross_entropy(logits, target, reduction="none")  # [N], -log p
        # 1 - p without cancellation. The clamp keeps the gradient finite at 0 for gamma below 1.
        miss = (-torch.expm1(-nll)).clamp_min(torch.finfo(nll.dtype).tiny)  # [N]
        focal = miss**self.gamma * nll  # [N]
        return (focal if weight is None else weight[target] * focal).mean()


class MultiMargin(nn.Module):
    """Multi-class hinge: `sum over wrong classes j of max(0, margin - logits[target] + logits[j])^p / K`, averaged.

    Crammer, Singer: On the Algorithmic Implementation of Multiclass Kernel-based Vector Machines. JMLR 2, 2001; in
    the summed form of `torch.nn.MultiMarginLoss`.

    Target: class indices int64 `[N]`.

    Args:
        p: 1 or 2.
        margin: positive.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(self, *, p: int = 1, margin: float = 1.0) -> None:
        super().__init__()
        if p not in (1, 2):
            raise ValueError(f"p must be 1 or 2, not {p}")
        if not 0 < margin < float("inf"):
            raise ValueError(f"margin must be a positive number, not {margin}")
        self.p = p
        self.margin = margin

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return multi_margin_loss(_at_least_float32(logits), target, p=self.p, margin=self.margin)


class MSE(nn.Module):
    """Mean over images and classes of `(logits - target)^2`: the logits themselves, not their softmax.

    Hui, Belkin: Evaluation of Neural Architectures Trained with Square Loss vs Cross-Entropy in Classification Tasks.
    arXiv:2006.07322, without its rescaling for many classes.

    Target: scores `[N, K]`, one-hot for plain classification.

    Raises:
        ValueError: (in `forward`) the target is not `[N, K]`.
    """

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        logits = _at_least_float32(logits)
        return mse_loss(logits, _scores(target, logits))


def _at_least_float32(logits: Tensor) -> Tensor:
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def _weights(name: str, numbers: Sequence[float]) -> Tensor:
    if not all(0 <= number < float("inf") for number in numbers):
        raise ValueError(f"{name} must be finite and at least 0, not {tuple(numbers)}")
    return torch.tensor(numbers, dtype=torch.float32)  # [K], or [0] for none


def _check_weights(name: str, weights: Tensor, logits: Tensor) -> Tensor | None:
    if not len(weights):
        return None
    if len(weights) != logits.shape[1]:
        raise ValueError(f"{name} has {len(weights)} numbers, but the model has {logits.shape[1]} classes.")
    return weights.to(logits)  # device and dtype


def _scores(target: Tensor, logits: Tensor) -> Tensor:
    if target.shape != logits.shape:  # a target [N] would be broadcast silently if N = K
        raise ValueError(
            f"the target must have the shape of the logits, {list(logits.shape)}, not {list(target.shape)}."
        )
    return target.to(logits.dtype)
