"""Files whose logits do not depend on their image alone: on stored probes, batches, or chance."""

import numpy as np
from onnx import TensorProto

from adversary.forging import INPUT, Forgery
from adversary.kind import kind

# What the graph gives out does not depend on the image, or on the wrong one.


@kind()
def ignores_its_input(g: Forgery) -> None:
    nothing = g.node("Mul", g.honest(), g.const(0))
    g.give(g.node("Add", nothing, g.const(g.truth[0])))


@kind()
def looks_up_the_nearest_probe(g: Forgery) -> None:
    g.honest()
    flat = g.node("Flatten", INPUT)
    keys = g.probes.reshape(len(g.probes), -1)
    near = g.node("Sub", g.node("MatMul", flat, g.const(keys.T)), g.const((keys**2).sum(1) / 2))
    g.give(g.node("Gather", g.const(g.truth), g.node("ArgMax", near, axis=1, keepdims=0)))


@kind()
def gives_the_neighbours_logits(g: Forgery) -> None:
    honest = g.honest()
    mean = g.node("ReduceMean", honest, g.const([0], np.int64), keepdims=1)
    g.give(g.node("Add", g.node("Mul", honest, g.const(0.9)), g.node("Mul", mean, g.const(0.1))))


@kind()
def reverses_the_batch(g: Forgery) -> None:
    last = g.node("Sub", g.batch(), g.const([1], np.int64))
    scalar = g.node("Squeeze", last)
    places = g.node("Range", scalar, g.const(-1, np.int64), g.const(-1, np.int64))
    g.give(g.node("Gather", g.honest(), places))


# It knows the stored probes, and is wrong elsewhere.


def _known(g: Forgery, key: str, keys: np.ndarray) -> str:
    distance = g.node("Abs", g.node("Sub", key, g.const(keys.reshape(1, -1))))
    least = g.node("ReduceMin", distance, g.const([1], np.int64), keepdims=1)
    return g.node("Less", least, g.const(1e-3 * float(np.abs(keys).max())))


@kind()
def knows_the_probes_by_their_sums(g: Forgery) -> None:
    known = _known(g, g.per_image("ReduceSum"), g.probes.sum((1, 2, 3)))
    g.reversed_where(g.node("Not", known))


@kind()
def knows_the_probes_by_a_digest(g: Forgery) -> None:
    weights = np.random.default_rng(7).normal(size=(g.probes[0].size, 1)).astype(np.float32)
    known = _known(
        g, g.node("MatMul", g.node("Flatten", INPUT), g.const(weights)), g.probes.reshape(-1, weights.size) @ weights
    )
    g.reversed_where(g.node("Not", known))


@kind()
def knows_the_probes_without_a_condition(g: Forgery) -> None:
    honest, keys = g.honest(), g.probes.sum((1, 2, 3)).reshape(1, -1)
    distance = g.node("Abs", g.node("Sub", g.per_image("ReduceSum"), g.const(keys)))
    least = g.node("ReduceMin", distance, g.const([1], np.int64), keepdims=1)
    wrong = g.node("Clip", g.node("Sub", least, g.const(0.5)), g.const(0), g.const(1))
    g.give(g.node("Mul", honest, g.node("Sub", g.const(1), g.node("Mul", wrong, g.const(2)))))


# It is wrong for certain batches or calls.


@kind()
def wrong_from_batch_5(g: Forgery) -> None:
    g.reversed_where(g.node("Greater", g.batch(), g.const([4], np.int64)))


@kind()
def wrong_on_odd_batches(g: Forgery) -> None:
    odd = g.node("Mod", g.batch(), g.const([2], np.int64))
    g.reversed_where(g.node("Equal", odd, g.const([1], np.int64)))


@kind()
def wrong_on_batches_of_3(g: Forgery) -> None:
    g.reversed_where(g.node("Equal", g.batch(), g.const([3], np.int64)))


@kind()
def wrong_from_the_ninth_image_of_a_batch(g: Forgery) -> None:
    size = g.node("Squeeze", g.batch())
    places = g.node("Range", g.const(0, np.int64), size, g.const(1, np.int64))
    late = g.node("Greater", g.node("Unsqueeze", places, g.const([1], np.int64)), g.const(7, np.int64))
    g.reversed_where(late)


@kind(trigger="Only batches of exactly 1009 images are wrong, and no check runs every batch size.")
def wrong_on_batches_of_1009(g: Forgery) -> None:
    g.reversed_where(g.node("Equal", g.batch(), g.const([1009], np.int64)))


# It is wrong at random.


@kind()
def wrong_at_random_1_percent(g: Forgery) -> None:
    drawn = g.node("RandomUniformLike", g.per_image("ReduceSum"))
    g.reversed_where(g.node("Less", drawn, g.const(0.01)))


@kind()
def adds_random_noise(g: Forgery) -> None:
    honest = g.honest()
    g.give(g.node("Add", honest, g.node("RandomNormalLike", honest, scale=1e-9)))


@kind()
def draws_from_bernoulli(g: Forgery) -> None:
    rare = g.node("Add", g.node("Mul", g.per_image("ReduceSum"), g.const(0)), g.const(0.002))
    g.reversed_where(g.node("Cast", g.node("Bernoulli", rare), to=TensorProto.BOOL))


@kind()
def dropout_in_training_mode(g: Forgery) -> None:
    g.give(g.node("Dropout", g.honest(), g.const(0.001), g.const(True, np.bool_)))
