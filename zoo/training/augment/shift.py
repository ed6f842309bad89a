"""Random shifts and mirror images, drawn for each image, on the device, in one gather of rows."""

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import pad

from zoo.training.step_rng import to_device


def augment(images: Tensor, crop: int, hflip: bool, generator: torch.Generator) -> Tensor:
    """Shift each image by up to `crop` pixels in both directions, and mirror half of them.

    What is shifted in is black, as in section 4.2 of He et al. 2015.

    Args:
        images: uint8 `[B, C, H, W]`, on any device.
        crop: pixels, 0 for no shift.
        generator: on the CPU, so that a seed means the same on every device.

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
    rows = padded.flatten().unfold(0, width, 1)  # every row of `width` pixels that there is, none of them copied yet
    shifted = rows.index_select(0, begin_BCH.flatten()).view(n, channels, height, width)
    if not hflip:
        return shifted
    mirrored_B = to_device(torch.rand(n, 1, generator=generator)[:, 0] < 0.5, device)
    return torch.cat([shifted, shifted.flip(3)]).index_select(0, torch.arange(n, device=device) + n * mirrored_B)


@lru_cache(maxsize=8)
def _rows(n: int, channels: int, height: int, padded: tuple[int, int], device: torch.device) -> Tensor:
    """Where each row of an unshifted image begins in the padded batch, int64 `[B, C, H]`; the same for each batch."""
    planes_BC1 = torch.arange(n * channels, device=device).view(n, channels, 1) * padded[0]
    return (planes_BC1 + torch.arange(height, device=device)) * padded[1]
