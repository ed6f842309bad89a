"""The ImageNet residual networks of basic blocks, with a stem for small images.

He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition. arXiv:1512.03385 (CVPR 2016), table 1. The stem
is that of Chen, Kornblith, Norouzi, Hinton: A Simple Framework for Contrastive Learning of Visual Representations.
arXiv:2002.05709, appendix B.9: a 3x3 convolution of stride 1 in place of the 7x7 one of stride 2, and no max-pool.
"""

import torch
from torch import nn

from zoo_classic.he_normal import he_normal
from zoo_classic.resnet_cifar import BasicBlock

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}


class SmallInputResNet(nn.Module):
    """ResNet-18 and 34 (He et al. 2015) for small images: float32 `[N, C, H, W]` to logits `[N, K]`.

    The shortcut of a block that changes the shape is a 1x1 convolution with BatchNorm (option B of section 3.3).

    Args:
        num_classes: K, at least 1.
        in_channels: C, at least 1. The paper has 3.
        depth: 18 or 34.

    Raises:
        ValueError: the depth is neither.
    """

    def __init__(self, *, num_classes: int = 10, in_channels: int = 3, depth: int = 18) -> None:
        super().__init__()
        if depth not in BLOCKS:
            raise ValueError(f"depth must be one of {', '.join(map(str, BLOCKS))}, not {depth}")
        one, two, three, four = BLOCKS[depth]
        self.stem = nn.Sequential(  # [N, 64, H, W]
            nn.Conv2d(in_channels, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU()
        )
        self.stages = nn.Sequential(
            _stage(64, 64, one, stride=1),  # [N, 64, H, W]
            _stage(64, 128, two, stride=2),  # [N, 128, H/2, W/2]
            _stage(128, 256, three, stride=2),  # [N, 256, H/4, W/4]
            _stage(256, 512, four, stride=2),  # [N, 512, H/8, W/8]
        )
        self.pool = nn.AdaptiveAvgPool2d(1)  # [N, 512, 1, 1]
        self.classifier = nn.Linear(512, num_classes)  # [N, K]
        he_normal(self)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = self.pool(self.stages(self.stem(images))).flatten(1)  # [N, 512]
        logits: torch.Tensor = self.classifier(features)
        return logits


def _stage(in_channels: int, channels: int, blocks: int, *, stride: int) -> nn.Sequential:
    entry: nn.Module = nn.Identity()
    if stride > 1:
        projection = nn.Conv2d(in_channels, channels, 1, stride=stride, bias=False)
        entry = nn.Sequential(projection, nn.BatchNorm2d(channels))
    first = BasicBlock(in_channels, channels, stride=stride, shortcut=entry)
    rest = [BasicBlock(channels, channels, stride=1, shortcut=nn.Identity()) for _ in range(blocks - 1)]
    return nn.Sequential(first, *rest)
