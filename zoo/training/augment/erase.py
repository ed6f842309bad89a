"""Random erasing of rectangles (Zhong et al. 2017, arXiv:1708.04896)."""

import math

import torch
from torch import Tensor

from zoo.training.step_rng import to_device

AREA = (0.02, 0.33)  # fraction of the image
RATIO = (0.3, 3.3)  # height to width
TRIES = 10  # to draw a rectangle smaller than the image; if all fail, nothing is erased


def erase(images: Tensor, probability: float, fill: Tensor, generator: torch.Generator) -> Tensor:
    """Fill one random rectangle of each selected image, as torchvision's `RandomErasing` does.

    Args:
        images: `[B, C, H, W]`, of any dtype, on any device.
        probability: that an image is selected; with 0, no random numbers are drawn.
        fill: the colour, `[C]`, of the dtype and device of the images.
        generator: on the CPU.

    Returns:
        `[B, C, H, W]`, of the dtype of the images.
    """
    if probability == 0:
        return images
    n, _, height, width = images.shape
    selected_B = torch.rand(n, generator=generator) < probability
    size_2B = torch.where(selected_B, _sizes(n, height, width, generator), 0)
    free_2B = torch.tensor([[height], [width]]) - size_2B
    start_2B = (torch.rand(2, n, generator=generator, dtype=torch.float64) * (free_2B + 1)).long()
    edges_4B = to_device(torch.cat([start_2B, start_2B + size_2B]), images.device)
    top, left, below, right = edges_4B[..., None]  # [B, 1] each
    rows, columns = (torch.arange(side, device=images.device) for side in (height, width))
    inside_BH, inside_BW = (rows >= top) & (rows < below), (columns >= left) & (columns < right)
    inside = inside_BH[:, None, :, None] & inside_BW[:, None, None, :]
    return torch.where(inside, fill[:, None, None], images)


def _sizes(n: int, height: int, width: int, generator: torch.Generator) -> Tensor:
    """Heights and widths, int64 `[2, N]`: of each image the first of `TRIES` that fit, or 0."""
    area, ratio = torch.rand(2, n, TRIES, generator=generator, dtype=torch.float64)
    area = height * width * (AREA[0] + (AREA[1] - AREA[0]) * area)
    low, high = map(math.log, RATIO)
    ratio = torch.exp(low + (high - low) * ratio)
    tried = torch.stack([(area * ratio).sqrt(), (area / ratio).sqrt()]).round().long()  # [2, N, TRIES]
    fits = (tried[0] < height) & (tried[1] < width)
    first = fits.int().argmax(1)  # argmax returns the first maximum
    sizes = tried.gather(2, first.expand(2, n)[..., None])[..., 0]
    return torch.where(fits.any(1), sizes, 0)
