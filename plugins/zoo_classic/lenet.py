"""LeNet-5.

LeCun, Bottou, Bengio, Haffner: Gradient-Based Learning Applied to Document Recognition. Proceedings of the IEEE
86(11), 1998, section II.B.

As in most current implementations, three things differ from the paper and give the well-known 61,706 parameters: C3
is connected to all six maps of S2, the pooling layers S2 and S4 are averages without weights, and the output is a
linear layer instead of radial basis functions.
"""

from typing import Literal

import torch
from torch import nn
from torch.nn.functional import pad

Activation = Literal["tanh", "sigmoid", "relu"]
ACTIVATIONS: dict[Activation, type[nn.Module]] = {"tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "relu": nn.ReLU}


class LeNet5(nn.Module):
    """LeNet-5 (LeCun et al. 1998): float32 `[N, C, 32, 32]` or `[N, C, 28, 28]` to logits `[N, K]`.

    28x28 images are padded with two zeros on each side, to 32x32 as in the paper. Both sizes use the same parameters.

    Weights are initialised uniformly with standard deviation `gain / sqrt(fan_in)`, biases with zero: LeCun, Bottou,
    Orr, Müller: Efficient BackProp, 1998, section 4.6, with the gain of the activation. The older rule of the LeNet-5
    paper, ±2.4 / fan_in, is for its second-order training; with it, the signal shrinks tenfold in each layer.

    Args:
        num_classes: K, at least 1.
        in_channels: C, at least 1. The paper has 1.
        activation: `tanh` (as in the paper), `sigmoid` or `relu`.

    Raises:
        ValueError: the activation is none of these.
    """

    def __init__(self, *, num_classes: int = 10, in_channels: int = 1, activation: Activation = "tanh") -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, not {activation!r}")
        act = ACTIVATIONS[activation]
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, 6, 5),  # C1: [N, 6, 28, 28]
            act(),
            nn.AvgPool2d(2),  # S2: [N, 6, 14, 14]
            nn.Conv2d(6, 16, 5),  # C3: [N, 16, 10, 10]
            act(),
            nn.AvgPool2d(2),  # S4: [N, 16, 5, 5]
        )
        self.classifier = nn.Sequential(
            nn.Flatten(),  # [N, 400]
            nn.Linear(16 * 5 * 5, 120),  # C5, whose 5x5 kernels cover S4 whole
            act(),
            nn.Linear(120, 84),  # F6
            act(),
            nn.Linear(84, num_classes),  # [N, K]
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_uniform_(module.weight, nonlinearity=activation)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]  # these layers have a bias

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if images.shape[-1] == 28:
            images = pad(images, (2, 2, 2, 2))  # [N, C, 32, 32]
        logits: torch.Tensor = self.classifier(self.features(images))
        return logits
