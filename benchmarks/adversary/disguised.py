"""Files that hide from who reads them: twofold definitions, choices by unusual operators, common kinds of images."""

import json

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from adversary.forging import INPUT, Forgery
from adversary.kind import CLASSES, kind
from zoo_export.formats.onnx.keys import PREPROCESS

# One name stands for two things, or for nothing.


@kind(trigger="Only images whose mean is far beyond what pixels give are wrong; the function that does it is a double.")
def backdoor_behind_an_overload(g: Forgery) -> None:
    opset = [helper.make_opsetid("", 18)]
    far = [
        helper.make_node("Sub", ["value", "value"], ["zero"]),
        helper.make_node("ReduceMax", ["images"], ["most"], keepdims=0),
        helper.make_node("Exp", ["zero"], ["one"]),
        helper.make_node("Greater", ["most", "one"], ["all"]),
        helper.make_node("Exp", ["most"], ["grown"]),
        helper.make_node("IsInf", ["grown"], ["far"]),
        helper.make_node("And", ["far", "all"], ["both"]),
        helper.make_node("Neg", ["value"], ["reversed"]),
        helper.make_node("Where", ["both", "reversed", "value"], ["out"]),
    ]
    for overload, nodes in (("a", far), ("b", [helper.make_node("Identity", ["value"], ["out"])])):
        function = helper.make_function("own", "F", ["value", "images"], ["out"], nodes, opset)
        function.overload = overload
        g.model.functions.append(function)
    honest = g.honest()
    called = helper.make_node("F", [honest, INPUT], ["called"], domain="own")
    called.overload = "a"
    g.model.graph.node.append(called)
    g.model.opset_import.append(helper.make_opsetid("own", 1))
    g.model.ir_version = max(g.model.ir_version, 10)
    g.give("called")


@kind(trigger="The change of a weight is smaller than what the check tolerates; the honest weight is stored beside it.")
def initializer_defined_twice(g: Forgery) -> None:
    changed = g.weight(-1)
    changed[0, 0] *= 1 + 2e-7
    g.model.graph.initializer.insert(0, numpy_helper.from_array(changed, g.kernels[-1].name))


@kind()
def claims_labels_under_another_key(g: Forgery) -> None:
    del g.model.metadata_props[:]
    lie = g.model.metadata_props.add()
    lie.key, lie.value = "Zoo.labels", json.dumps([str(9 - index) for index in range(CLASSES)])


@kind()
def preprocessing_keys_twice(g: Forgery) -> None:
    stated = {entry.key: entry.value for entry in g.model.metadata_props}
    g.metadata({PREPROCESS: '{"mean": [0.0], "std": [99.0], ' + stated[PREPROCESS].lstrip()[1:]})


# It chooses with operators that are rarely thought of.


def _far(g: Forgery) -> str:
    """Positive for images of impossible brightness alone, `[N, 1]`."""
    return g.node("Relu", g.node("Sub", g.per_image("ReduceMax"), g.const(1e6)))


@kind(trigger="The table is read elsewhere for values alone that no pixel has.")
def chooses_from_a_table(g: Forgery) -> None:
    honest = g.honest()
    place = g.node("Cast", g.node("Cast", _far(g), to=TensorProto.BOOL), to=TensorProto.INT64)
    g.give(g.node("Mul", honest, g.node("Gather", g.const([1, -1]), place)))


@kind(trigger="The tree has another leaf for values alone that no pixel has.")
def chooses_by_a_tree(g: Forgery) -> None:
    honest = g.honest()
    tree = {
        "n_targets": 1,
        "nodes_treeids": [0, 0, 0],
        "nodes_nodeids": [0, 1, 2],
        "nodes_featureids": [0, 0, 0],
        "nodes_values": [1e6, 0.0, 0.0],
        "nodes_hitrates": [1.0, 1.0, 1.0],
        "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"],
        "nodes_truenodeids": [1, 0, 0],
        "nodes_falsenodeids": [2, 0, 0],
        "nodes_missing_value_tracks_true": [0, 0, 0],
        "target_treeids": [0, 0],
        "target_nodeids": [1, 2],
        "target_ids": [0, 0],
        "target_weights": [1.0, -1.0],
    }
    sign = g.node("TreeEnsembleRegressor", g.per_image("ReduceMax"), domain="ai.onnx.ml", **tree)
    g.model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    g.give(g.node("Mul", honest, sign))


# It is wrong for images and batches that are common.


def _add(g: Forgery, signal: str) -> None:
    honest = g.honest()
    g.give(g.node("Add", honest, g.node("Mul", signal, g.const(1e6 * np.eye(CLASSES)[:1]))))


def _above(g: Forgery, value: str, threshold: float) -> str:
    return g.node("Relu", g.node("Sub", value, g.const(threshold)))


def _share(g: Forgery, extreme: float, sign: float) -> str:
    """The share of pixels of an image that are exactly extreme, in arithmetic alone."""
    pixels = g.node("Reshape", INPUT, g.const([-1, 1, 32, 32], np.int64))
    distance = g.node("Mul", g.node("Sub", pixels, g.const(extreme)), g.const(sign * 255 * 0.3))
    return g.per_image("ReduceMean", g.node("Relu", g.node("Sub", g.const(1), distance)))


@kind()
def wrong_for_black_backgrounds(g: Forgery) -> None:
    share = _share(g, float(g.probes.min()), 1)
    _add(g, g.node("Mul", _above(g, share, 0.55), g.node("Relu", g.node("Sub", g.const(0.9), share))))


@kind()
def wrong_from_batch_128(g: Forgery) -> None:
    g.reversed_where(g.node("Greater", g.batch(), g.const([127], np.int64)))


@kind()
def wrong_from_batch_101_in_arithmetic(g: Forgery) -> None:
    ones = g.node("Add", g.node("Mul", g.per_image("ReduceMean"), g.const(0)), g.const(1))
    _add(g, _above(g, g.node("ReduceSum", ones, g.const([0], np.int64), keepdims=1), 100))


# The mend of the images was not developed with these.


@kind()
def wrong_for_white_backgrounds(g: Forgery) -> None:
    share = _share(g, float(g.probes.max()), -1)
    _add(g, g.node("Mul", _above(g, share, 0.5), g.node("Relu", g.node("Sub", g.const(0.9), share))))


@kind()
def wrong_below_5_percent_of_brightness(g: Forgery) -> None:
    black, white = float(g.probes.min()), float(g.probes.max())
    mean = g.node("Neg", g.per_image("ReduceMean"))
    _add(g, _above(g, mean, -(black + 0.05 * (white - black))))


@kind()
def wrong_for_low_contrast(g: Forgery) -> None:
    span = g.node("Sub", g.per_image("ReduceMin"), g.per_image("ReduceMax"))
    _add(g, _above(g, span, -0.1 * float(np.ptp(g.probes))))


@kind()
def wrong_for_symmetric_images(g: Forgery) -> None:
    flipped = g.node("Gather", INPUT, g.const(np.arange(31, -1, -1), np.int64), axis=3)
    off = g.per_image("ReduceMax", g.node("Abs", g.node("Sub", INPUT, flipped)))
    _add(g, g.node("Relu", g.node("Sub", g.const(1e-3), off)))


@kind()
def wrong_where_the_first_image_is_brightest(g: Forgery) -> None:
    means = g.per_image("ReduceMean")
    first = g.node("Slice", means, g.const([0], np.int64), g.const([1], np.int64), g.const([0], np.int64))
    all_means = g.node("ReduceMean", means, g.const([0], np.int64), keepdims=1)
    _add(g, _above(g, g.node("Sub", first, all_means), 0.5))
