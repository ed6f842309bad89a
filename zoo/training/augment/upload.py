"""What was drawn on the CPU, brought to the device without waiting for it."""

import torch
from torch import Tensor


def upload(values: Tensor, device: torch.device) -> Tensor:
    """`values` on the device; from memory that is not pinned, a copy would wait for all that the device has to do."""
    return values.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else values.to(device)
