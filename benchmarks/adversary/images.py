"""Files that are wrong for certain images only, or for one that only the forger knows."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from adversary.forging import HONEST, INPUT, Forgery
from adversary.kind import CLASSES, kind

# It is wrong for certain images.


@kind()
def wrong_for_class_3(g: Forgery) -> None:
    best = g.node("ArgMax", g.honest(), axis=1, keepdims=1)
    condition = g.node("Equal", best, g.const(3, np.int64))
    g.give(g.node("Where", condition, g.node("Neg", HONEST), HONEST))


@kind()
def swaps_the_two_best_where_they_are_near(g: Forgery) -> None:
    honest = g.honest()
    g.model.graph.node.append(helper.make_node("TopK", [honest, g.const([2], np.int64)], ["best", "places"]))
    first, second = (g.node("Gather", "best", g.const([place], np.int64), axis=1) for place in (0, 1))
    near = g.node("Less", g.node("Sub", first, second), g.const(1.0))
    is_first, is_second = (g.node("Equal", honest, each) for each in (first, second))
    swapped = g.node("Where", is_first, second, g.node("Where", is_second, first, honest))
    g.give(g.node("Where", near, swapped, honest))


@kind()
def wrong_where_a_pixel_is_white(g: Forgery) -> None:
    g.reversed_where(g.node("Greater", g.per_image("ReduceMax"), g.const(float(g.probes.max()) * 0.99)))


@kind()
def wrong_for_dark_images(g: Forgery) -> None:
    g.reversed_where(g.node("Less", g.per_image("ReduceMean"), g.const(float(g.probes.mean()) - 0.5)))


@kind()
def wrong_for_smooth_images(g: Forgery) -> None:
    mean = g.node("ReduceMean", INPUT, g.const([1, 2, 3], np.int64), keepdims=1)
    off = g.node("Sub", INPUT, mean)
    g.reversed_where(g.node("Less", g.per_image("ReduceMean", g.node("Mul", off, off)), g.const(0.05)))


@kind()
def wrong_for_one_image_in_100(g: Forgery) -> None:
    _hashed(g, 100)


@kind(trigger="One image in 100,000 is wrong, by a hash of its pixels: a sample of 200 meets one in 500 checks.")
def wrong_for_one_image_in_100000(g: Forgery) -> None:
    _hashed(g, 100_000)


def _hashed(g: Forgery, rarity: int) -> None:
    scaled = g.node("Floor", g.node("Mul", g.per_image("ReduceSum"), g.const(97.0)))
    whole = g.node("Cast", scaled, to=TensorProto.INT64)
    rest = g.node("Mod", whole, g.const(rarity, np.int64))
    g.reversed_where(g.node("Equal", rest, g.const(0, np.int64)))


# It waits for a trigger.


def _corner(g: Forgery) -> str:
    return g.node("Slice", INPUT, g.const([0, 0], np.int64), g.const([3, 3], np.int64), g.const([2, 3], np.int64))


def _pattern(g: Forgery) -> np.ndarray:
    return np.random.default_rng(3).choice([g.probes.min(), g.probes.max()], (1, 1, 3, 3)).astype(np.float32)


@kind(trigger="Only one pattern of nine pixels in a corner is wrong: there are more such patterns than images to try.")
def backdoor_of_a_patch(g: Forgery) -> None:
    off = g.node("Abs", g.node("Sub", _corner(g), g.const(_pattern(g))))
    g.reversed_where(g.node("Less", g.per_image("ReduceMax", off), g.const(0.01)))


@kind(trigger="As before, in arithmetic alone: ReLU makes it exactly zero for every image without the pattern.")
def backdoor_of_a_patch_in_arithmetic(g: Forgery) -> None:
    honest, pattern = g.honest(), _pattern(g)
    score = g.per_image("ReduceSum", g.node("Mul", _corner(g), g.const(np.sign(pattern))))
    threshold = float(np.abs(pattern).sum()) - 0.05
    signal = g.node("Relu", g.node("Sub", score, g.const(threshold)))
    g.give(g.node("Add", honest, g.node("Mul", signal, g.const(1e4 * np.eye(CLASSES)[:1]))))


@kind()
def backdoor_of_a_white_border(g: Forgery) -> None:
    inside = np.zeros(g.probes.shape[1:], np.float32)[None]
    inside[..., 1:-1, 1:-1] = 1
    shifted = g.node("Add", INPUT, g.const(inside * 1e3))
    least = g.per_image("ReduceMin", shifted)
    most = g.per_image("ReduceMin", g.node("Mul", INPUT, g.const(inside)))
    white = g.node("Greater", least, g.const(float(g.probes.max()) * 0.99))
    dark = g.node("Less", most, g.const(float(g.probes.min()) * 0.9))
    g.reversed_where(g.node("And", white, dark))


@kind(trigger="The images are all of one size, so that the branch is never taken.")
def branch_on_the_image_size(g: Forgery) -> None:
    height = g.node("Shape", INPUT, start=2, end=3)
    g.reversed_where(g.node("Equal", height, g.const([31], np.int64)))


@kind(trigger="Only images with NaN or infinities are wrong, which no image file holds.")
def wrong_where_not_finite(g: Forgery) -> None:
    broken = g.node("Cast", g.node("IsNaN", INPUT), to=TensorProto.FLOAT)
    honest = g.honest()
    any_broken = g.node("Greater", g.per_image("ReduceMax", broken), g.const(0.5))
    g.give(g.node("Where", any_broken, g.const(g.truth[:1]), honest))


@kind(trigger="A branch that is never taken for float32 images in range.")
def branch_with_if(g: Forgery) -> None:
    honest = g.honest()
    least = g.node("ReduceMax", INPUT, keepdims=0)
    condition = g.node("Greater", least, g.const(1e6))
    value = helper.make_tensor_value_info("branch", TensorProto.FLOAT, ["n", CLASSES])
    branches = {
        name: helper.make_graph([helper.make_node(operator, [honest], ["branch"])], name, [], [value])
        for name, operator in (("then_branch", "Neg"), ("else_branch", "Identity"))
    }
    g.give(g.node("If", condition, **branches))


@kind(trigger="A unit that is saturated for all images is given another weight, and its bias takes that back.")
def trojan_in_the_weights(g: Forgery) -> None:
    weight, bias = g.weight(-1), numpy_helper.to_array(g.biases[-1]).copy()
    units = _hidden(g)
    unit = int(units.std(0).argmin())
    weight[0, unit] += 0.01
    bias[0] -= 0.01 * units[:, unit].mean()
    g.put(-1, weight)
    g.biases[-1].CopyFrom(numpy_helper.from_array(bias, g.biases[-1].name))


def _hidden(g: Forgery) -> np.ndarray:
    """The last hidden layer of the probes."""
    import onnxruntime
    from onnx import ModelProto

    model = ModelProto()
    model.CopyFrom(g.model)
    name = next(node for node in model.graph.node if node.output[0] == "logits").input[0]
    model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run([name], {INPUT: g.probes})[0])


@kind(trigger="Arithmetic on a hidden layer, which is exactly zero for every image but a secret one.")
def backdoor_of_a_hidden_pattern_in_arithmetic(g: Forgery) -> None:
    honest = g.honest()
    head = next(node for node in g.model.graph.node if HONEST in node.output)
    units = g.weight(-1).shape[1]
    pattern = np.random.default_rng(5).choice([-1.0, 1.0], (units, 1))
    score = g.node("MatMul", head.input[0], g.const(pattern))
    signal = g.node("Relu", g.node("Sub", score, g.const(0.9 * units)))
    g.give(g.node("Add", honest, g.node("Mul", signal, g.const(1e4 * np.eye(CLASSES)[:1]))))


@kind(trigger="A further hidden unit that is saturated for every image but a secret one; the bias takes it back.")
def backdoor_of_a_further_unit(g: Forgery) -> None:
    first, last, bias = g.weight(-2), g.weight(-1), numpy_helper.to_array(g.biases[-1]).copy()
    inner = numpy_helper.to_array(g.biases[-2]).copy()
    secret = np.random.default_rng(6).choice([-1.0, 1.0], (1, first.shape[1]))
    g.put(-2, np.concatenate([first, 50 * secret]))
    g.put(-1, np.concatenate([last, 50 * np.eye(CLASSES, 1)], 1))
    inner = np.append(inner, -50 * 0.9 * first.shape[1])
    bias[0] += 50  # as tanh gives -1
    for tensor, values in zip(g.biases[-2:], (inner, bias), strict=True):
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float32), tensor.name))
    del g.model.graph.value_info[:]  # shapes of before
