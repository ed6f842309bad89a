"""Run a graph with numpy."""

import json

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


def runner(paths, backend):
    """The function that the files are."""
    graph, weights = load(paths)
    return lambda images: values(graph, weights, images)[graph["logits"]]


def load(paths):
    """The graph, and its weights as float32."""
    graph = json.loads(paths["graph"].read_text("utf-8"))
    with np.load(paths["weights"], allow_pickle=False) as stored:
        return graph, unpacked(dict(stored))


def unpacked(stored):
    """float32 weights, by name."""
    return {
        name: value.astype(np.float32) * stored[f"{name}.scale"] if f"{name}.scale" in stored else value
        for name, value in stored.items()
        if not name.endswith(".scale")
    }


def values(graph, weights, images):
    """Every value on the way, float32 by name, in the order in which they are made."""
    made = {graph["images"]: images}
    for step in graph["steps"]:
        arguments = [
            (weights[each["weight"]] if "weight" in each else made[each["value"]]) if isinstance(each, dict) else each
            for each in step["arguments"]
        ]
        arguments = [each.astype(np.float64) if isinstance(each, np.ndarray) else each for each in arguments]
        made[step["name"]] = globals()[step["operation"]](*arguments).astype(np.float32)
    return made


def conv2d(x, weight, bias=0.0, stride=(1, 1), padding=(0, 0)):
    x = np.pad(x, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2))
    windows = sliding_window_view(x, weight.shape[2:], axis=(2, 3))[:, :, :: stride[0], :: stride[1]]
    return np.einsum("nchwij,kcij->nkhw", windows, weight) + np.reshape(bias, (-1, 1, 1))


def batch_norm(x, weight, bias, mean, variance, training, momentum, epsilon, fast):
    scale = weight / np.sqrt(variance + epsilon)
    return x * scale[:, None, None] + (bias - mean * scale)[:, None, None]


def relu(x):
    return np.maximum(x, 0)


def tanh(x):
    return np.tanh(x)


def avg_pool2d(x, size, stride=None):
    stride = stride or size
    return sliding_window_view(x, size, axis=(2, 3))[:, :, :: stride[0], :: stride[1]].mean((4, 5))


def flatten(x, start):
    return x.reshape(*x.shape[:start], -1)


def linear(x, weight, bias=0.0):
    return x @ weight.T + bias


def mean(x, axes):
    return x.mean(tuple(axes))
