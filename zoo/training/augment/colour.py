"""Colour operations with a strength for each image, as in `torchvision.transforms.v2`.

All take images uint8 `[N, C, H, W]` of 1 or 3 channels, and strengths float32 `[N]` on the same device where they have
any. They return uint8 `[N, C, H, W]`. A factor of 1 changes nothing.
"""

import torch
from torch import Tensor
from torch.nn.functional import conv2d
from torchvision.transforms.v2 import functional


def brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Multiply the values by the factor; 0 gives black."""
    return _to_uint8(images * factor[:, None, None, None])


def saturation(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the greyscale image: 0 gives greyscale, above 1 more saturation. RGB only."""
    return _blend(_grey(images), images.float(), factor)


def contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the mean brightness of the image: 0 gives plain grey, above 1 more contrast."""
    return _blend(_grey(images).mean((1, 2, 3), keepdim=True), images.float(), factor)


def sharpness(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the smoothed image: 0 gives the smoothed image, above 1 sharpens. Edge pixels do not change."""
    channels, height, width = images.shape[1:]
    if min(height, width) <= 2:
        return images
    kernel = torch.ones(3, 3, device=images.device)
    kernel[1, 1].fill_(5)
    # integer weights, divided afterwards, are exact in TF32 too
    smooth = conv2d(images.float(), kernel.expand(channels, 1, 3, 3), groups=channels).div_(13).round_()
    result = images.clone()
    result[..., 1:-1, 1:-1] = _blend(smooth, images[..., 1:-1, 1:-1].float(), factor)
    return result


def posterize(images: Tensor, bits: Tensor) -> Tensor:
    """Keep the highest `bits` (0 to 8) bits of each value."""
    kept = 256 - torch.exp2(8 - bits)
    return images & kept.to(torch.uint8)[:, None, None, None]


def solarize(images: Tensor, threshold: Tensor) -> Tensor:
    """Invert values at or above the threshold (0 to 255)."""
    return torch.where(images >= threshold[:, None, None, None], ~images, images)


def autocontrast(images: Tensor) -> Tensor:
    """Stretch the values of each channel to the range 0 to 255. A constant channel does not change."""
    lowest, highest = images.amin((2, 3), keepdim=True).float(), images.amax((2, 3), keepdim=True).float()
    scale = (highest - lowest) * (1 / 255)
    return torch.where(scale > 0, _to_uint8((images - lowest) / scale), images)


def equalize(images: Tensor) -> Tensor:
    """Equalize the histogram of each channel."""
    equalized: Tensor = functional.equalize(images)
    return equalized


def _grey(images: Tensor) -> Tensor:
    grey: Tensor = functional.rgb_to_grayscale(images)
    return grey.float()


def _blend(other: Tensor, images: Tensor, factor: Tensor) -> Tensor:
    factor = factor[:, None, None, None]
    return _to_uint8(images * factor + other * (1 - factor))


def _to_uint8(values: Tensor) -> Tensor:
    return values.clamp(0, 255).to(torch.uint8)
