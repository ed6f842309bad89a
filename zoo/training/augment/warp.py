"""Affine operations with a strength for each image: their matrices, and one sampling for all of them.

A matrix maps the position of an output pixel to that of its input pixel, in pixels from the centre, `x` to the right
and `y` down. The conventions are those of torchvision's TrivialAugment.
"""

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from zoo.training.step_rng import to_device


def shear_x(strength: Tensor, height: int, width: int) -> Tensor:
    """Rows move left by `strength` times their distance from the top edge. Float64 `[N]` to `[N, 2, 3]`."""
    return _matrices(1, strength, strength * height / 2, 0, 1, 0)


def shear_y(strength: Tensor, height: int, width: int) -> Tensor:
    """Columns move up by `strength` times their distance from the left edge. Float64 `[N]` to `[N, 2, 3]`."""
    return _matrices(1, 0, 0, strength, 1, strength * width / 2)


def translate_x(strength: Tensor, height: int, width: int) -> Tensor:
    """To the right by whole pixels, `strength` without its fraction. Float64 `[N]` to `[N, 2, 3]`."""
    return _matrices(1, 0, -strength.trunc(), 0, 1, 0)


def translate_y(strength: Tensor, height: int, width: int) -> Tensor:
    """Down by whole pixels, `strength` without its fraction. Float64 `[N]` to `[N, 2, 3]`."""
    return _matrices(1, 0, 0, 0, 1, -strength.trunc())


def rotate(strength: Tensor, height: int, width: int) -> Tensor:
    """Counter-clockwise about the centre, in degrees. Float64 `[N]` to `[N, 2, 3]`."""
    angle = strength.deg2rad()
    return _matrices(angle.cos(), -angle.sin(), 0, angle.sin(), angle.cos(), 0)


def warp(images: Tensor, matrices: Tensor) -> Tensor:
    """Sample the nearest input pixel for each output pixel; outside of the image all is black.

    Args:
        images: uint8 `[N, C, H, W]`, on any device.
        matrices: float64 `[N, 2, 3]`, on the CPU.

    Returns:
        uint8 `[N, C, H, W]`.
    """
    height, width = images.shape[2:]
    x_W, y_H = (torch.arange(side, device=images.device) - (side - 1) / 2 for side in (width, height))
    scaled = matrices / torch.tensor([[width / 2], [height / 2]], dtype=torch.float64)  # grid_sample's -1 to 1
    a = to_device(scaled.float(), images.device)[..., None, None]  # [N, 2, 3, 1, 1]
    grid = a[:, :, 0] * x_W + a[:, :, 1] * y_H[:, None] + a[:, :, 2]  # [N, 2, H, W]
    sampled = grid_sample(images.float(), grid.movedim(1, 3), "nearest", "zeros", align_corners=False)
    return sampled.to(torch.uint8)


def _matrices(*entries: Tensor | float) -> Tensor:
    n = max(len(entry) for entry in entries if isinstance(entry, Tensor))
    tensors = [torch.as_tensor(entry, dtype=torch.float64).expand(n) for entry in entries]
    return torch.stack(tensors, dim=1).view(n, 2, 3)
