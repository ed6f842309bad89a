"""Damage to how a window moves over an image: padding, strides, dilation."""

from random import Random

import numpy as np
import onnx_ir as ir

from mutation.graphs import Kind, forget_shapes, ints, node_of, of_type, sizes, used_taps


def _padded(model: ir.Model) -> list[str]:
    windows = of_type(model, "Conv", "MaxPool", "AveragePool")
    return [node.name or "" for node in windows if any(ints(node, "pads", ()))]


def _shift_padding(model: ir.Model, name: str, rng: Random) -> str:
    node = node_of(model, name)
    top, left, bottom, right = ints(node, "pads", ())
    axis = (top and -1) or 0, 0 if top else -1
    node.attributes["pads"] = ir.AttrInt64s("pads", [top + axis[0], left + axis[1], bottom - axis[0], right - axis[1]])
    return ""


def _dilatable(model: ir.Model) -> list[str]:
    return [
        node.name or ""
        for node in of_type(model, "Conv")
        if len(sizes(node.inputs[1])) == 4
        and max(sizes(node.inputs[1])[2:], key=lambda size: size or 0) != 1
        and len(ints(node, "dilations", ())) == 2
    ]


def _dilate(model: ir.Model, name: str, rng: Random) -> str:
    """Twice the dilation, and the padding that keeps the shape."""
    node = node_of(model, name)
    before = used_taps(node)
    dilations, pads, kernel = ints(node, "dilations", (1, 1)), ints(node, "pads", (0,) * 4), sizes(node.inputs[1])[2:]
    for axis in (0, 1):
        more = dilations[axis] * ((kernel[axis] or 1) - 1)
        pads[axis], pads[axis + 2] = pads[axis] + more // 2, pads[axis + 2] + more - more // 2
    node.attributes["dilations"] = ir.AttrInt64s("dilations", [2 * each for each in dilations])
    node.attributes["pads"] = ir.AttrInt64s("pads", pads)
    one = sizes(node.inputs[0])[2:] == [1, 1]
    same = one and before.sum() == 1 and np.array_equal(before, used_taps(node))
    return "the image is one pixel, which meets the same entry of the kernel" if same else ""


def _moving(model: ir.Model) -> list[str]:
    """Windows that move over two axes."""
    windows = of_type(model, "Conv", "MaxPool", "AveragePool")
    return [node.name or "" for node in windows if len(sizes(node.outputs[0])) == 4]


def _stride(model: ir.Model, name: str, rng: Random) -> str:
    """A stride of 1 becomes 2, and a larger one is less by one.

    For every other place of a convolution the padding grows so that the output keeps its size. Elsewhere that size
    changes, and the graph runs as long as nothing after it minds.
    """
    node = node_of(model, name)
    before = ints(node, "strides", (1, 1))
    after = [2 if step == 1 else step - 1 for step in before]
    node.attributes["strides"] = ir.AttrInt64s("strides", after)
    size_in, made = sizes(node.inputs[0])[2:], sizes(node.outputs[0])[2:]
    if made == [1, 1] and _spans(node, size_in) == made:
        return "its window has one position with either stride"
    pads = _keeping(node, size_in, made)
    if node.op_type == "Conv" and pads and rng.randrange(2):
        node.attributes["pads"] = ir.AttrInt64s("pads", pads)
    elif _spans(node, size_in) != made:
        forget_shapes(model)
    return ""


def _reach(node: ir.Node) -> list[int]:
    """How many pixels a window spans on each axis."""
    kernel = sizes(node.inputs[1])[2:] if node.op_type == "Conv" else ints(node, "kernel_shape", (1, 1))
    steps = ints(node, "dilations", (1, 1))
    return [step * ((taps or 1) - 1) + 1 for step, taps in zip(steps, kernel, strict=True)]


def _spans(node: ir.Node, size_in: list[int | None]) -> list[int | None]:
    """The size of the output, where that of the input is known."""
    pads, strides, reach = ints(node, "pads", (0,) * 4), ints(node, "strides", (1, 1)), _reach(node)
    ceil = node.attributes["ceil_mode"].as_int() if "ceil_mode" in node.attributes else 0
    room = [size and size + pads[axis] + pads[axis + 2] - reach[axis] for axis, size in enumerate(size_in)]
    return [
        None if each is None else (-(-each // step) if ceil else each // step) + 1
        for each, step in zip(room, strides, strict=True)
    ]


def _keeping(node: ir.Node, size_in: list[int | None], made: list[int | None]) -> list[int]:
    """The padding with which the output has the size `made`; empty where there is none."""
    totals = [
        (after - 1) * step + reach - before if before and after else -1
        for before, after, step, reach in zip(size_in, made, ints(node, "strides", (1, 1)), _reach(node), strict=True)
    ]
    return [*(each // 2 for each in totals), *(each - each // 2 for each in totals)] if min(totals) >= 0 else []


WINDOWS = (
    Kind("padding shifted", _padded, _shift_padding),
    Kind("stride changed", _moving, _stride),
    Kind("dilation changed", _dilatable, _dilate),
)
