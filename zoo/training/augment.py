"""Random shifts and mirror images, drawn for each image, on the device, in one gather of rows."""

import torch
from torch import Tensor
from torch.nn.functional import pad

from zoo.training.upload import upload


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
    shift_2B = upload(torch.randint(0, 2 * crop + 1, (2, n, 1), generator=generator)[..., 0], device)
    padded = pad(images, (crop, crop, crop, crop))
    rows_BCH = torch.arange(n * channels, device=device).view(n, channels, 1) * padded.shape[2]
    rows_BCH = rows_BCH + shift_2B[0, :, None, None] + torch.arange(height, device=device)
    starts_BCH = rows_BCH * padded.shape[3] + shift_2B[1, :, None, None]
    shifted = padded.flatten().unfold(0, width, 1)[starts_BCH]  # whole rows are copied, rather than pixels
    if hflip:
        mirrored = upload((torch.rand(n, 1, generator=generator)[:, 0] < 0.5).nonzero().squeeze(1), device)
        shifted.index_copy_(0, mirrored, shifted.index_select(0, mirrored).flip(3))
    return shifted
