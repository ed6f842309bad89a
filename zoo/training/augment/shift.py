"""Random shifts and horizontal flips of each image, on the device, in one gather of rows."""

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import pad

from zoo.training.step_rng import to_device


def shift_and_flip(images: Tensor, crop: int, hflip: bool, generator: torch.Generator) -> Tensor:
    """Shift each image by up to `crop` pixels in both directions, and flip half of them horizontally.

    The border is black, as in section 4.2 of He et al. 2015 (pad and random crop).

    Args:
        images: uint8 `[B, C, H, W]`, on any device.
        crop: pixels; 0 is off.
        generator: on the CPU, so that a seed gives the same shifts on every device.

    Returns:
        uint8 `[B, C, H, W]`.
    """
    if crop == 0 and not hflip:
        return images
    n, channels, height, width = images.shape
    device = images.device
    shift_2B = to_device(torch.randint(0, 2 * crop + 1, (2, n, 1), generator=generator)[..., 0], device)
    padded = pad(images, (crop, crop, crop, crop))
    begin_BCH = _rows(n, channels, height, tuple(padded.shape[2:]), device)
    begin_BCH = begin_BCH + (shift_2B[0] * padded.shape[3] + shift_2B[1])[:, None, None]
    rows = padded.flatten().unfold(0, width, 1)  # a view of every row of `width` pixels
    shifted = rows.index_select(0, begin_BCH.flatten()).view(n, channels, height, width)
    if not hflip:
        return shifted
    flipped_B = to_device(torch.rand(n, 1, generator=generator)[:, 0] < 0.5, device)
    return torch.cat([shifted, shifted.flip(3)]).index_select(0, torch.arange(n, device=device) + n * flipped_B)


@lru_cache(maxsize=8)
def _rows(n: int, channels: int, height: int, padded: tuple[int, int], device: torch.device) -> Tensor:
    """The start of each row of an unshifted image in the padded batch, int64 `[B, C, H]`; the same for every batch."""
    planes_BC1 = torch.arange(n * channels, device=device).view(n, channels, 1) * padded[0]
    return (planes_BC1 + torch.arange(height, device=device)) * padded[1]
