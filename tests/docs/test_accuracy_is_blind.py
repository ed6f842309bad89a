"""README's example: accuracy does not show a weight that is off by 1 %, and the check does."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import numpy_helper

import zoo
from zoo.data.batches import read_item
from zoo.data.datasets import load_dataset
from zoo.data.images import fit_image, normalise_array
from zoo.registry.discovery import discover
from zoo.registry.registry import Registry


def test_a_damaged_file_predicts_the_same_classes(tmp_path: Path) -> None:
    model = zoo.load("lenet5.digits")
    zoo.export("lenet5.digits", tmp_path / "out", formats=["onnx"], verify=False)
    graph = onnx.load(tmp_path / "out" / "model.onnx")
    weight = next(each for each in graph.graph.initializer if each.name == "features.3.weight")
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * np.float32(1.01), weight.name))
    onnx.save(graph, tmp_path / "damaged.onnx")

    dataset = load_dataset(Registry(discover()).find(zoo.Dataset, "digits"), tmp_path, "test")
    images = np.stack([fit_image(read_item(dataset, index)[0], model.card.preprocess) for index in range(len(dataset))])
    inputs = normalise_array(images, model.card.preprocess)
    session = onnxruntime.InferenceSession(tmp_path / "damaged.onnx", providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {session.get_inputs()[0].name: inputs})
    with torch.inference_mode():
        classes = model.module(torch.from_numpy(inputs)).argmax(1).numpy()
    assert len(inputs) == 359
    assert (logits.argmax(1) == classes).all()
