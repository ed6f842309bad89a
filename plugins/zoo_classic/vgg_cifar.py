"""VGG for 32x32 images: the paper's convolutions and one linear layer.

Simonyan, Zisserman: Very Deep Convolutional Networks for Large-Scale Image Recognition. arXiv:1409.1556 (ICLR 2015),
table 1, configurations A and D. BatchNorm made the deep one trainable on CIFAR-10: Liu, Deng: Very Deep Convolutional
Neural Network Based Image Classification Using Small Training Sample Size, ACPR 2015. After five poolings a 32x32 image
is one pixel of 512 channels, so the three linear layers become one, as in the public repository kuangliu/pytorch-cifar.
"""

import torch
from torch import nn

from zoo_classic.he_normal import he_normal

# Channels of the 3x3 convolutions between one max-pool and the next, by the paper's count of layers with weights.
STAGES: dict[int, tuple[tuple[int, ...], ...]] = {
    11: ((64,), (128,), (256, 256), (512, 512), (512, 512)),
    16: ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512)),
}


class CifarVGG(nn.Module):
    """VGG-11 and VGG-16 (Simonyan & Zisserman 2014): float32 `[N, C, H, W]` to logits `[N, K]`.

    H and W are at least 32. For larger images, the last feature map is averaged. With a linear head, this is equal
    to the dense evaluation of the paper (section 3.2). The initialisation of He et al. 2015 lets the network train
    without BatchNorm; the paper initialised deep networks from a shallow one.

    Args:
        num_classes: K, at least 1.
        in_channels: C, at least 1. The paper has 3.
        depth: 11 (configuration A) or 16 (configuration D).
        batch_norm: whether each convolution is followed by BatchNorm. The paper has none.

    Raises:
        ValueError: the depth is neither.
    """

    def __init__(
        self, *, num_classes: int = 10, in_channels: int = 3, depth: int = 16, batch_norm: bool = True
    ) -> None:
        super().__init__()
        if depth not in STAGES:
            raise ValueError(f"depth must be one of {', '.join(map(str, STAGES))}, not {depth}")
        layers: list[nn.Module] = []
        for stage in STAGES[depth]:
            for channels in stage:
                layers.append(nn.Conv2d(in_channels, channels, 3, padding=1))  # [N, channels, H, W]
                layers += [nn.BatchNorm2d(channels)] if batch_norm else []
                layers.append(nn.ReLU())
                in_channels = channels
            layers.append(nn.MaxPool2d(2))  # [N, channels, H/2, W/2]
        self.features = nn.Sequential(*layers)  # [N, 512, H/32, W/32]
        self.pool = nn.AdaptiveAvgPool2d(1)  # [N, 512, 1, 1]
        self.classifier = nn.Linear(512, num_classes)  # [N, K]
        he_normal(self)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = self.pool(self.features(images)).flatten(1)  # [N, 512]
        logits: torch.Tensor = self.classifier(features)
        return logits
