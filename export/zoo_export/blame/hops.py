"""The hops on the way from a model to what an artifact gives."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from zoo.contract.evidence import Probe
from zoo_export.blame.intermediates import Place, Recorder, first_wrong_call
from zoo_export.capture import Capture

CAPTURED, TRACED, LOWERED = "the captured graph", "the traced graph", "the lowered graph"
FILE, BASIC, ALL = "the exported file", "onnxruntime's basic optimizations", "onnxruntime's further optimizations"
Array = npt.NDArray[np.float32]
Hop = tuple[str, Callable[[], Array], Callable[[], Place | None]]  # its name, its logits, its first wrong value


def captured(capture: Capture, probe: Probe) -> Hop:
    """The hop to the captured graph, which the formats but TorchScript share."""
    images = torch.from_numpy(probe.images)

    def run() -> Array:
        (logits,) = capture.program.graph_signature.user_outputs
        return np.asarray(Recorder(capture.program, torch.float32).record(images)[logits].numpy())

    return CAPTURED, run, lambda: first_wrong_call(capture.program, capture.module, images)
