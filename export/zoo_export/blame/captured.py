"""The stage that formats made from the `torch.export` program have in common."""

import numpy as np
import torch

from zoo.contract.exporting.artifact import Array, Capture, Stage
from zoo_export.blame.intermediates import Recorder, first_wrong_call

CAPTURED, FILE = "the captured graph", "the exported file"


def captured_stage(capture: Capture) -> Stage:
    """What the captured program computes in float32."""

    def run(images: Array) -> Array:
        (logits,) = capture.program.graph_signature.user_outputs
        return np.asarray(Recorder(capture.program, torch.float32).record(torch.from_numpy(images))[logits].numpy())

    return Stage(
        CAPTURED, run, lambda images: first_wrong_call(capture.program, capture.module, torch.from_numpy(images))
    )
