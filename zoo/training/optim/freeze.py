"""Freeze all of a model but its head, or the statistics of its batch norms alone."""

from torch import nn


def freeze(module: nn.Module, trained: frozenset[str]) -> list[nn.Module]:
    """Turn off gradients for every parameter that is not in `trained`.

    Args:
        trained: names in `module.state_dict()`.

    Returns:
        The modules that own a frozen tensor and no trained one. They must be kept in evaluation mode, so that the
        running statistics of BatchNorm do not change. Dropout owns no tensor and stays active.
    """
    for name, parameter in module.named_parameters():
        if name not in trained:
            parameter.requires_grad_(False)
    frozen = []
    for prefix, part in module.named_modules():
        own = [*part.named_parameters(recurse=False), *part.named_buffers(recurse=False)]
        names = {f"{prefix}.{name}".removeprefix(".") for name, _ in own}
        if names and not names & trained:
            frozen.append(part)
    return frozen


def batch_norms(module: nn.Module) -> list[nn.Module]:
    """The batch norms of a model that have running statistics. In evaluation mode they use these and keep them.

    Their scales and biases can be trained nevertheless.
    """
    norms = (part for part in module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm))
    return [part for part in norms if part.track_running_stats]
