"""How deep in a model each parameter is, counted in stages from its head, for a learning rate that falls with depth.

A stage is a layer, or a block. Modules are gone through in the order in which they are registered, which is that of
the forward pass in almost every architecture. What is taken apart into its children: the model itself; what only lists
its children (`Sequential`, `ModuleList`, `ModuleDict`); what holds a list of blocks, that is, of two or more children
of one class with several weights each; and what holds most of the parameters. Anything else is one stage: a
residual block, an inception, an encoder block. Norms and other vectors between two stages belong to the one before,
and so do the embeddings that a module holds itself. The head is the last stage, wherever it is registered.

Layer-wise decay is of Clark et al. 2020 (ELECTRA) and, for images, Bao et al. 2021 (BEiT).
"""

from collections import Counter
from collections.abc import Iterator

from torch import nn

CHAINS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


def lr_scales(module: nn.Module, head: frozenset[str], decay: float) -> dict[int, float]:
    """What to multiply the learning rate of each parameter by: 1 in the head, and `decay` more for each stage below.

    Args:
        head: names of the head's parameters.

    Returns:
        `id` of the parameter to factor, from above 0 to 1.
    """
    found = stages(module, head)
    return {id(p): decay**depth for depth, stage in enumerate(reversed(found)) for p in stage}


def stages(module: nn.Module, head: frozenset[str]) -> list[list[nn.Parameter]]:
    """The parameters of each stage, from the image to the head, each parameter once."""
    last = [parameter for name, parameter in module.named_parameters() if name in head]
    seen = {id(parameter) for parameter in last}
    most = _size(module) / 2
    found: list[list[nn.Parameter]] = []
    waiting: list[nn.Parameter] = []  # what belongs to the stage before, where there is none yet
    for part, joins in _parts(module, most, root=True):
        fresh = [parameter for parameter in part if id(parameter) not in seen]
        seen |= {id(parameter) for parameter in fresh}
        if not joins and any(parameter.ndim > 1 for parameter in fresh):
            found.append(waiting + fresh)
            waiting = []
        else:
            (found[-1] if found else waiting).extend(fresh)
    return [*found, [*waiting, *last]]


def _parts(module: nn.Module, most: float, *, root: bool = False) -> Iterator[tuple[list[nn.Parameter], bool]]:
    """Layers and blocks in order, and whether each joins the stage before whatever its shape."""
    children = [child for child in module.children() if _size(child)]
    apart = root or isinstance(module, CHAINS) or _size(module) > most or any(map(_lists_blocks, module.modules()))
    if not children or not apart:
        yield list(module.parameters()), False
        return
    yield list(module.parameters(recurse=False)), True
    for child in children:
        yield from _parts(child, most)


def _lists_blocks(module: nn.Module) -> bool:
    if not isinstance(module, CHAINS):
        return False
    blocks = [child for child in module.children() if not isinstance(child, CHAINS) and _weights(child) > 1]
    return any(count > 1 for count in Counter(map(type, blocks)).values())


def _weights(module: nn.Module) -> int:
    return sum(parameter.ndim > 1 for parameter in module.parameters())


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
