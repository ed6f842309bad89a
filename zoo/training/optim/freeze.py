"""Keep a part of a model as it is while the rest is trained."""

from torch import nn


def freeze(module: nn.Module, but: frozenset[str]) -> list[nn.Module]:
    """Let no parameter be trained but those named.

    Args:
        but: names in `module.state_dict()`.

    Returns:
        The modules that hold a frozen tensor of their own and none that is trained. In evaluation mode they leave
        BatchNorm's statistics as they are; dropout, which holds no tensor, is not among them.
    """
    for name, parameter in module.named_parameters():
        if name not in but:
            parameter.requires_grad_(False)
    still = []
    for prefix, part in module.named_modules():
        own = [*part.named_parameters(recurse=False), *part.named_buffers(recurse=False)]
        names = {f"{prefix}.{name}".removeprefix(".") for name, _ in own}
        if names and not names & but:
            still.append(part)
    return still
