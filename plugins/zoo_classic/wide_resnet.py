"""Wide residual networks: few layers of many channels.

Zagoruyko, Komodakis: Wide Residual Networks. arXiv:1605.07146 (BMVC 2016), section 3 and table 1.
"""

import torch
from torch import nn
from torch.nn.functional import relu

from zoo_classic.he_normal import he_normal


class WideBlock(nn.Module):
    """The block B(3,3) of Zagoruyko & Komodakis 2016: BatchNorm and ReLU come before each convolution.

    `[N, in_channels, H, W]` to `[N, channels, ceil(H / stride), ceil(W / stride)]`. Dropout lies between the two
    convolutions (section 2.4). Where the number of channels changes, the shortcut is a 1x1 convolution of the
    activated input; elsewhere it is the input itself.
    """

    def __init__(self, in_channels: int, channels: int, *, stride: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.projection: nn.Conv2d | None = None
        if in_channels != channels:
            self.projection = nn.Conv2d(in_channels, channels, 1, stride=stride, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        active = relu(self.norm1(x))
        shortcut = x if self.projection is None else self.projection(active)
        y = relu(self.norm2(self.conv1(active)))
        y = self.conv2(self.dropout(y))
        sum_: torch.Tensor = y + shortcut
        return sum_


class WideResNet(nn.Module):
    """WRN-depth-width (Zagoruyko & Komodakis 2016): float32 `[N, C, H, W]` to logits `[N, K]`.

    One convolution, three stages of n blocks with 16, 32 and 64 times `width` channels, global average pooling and
    a linear layer: 6n + 4 convolutions, the projections of the shortcuts included.

    Args:
        num_classes: K, at least 1.
        in_channels: C, at least 1. The paper has 3.
        depth: 6n + 4 for an integer n of at least 1.
        width: the factor that the paper calls k, at least 1.
        dropout: probability from 0 to 1 that a value inside a block is dropped in training. The paper trains with
            0 or 0.3 on CIFAR and 0.4 on SVHN.

    Raises:
        ValueError: a number is out of its range.
    """

    def __init__(
        self, *, num_classes: int = 10, in_channels: int = 3, depth: int = 16, width: int = 4, dropout: float = 0.0
    ) -> None:
        super().__init__()
        blocks, rest = divmod(depth - 4, 6)
        if blocks < 1 or rest or width < 1:
            raise ValueError(f"depth must be 6n + 4 (10, 16, 22, ...) and width at least 1, not {depth} and {width}")
        one, two, three = 16 * width, 32 * width, 64 * width
        self.stem = nn.Conv2d(in_channels, 16, 3, padding=1, bias=False)  # [N, 16, H, W]
        self.stages = nn.Sequential(
            _stage(16, one, blocks, stride=1, dropout=dropout),  # [N, 16k, H, W]
            _stage(one, two, blocks, stride=2, dropout=dropout),  # [N, 32k, H/2, W/2]
            _stage(two, three, blocks, stride=2, dropout=dropout),  # [N, 64k, H/4, W/4]
        )
        self.norm = nn.BatchNorm2d(three)
        self.pool = nn.AdaptiveAvgPool2d(1)  # [N, 64k, 1, 1]
        self.classifier = nn.Linear(three, num_classes)  # [N, K]
        he_normal(self)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = relu(self.norm(self.stages(self.stem(images))))
        logits: torch.Tensor = self.classifier(self.pool(maps).flatten(1))
        return logits


def _stage(in_channels: int, channels: int, blocks: int, *, stride: int, dropout: float) -> nn.Sequential:
    first = WideBlock(in_channels, channels, stride=stride, dropout=dropout)
    rest = [WideBlock(channels, channels, stride=1, dropout=dropout) for _ in range(blocks - 1)]
    return nn.Sequential(first, *rest)
