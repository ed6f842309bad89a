"""The image sizes at which a dynamic export is checked, besides the one that it was traced with."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram

from zoo.contract.errors import ExportError, UnknownName
from zoo.evaluation.attributes import keep_attributes
from zoo.models.load import Model
from zoo.models.stored.identity import architecture_of
from zoo.registry.registry import Registry
from zoo_export.capture import first_line


def smallest_size(registry: Registry, model: Model) -> int:
    """The smallest height and width that a model takes, in pixels: as its architecture declares, or else by trying.

    Raises:
        ExportError: it takes certain sizes only.
    """
    try:
        spec = architecture_of(registry, model.card).spec
    except UnknownName:
        return _first_accepted(model)
    if spec.sizes:
        sizes = ", ".join(str(size) for size in spec.sizes)
        raise ExportError(
            f"{spec.name} takes only images of the sizes {sizes}, so --dynamic-size cannot be used.",
            "Leave out --dynamic-size.",
        )
    return spec.min_size


def _first_accepted(model: Model) -> int:
    """The smallest square that a module takes which no plugin declares."""
    channels, *size = model.preprocess.input_shape
    sides = range(1, min(size) + 1)
    return next((side for side in sides if not _why_not(model.module, (1, channels, side, side))), min(size))


SPAN = 96  # sides that are searched for an assumption that fails; branches on size are about small ones


def captured_from(program: ExportedProgram, smallest: int) -> int:
    """The smallest side that the captured graph takes: `smallest`, or more where torch.export says so."""
    ranges = (program.range_constraints[side.node.expr] for side in _sides(program))
    return max(smallest, *(int(allowed.lower) for allowed in ranges))


def doubtful_sizes(program: ExportedProgram, module: nn.Module, smallest: int) -> list[tuple[int, int]]:
    """Sizes that the model takes, and at which an assumption of the capture about height and width does not hold.

    A branch on the size is captured as it went for the traced size. At a size for which it goes the other way the
    graph may be wrong, so it must be checked there. Each assumption is checked at the smallest side that breaks it.
    """
    height, width = _sides(program)
    channels = int(_images(program).shape[1])
    left = [guard.expr for guard in height.node.shape_env.guards]
    sizes: list[tuple[int, int]] = []
    for side in range(smallest, smallest + SPAN):
        at = {height.node.expr: side, width.node.expr: side}
        broken = [guard for guard in left if guard.xreplace(at) == False]  # noqa: E712, it is sympy's own
        if broken and not _why_not(module, (1, channels, side, side)):
            sizes.append((side, side))
            left = [guard for guard in left if guard not in broken]
    return sizes


def all_sizes(
    program: ExportedProgram, module: nn.Module, size: tuple[int, int], smallest: int
) -> list[tuple[int, int]]:
    """Every size to check besides `size`: `other_sizes` and `doubtful_sizes`.

    Raises:
        ExportError: the model itself does not take one of the former.
    """
    for height, width in other_sizes(size, smallest):
        why = _why_not(module, (1, int(_images(program).shape[1]), height, width))
        if why:
            raise ExportError(
                f"The model takes no images of {height}×{width}, so --dynamic-size cannot be used: {why}",
                "Leave out --dynamic-size, or pool to a fixed size before linear layers.",
            )
    sizes = [*other_sizes(size, smallest), *doubtful_sizes(program, module, smallest)]
    return [each for each in dict.fromkeys(sizes) if each != size]


def other_sizes(size: tuple[int, int], smallest: int) -> Sequence[tuple[int, int]]:
    """Sizes of images to check: a larger one, not square, with one odd side; and a smaller one, if it is allowed."""
    height, width = size
    larger = (height + height // 4 + 1) | 1, width + 2 * (width // 4 + 1)
    larger = larger if larger[0] != larger[1] else (larger[0], larger[1] + 2)
    smaller = max(smallest, height * 3 // 4), max(smallest, width * 3 // 4)
    if smaller[0] > height or smaller[1] > width or smaller == size:
        return [larger, (larger[1], larger[0])]
    return [larger, smaller]


def _images(program: ExportedProgram) -> Any:
    (name,) = program.graph_signature.user_inputs
    return next(node.meta["val"] for node in program.graph.nodes if node.name == name)


def _sides(program: ExportedProgram) -> tuple[Any, Any]:
    """Height and width as symbols. If torch.export made a number of one, the model takes no other."""
    height, width = _images(program).shape[2:]
    if isinstance(height, int) or isinstance(width, int):
        raise ExportError("The captured graph takes one image size only.", "Leave out --dynamic-size.")
    return height, width


@torch.inference_mode()
def _why_not(module: nn.Module, shape: tuple[int, ...]) -> str:
    """Why the model does not take images of that shape; empty if it does."""
    try:
        with keep_attributes(module):
            module(torch.zeros(shape))
    except Exception as error:  # the model's own; an artifact need not take what the model does not
        return first_line(error)
    return ""
