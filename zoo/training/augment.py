"""Random shifts and mirror images, drawn for each image, on the device, in one gather."""

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
    shift_BX = upload(torch.randint(0, 2 * crop + 1, (2, n, 1), generator=generator), device)
    rows_BH = shift_BX[0] + torch.arange(height, device=device)
    columns_BW = torch.arange(width, device=device).expand(n, width)
    if hflip:
        mirrored_B1 = upload(torch.rand(n, 1, generator=generator) < 0.5, device)
        columns_BW = torch.where(mirrored_B1, columns_BW.flip(1), columns_BW)
    columns_BW = shift_BX[1] + columns_BW
    padded = pad(images, (crop, crop, crop, crop))
    index_B = torch.arange(n, device=images.device)[:, None, None, None]
    index_C = torch.arange(channels, device=images.device)[None, :, None, None]
    return padded[index_B, index_C, rows_BH[:, None, :, None], columns_BW[:, None, None, :]]
