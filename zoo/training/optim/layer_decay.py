"""Layer-wise learning-rate decay: the stages of a model, counted from its head.

A stage is a layer or a block, such as a residual block, an inception module or an encoder block. Modules are visited
in the order of registration, which in almost every architecture is that of the forward pass. A module is split into
its children if it is

- the model itself,
- a mere container of children (`Sequential`, `ModuleList`, `ModuleDict`),
- a module that contains a list of blocks: of two or more children of one class that have several weights each,
- or a module with most of the parameters.

Any other module is one stage. Norms and other vectors between two stages belong to the one before, and so do
embeddings that a split module owns itself. The head is the last stage, wherever it is registered.

Layer-wise decay is by Clark et al. 2020 (ELECTRA) and, for images, Bao et al. 2021 (BEiT).
"""

from collections import Counter
from collections.abc import Iterator

from torch import nn

CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


def lr_scales(module: nn.Module, head: frozenset[str], decay: float) -> dict[int, float]:
    """The factor of each parameter's learning rate: 1 in the head, times `decay` for each stage below it.

    Args:
        head: names of the head's parameters.

    Returns:
        From `id` of the parameter to the factor, above 0 and up to 1.
    """
    from_head = enumerate(reversed(stages(module, head)))
    return {id(parameter): decay**depth for depth, stage in from_head for parameter in stage}


def stages(module: nn.Module, head: frozenset[str]) -> list[list[nn.Parameter]]:
    """The parameters of each stage, from the input to the head, each parameter once."""
    last = [parameter for name, parameter in module.named_parameters() if name in head]
    seen = {id(parameter) for parameter in last}
    most = _size(module) / 2
    result: list[list[nn.Parameter]] = []
    leading: list[nn.Parameter] = []  # vectors before the first stage
    for part, joins_previous in _parts(module, most, root=True):
        new = [parameter for parameter in part if id(parameter) not in seen]
        seen |= {id(parameter) for parameter in new}
        if not joins_previous and any(parameter.ndim > 1 for parameter in new):
            result.append(leading + new)
            leading = []
        else:
            (result[-1] if result else leading).extend(new)
    return [*result, [*leading, *last]]


def _parts(module: nn.Module, most: float, *, root: bool = False) -> Iterator[tuple[list[nn.Parameter], bool]]:
    """The parameters of each layer and block in order, and whether they always join the previous stage."""
    children = [child for child in module.children() if _size(child)]
    split = root or isinstance(module, CONTAINERS) or _size(module) > most or any(map(_lists_blocks, module.modules()))
    if not children or not split:
        yield list(module.parameters()), False
        return
    yield list(module.parameters(recurse=False)), True
    for child in children:
        yield from _parts(child, most)


def _lists_blocks(module: nn.Module) -> bool:
    if not isinstance(module, CONTAINERS):
        return False
    blocks = [child for child in module.children() if not isinstance(child, CONTAINERS) and _weights(child) > 1]
    return any(count > 1 for count in Counter(map(type, blocks)).values())


def _weights(module: nn.Module) -> int:
    return sum(parameter.ndim > 1 for parameter in module.parameters())


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
