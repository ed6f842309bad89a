"""AlexNet for 32x32 images: its five convolutions and one linear layer.

The widths are those of the single-tower AlexNet in Krizhevsky: One weird trick for parallelizing convolutional neural
networks, arXiv:1404.5997, after Krizhevsky, Sutskever, Hinton: ImageNet Classification with Deep Convolutional Neural
Networks, NIPS 2012. No paper describes a 32x32 form. This one is the `alexnet` of the public repository
bearpaw/pytorch-classification, whose table gives 2.47 M parameters and 22.78 % top-1 error on CIFAR-10.
"""

import torch
from torch import nn

from zoo_classic.he_normal import he_normal


class CifarAlexNet(nn.Module):
    """AlexNet (Krizhevsky 2014) without its hidden linear layers: float32 `[N, C, H, W]` to logits `[N, K]`.

    H and W are at least 29. The last feature map is averaged; at 32 it is one pixel. There is no local
    response normalisation, no BatchNorm and no dropout. The initialisation is that of He et al. 2015: without
    normalisation and hidden layers, the N(0, 0.01) of 2012 gives vanishing logits.

    Args:
        num_classes: K, at least 1.
        in_channels: C, at least 1.
    """

    def __init__(self, *, num_classes: int = 10, in_channels: int = 3) -> None:
        super().__init__()
        self.features = nn.Sequential(  # sizes are for 32x32
            nn.Conv2d(in_channels, 64, 11, stride=4, padding=5),  # [N, 64, 8, 8]
            nn.ReLU(),
            nn.MaxPool2d(2),  # [N, 64, 4, 4]
            nn.Conv2d(64, 192, 5, padding=2),  # [N, 192, 4, 4]
            nn.ReLU(),
            nn.MaxPool2d(2),  # [N, 192, 2, 2]
            nn.Conv2d(192, 384, 3, padding=1),  # [N, 384, 2, 2]
            nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1),  # [N, 256, 2, 2]
            nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1),  # [N, 256, 2, 2]
            nn.ReLU(),
            nn.MaxPool2d(2),  # [N, 256, 1, 1]
        )
        self.pool = nn.AdaptiveAvgPool2d(1)  # [N, 256, 1, 1]
        self.classifier = nn.Linear(256, num_classes)  # [N, K]
        he_normal(self)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = self.pool(self.features(images)).flatten(1)  # [N, 256]
        logits: torch.Tensor = self.classifier(features)
        return logits
