"""Which image sizes a dynamic export is judged at, besides the one that it was traced with."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram

from zoo.contract.errors import ExportError, UnknownName
from zoo.models.identity import architecture_of
from zoo.models.load import Model
from zoo.registry.registry import Registry
from zoo_export.capture import first_line


def smallest_size(registry: Registry, model: Model) -> int:
    """The smallest height and width that a model takes, in pixels: as its architecture declares, or as it is found to.

    Raises:
        ExportError: it takes certain sizes only, so that they cannot be dynamic.
    """
    try:
        spec = architecture_of(registry, model.card).spec
    except UnknownName:
        return _first_accepted(model)
    if spec.sizes:
        sizes = ", ".join(str(size) for size in spec.sizes)
        raise ExportError(
            f"{spec.name} takes images of certain sizes only ({sizes}), so that height and width cannot be dynamic.",
            "Leave out --dynamic-size.",
        )
    return spec.min_size


def _first_accepted(model: Model) -> int:
    """The smallest square that a module takes which no plugin declares."""
    channels, *size = model.preprocess.input_shape
    sides = range(1, min(size) + 1)
    return next((side for side in sides if not _why_not(model.module, (1, channels, side, side))), min(size))


SPAN = 96  # sides looked at for an assumption that fails; branches on size are about small ones


def captured_from(program: ExportedProgram, smallest: int) -> int:
    """The smallest side that the captured graph takes: `smallest`, or more where torch.export says so."""
    ranges = (program.range_constraints[side.node.expr] for side in _sides(program))
    return max(smallest, *(int(allowed.lower) for allowed in ranges))


def doubtful_sizes(program: ExportedProgram, module: nn.Module, smallest: int) -> list[tuple[int, int]]:
    """Sizes that the model takes, and at which something that the capture assumed of height and width does not hold.

    A branch on the size is captured as it went for the traced size, and no artifact says so. There the graph may be
    wrong, so there it must be judged. The smallest side is taken for each assumption that no size before breaks.
    """
    height, width = _sides(program)
    channels = int(_images(program).shape[1])
    left = [guard.expr for guard in height.node.shape_env.guards]
    found: list[tuple[int, int]] = []
    for side in range(smallest, smallest + SPAN):
        at = {height.node.expr: side, width.node.expr: side}
        broken = [guard for guard in left if guard.xreplace(at) == False]  # noqa: E712, it is sympy's own
        if broken and not _why_not(module, (1, channels, side, side)):
            found.append((side, side))
            left = [guard for guard in left if guard not in broken]
    return found


def all_sizes(
    program: ExportedProgram, module: nn.Module, size: tuple[int, int], smallest: int
) -> list[tuple[int, int]]:
    """Every size to judge with besides `size`: `other_sizes` and `doubtful_sizes`.

    Raises:
        ExportError: the model itself does not take one of the former.
    """
    for height, width in other_sizes(size, smallest):
        why = _why_not(module, (1, int(_images(program).shape[1]), height, width))
        if why:
            raise ExportError(
                f"The model takes no images of {height}×{width}, so that height and width cannot be dynamic: {why}",
                "Leave out --dynamic-size, or have its forward pool to a fixed size before linear layers.",
            )
    found = [*other_sizes(size, smallest), *doubtful_sizes(program, module, smallest)]
    return [each for each in dict.fromkeys(found) if each != size]


def other_sizes(size: tuple[int, int], smallest: int) -> Sequence[tuple[int, int]]:
    """Height and width of images to judge with: larger and not square, one side odd; and smaller, where that may be."""
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
    """Height and width as symbols; where torch.export made a number of one, the model takes no other."""
    height, width = _images(program).shape[2:]
    if isinstance(height, int) or isinstance(width, int):
        raise ExportError("The captured graph takes one image size only.", "Leave out --dynamic-size.")
    return height, width


@torch.inference_mode()
def _why_not(module: nn.Module, shape: tuple[int, ...]) -> str:
    """Why the model does not take images of that shape; empty where it does."""
    try:
        module(torch.zeros(shape))
    except Exception as error:  # the model's own; at a doubtful size no artifact has to take them either
        return first_line(error)
    return ""
