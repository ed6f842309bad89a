"""The initialisation of the ReLU networks in this package."""

from torch import nn


def he_normal(model: nn.Module) -> None:
    """Draw every convolution and linear weight from N(0, 2 / fan_in) and set their biases to zero, in place.

    He, Zhang, Ren, Sun: Delving Deep into Rectifiers. arXiv:1502.01852, equation 10. The paper finds fan-in and
    fan-out equally good; fan-in also keeps the signal level where the first layer turns 3 channels into 64 and no
    BatchNorm follows. BatchNorm keeps its default initialisation.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
