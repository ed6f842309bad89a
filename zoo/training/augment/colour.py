"""Changes of colour with a strength for each image. The conventions are those of `torchvision.transforms.v2`.

All take images uint8 `[N, C, H, W]` of 1 or 3 channels and, where they have strengths, these as float32 `[N]` on the
same device, and give uint8 `[N, C, H, W]`. A factor of 1 changes nothing.
"""

import torch
from torch import Tensor
from torch.nn.functional import conv2d
from torchvision.transforms.v2 import functional


def brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Multiply by the factor; 0 gives black."""
    return _whole(images * factor[:, None, None, None])


def saturation(images: Tensor, factor: Tensor) -> Tensor:
    """Away from the image in grey, where the factor is above 1, and towards it below. RGB only."""
    return _blend(_grey(images), images.float(), factor)


def contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Away from the mean brightness of the image, where the factor is above 1, and towards it below."""
    return _blend(_grey(images).mean((1, 2, 3), keepdim=True), images.float(), factor)


def sharpness(images: Tensor, factor: Tensor) -> Tensor:
    """Away from the image smoothed, where the factor is above 1, and towards it below. The edge pixels stay."""
    channels, height, width = images.shape[1:]
    if min(height, width) <= 2:
        return images
    kernel = torch.ones(3, 3, device=images.device)
    kernel[1, 1].fill_(5)
    # of whole numbers, and divided after: so that TF32 is exact too
    smooth = conv2d(images.float(), kernel.expand(channels, 1, 3, 3), groups=channels).div_(13).round_()
    result = images.clone()
    result[..., 1:-1, 1:-1] = _blend(smooth, images[..., 1:-1, 1:-1].float(), factor)
    return result


def posterize(images: Tensor, bits: Tensor) -> Tensor:
    """Keep the highest bits of each value; `bits` from 0 to 8."""
    kept = 256 - torch.exp2(8 - bits)
    return images & kept.to(torch.uint8)[:, None, None, None]


def solarize(images: Tensor, threshold: Tensor) -> Tensor:
    """Invert the values from the threshold (0 to 255) on."""
    return torch.where(images >= threshold[:, None, None, None], ~images, images)


def autocontrast(images: Tensor) -> Tensor:
    """Stretch the values of each channel to 0 to 255; a channel of one value stays."""
    lowest, highest = images.amin((2, 3), keepdim=True).float(), images.amax((2, 3), keepdim=True).float()
    scale = (highest - lowest) * (1 / 255)
    return torch.where(scale > 0, _whole((images - lowest) / scale), images)


def equalize(images: Tensor) -> Tensor:
    """Spread the values of each channel evenly over 0 to 255."""
    spread: Tensor = functional.equalize(images)
    return spread


def _grey(images: Tensor) -> Tensor:
    grey: Tensor = functional.rgb_to_grayscale(images)
    return grey.float()


def _blend(dull: Tensor, images: Tensor, factor: Tensor) -> Tensor:
    factor = factor[:, None, None, None]
    return _whole(images * factor + dull * (1 - factor))


def _whole(values: Tensor) -> Tensor:
    return values.clamp(0, 255).to(torch.uint8)
