"""The residual networks that were designed for CIFAR-10, with shortcuts that have no parameters.

He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition. arXiv:1512.03385 (CVPR 2016), section 4.2.
"""

import torch
from torch import nn
from torch.nn.functional import pad, relu

from zoo_classic.he_normal import he_normal


class PadShortcut(nn.Module):
    """Option A of He et al. 2015, section 3.3: every `stride`-th pixel, and zeros for the channels that are new.

    `[N, C, H, W]` to `[N, C + new_channels, ceil(H / stride), ceil(W / stride)]`, the size that a padded 3x3
    convolution of that stride gives. It has no parameters.
    """

    def __init__(self, new_channels: int, stride: int) -> None:
        super().__init__()
        self.new_channels = new_channels
        self.stride = stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.new_channels))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (He et al. 2015, figure 2).

    Args:
        in_channels: of the input `[N, in_channels, H, W]`.
        channels: of the output `[N, channels, ceil(H / stride), ceil(W / stride)]`.
        stride: of the first convolution.
        shortcut: from the block's input to the shape of its output.
    """

    def __init__(self, in_channels: int, channels: int, *, stride: int, shortcut: nn.Module) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.shortcut = shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        return relu(y + self.shortcut(x))


class CifarResNet(nn.Module):
    """ResNet-20, 32, 44, 56, 110 (He et al. 2015, section 4.2): float32 `[N, C, H, W]` to logits `[N, K]`.

    One convolution, three stages of n blocks with 16, 32 and 64 channels, global average pooling and a linear
    layer: 6n + 2 layers that have weights.

    Args:
        num_classes: K, at least 1.
        in_channels: C, at least 1. The paper has 3.
        depth: 6n + 2 for an integer n of at least 1.

    Raises:
        ValueError: the depth is not of that form.
    """

    def __init__(self, *, num_classes: int = 10, in_channels: int = 3, depth: int = 20) -> None:
        super().__init__()
        blocks, rest = divmod(depth - 2, 6)
        if blocks < 1 or rest:
            raise ValueError(f"depth must be 6n + 2 (8, 14, 20, ...), not {depth}")
        self.stem = nn.Sequential(  # [N, 16, H, W]
            nn.Conv2d(in_channels, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()
        )
        self.stages = nn.Sequential(
            _stage(16, 16, blocks, stride=1),  # [N, 16, H, W]
            _stage(16, 32, blocks, stride=2),  # [N, 32, H/2, W/2]
            _stage(32, 64, blocks, stride=2),  # [N, 64, H/4, W/4]
        )
        self.pool = nn.AdaptiveAvgPool2d(1)  # [N, 64, 1, 1]
        self.classifier = nn.Linear(64, num_classes)  # [N, K]
        he_normal(self)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = self.pool(self.stages(self.stem(images))).flatten(1)  # [N, 64]
        logits: torch.Tensor = self.classifier(features)
        return logits


def _stage(in_channels: int, channels: int, blocks: int, *, stride: int) -> nn.Sequential:
    entry = PadShortcut(channels - in_channels, stride) if stride > 1 else nn.Identity()
    first = BasicBlock(in_channels, channels, stride=stride, shortcut=entry)
    rest = [BasicBlock(channels, channels, stride=1, shortcut=nn.Identity()) for _ in range(blocks - 1)]
    return nn.Sequential(first, *rest)
