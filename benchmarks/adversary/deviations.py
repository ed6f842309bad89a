"""Files that compute something else on every image, or claim to be what they are not."""

import json

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from adversary.forging import INPUT, Forgery
from adversary.kind import CLASSES, kind
from zoo_export.formats.onnx.keys import LABELS, PREPROCESS

# It computes something else, by a little or by much.


@kind()
def swaps_two_classes(g: Forgery) -> None:
    order = list(range(CLASSES))
    order[3], order[8] = 8, 3
    g.give(g.node("Gather", g.honest(), g.const(order, np.int64), axis=1))


@kind()
def scales_the_logits(g: Forgery) -> None:
    g.give(g.node("Mul", g.honest(), g.const(1.001)))


@kind()
def casts_logits_to_integers(g: Forgery) -> None:
    whole = g.node("Cast", g.honest(), to=TensorProto.INT32)
    g.give(g.node("Cast", whole, to=TensorProto.FLOAT))


@kind()
def rounds_logits_to_float16(g: Forgery) -> None:
    half = g.node("Cast", g.honest(), to=TensorProto.FLOAT16)
    g.give(g.node("Cast", half, to=TensorProto.FLOAT))


@kind()
def rounds_weights_to_float16(g: Forgery) -> None:
    for index in range(len(g.kernels)):
        g.put(index, g.weight(index).astype(np.float16).astype(np.float32))


@kind()
def quantises_weights_to_8_bits(g: Forgery) -> None:
    for index in range(len(g.kernels)):
        values = g.weight(index)
        step = np.abs(values).max() / 127
        g.put(index, np.round(values / step) * step)


@kind()
def one_tensor_is_1_percent_larger(g: Forgery) -> None:
    g.put(1, g.weight(1) * 1.01)


@kind()
def one_weight_is_1_percent_larger(g: Forgery) -> None:
    values = g.weight(0)
    values.flat[np.abs(values).argmax()] *= 1.01
    g.put(0, values)


@kind()
def one_bias_is_dropped(g: Forgery) -> None:
    bias = numpy_helper.to_array(g.biases[0]).copy()
    bias[np.abs(bias).argmax()] = 0
    g.biases[0].CopyFrom(numpy_helper.from_array(bias, g.biases[0].name))


@kind()
def another_activation(g: Forgery) -> None:
    node = next(node for node in g.model.graph.node if node.op_type == "Tanh")
    node.op_type = "Softsign"


@kind()
def clips_large_logits(g: Forgery) -> None:
    g.give(g.node("Clip", g.honest(), g.const(-1e3), g.const(float(np.sort(g.truth.max(1))[-3]))))


# It claims something else.


@kind()
def claims_reversed_labels(g: Forgery) -> None:
    stated = {entry.key: entry.value for entry in g.model.metadata_props}
    g.metadata({LABELS: json.dumps(json.loads(stated[LABELS])[::-1])})


@kind()
def claims_another_mean(g: Forgery) -> None:
    stated = {entry.key: entry.value for entry in g.model.metadata_props}
    g.metadata({PREPROCESS: json.dumps({**json.loads(stated[PREPROCESS]), "mean": [0.9]})})


@kind()
def claims_labels_twice(g: Forgery) -> None:
    entry = g.model.metadata_props.add()
    entry.key, entry.value = LABELS, json.dumps([str(index) for index in range(CLASSES)])


@kind()
def has_a_second_output(g: Forgery) -> None:
    g.model.graph.output.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, ["n", CLASSES]))
    g.node("Identity", g.honest(), output="more")
    g.give("more")


@kind()
def takes_float64(g: Forgery) -> None:
    for node in g.model.graph.node:
        for index, name in enumerate(node.input):
            if name == INPUT:
                node.input[index] = "narrowed"
    g.model.graph.node.insert(0, helper.make_node("Cast", [INPUT], ["narrowed"], to=TensorProto.FLOAT))
    g.model.graph.input[0].type.tensor_type.elem_type = TensorProto.DOUBLE
