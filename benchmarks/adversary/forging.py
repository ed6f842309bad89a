"""Put nodes around an exported ONNX graph: `honest` is what it computes, `logits` is what the forger gives out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

INPUT, HONEST, LOGITS = "input", "honest", "logits"


@dataclass
class Forgery:
    """An export of `lenet5.digits` that is being changed.

    Args:
        model: that zoo exported; it is changed in place.
        probes: images `[N, C, H, W]` that a forger knows, as they are public.
        truth: the model's logits for them.
    """

    model: onnx.ModelProto
    probes: np.ndarray[Any, Any]
    truth: np.ndarray[Any, Any]
    count: int = field(default=0)

    def node(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Add a node; returns the name of its output."""
        self.count += 1
        output = output or f"forged_{self.count}"
        self.model.graph.node.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def const(self, value: Any, dtype: Any = np.float32) -> str:
        """Add a constant; returns its name."""
        self.count += 1
        name = f"constant_{self.count}"
        self.model.graph.initializer.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def honest(self) -> str:
        """Rename what the graph computes, so that `logits` is free; returns its name."""
        for node in self.model.graph.node:
            for index, name in enumerate(node.output):
                if name == LOGITS:
                    node.output[index] = HONEST
        return HONEST

    def give(self, value: str) -> None:
        """Give out this value as the logits."""
        self.node("Identity", value, output=LOGITS)

    def reversed_where(self, condition: str) -> None:
        """Give out negative logits where `condition`, a bool `[N, 1]` or `[1]`, holds, and honest ones elsewhere."""
        honest = self.honest()
        self.give(self.node("Where", condition, self.node("Neg", honest), honest))

    def batch(self) -> str:
        """The batch size, int64 `[1]`."""
        return self.node("Shape", INPUT, start=0, end=1)

    def per_image(self, operator: str, value: str = INPUT) -> str:
        """A reduction over all pixels of an image, float32 `[N, 1]`."""
        reduced = self.node(operator, value, self.const([1, 2, 3], np.int64), keepdims=0)
        return self.node("Unsqueeze", reduced, self.const([1], np.int64))

    def weight(self, index: int) -> np.ndarray[Any, Any]:
        """A copy of the values of a tensor, among those of two dimensions or more."""
        return numpy_helper.to_array(self.kernels[index]).copy()

    def put(self, index: int, values: np.ndarray[Any, Any]) -> None:
        """Replace these values."""
        tensor = self.kernels[index]
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float32), tensor.name))

    @property
    def kernels(self) -> Sequence[onnx.TensorProto]:
        """The tensors of two dimensions or more, in the order of the layers."""
        return [each for each in self.model.graph.initializer if len(each.dims) > 1]

    @property
    def biases(self) -> Sequence[onnx.TensorProto]:
        """The float tensors of one dimension, in the order of the layers."""
        vectors = [each for each in self.model.graph.initializer if len(each.dims) == 1]
        return [each for each in vectors if each.data_type == onnx.TensorProto.FLOAT]

    def metadata(self, changed: Mapping[str, str]) -> None:
        """Replace entries of the metadata."""
        for entry in self.model.metadata_props:
            entry.value = changed.get(entry.key, entry.value)
