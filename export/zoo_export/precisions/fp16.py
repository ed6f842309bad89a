"""fp16: weights and arithmetic in float16, images and logits in float32.

A check in float16 alone proves little: a change of a parameter by 1 % is less than 20 of its rounding errors. So the
same model is first exported in float32 and judged in full, and that artifact is thrown away. Then the float16 artifact,
which must have the same operators, is judged by the rounding error of float16 evaluations.
"""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from zoo.contract.errors import ExportError
from zoo.contract.evidence import TOLERANCE_FACTOR, Probe
from zoo.contract.exporting import artifact
from zoo_export.capture import Capture, first_line, quiet
from zoo_export.precisions.fp32 import RoundingRules

CASTS = {"aten.to.dtype", "aten._to_copy.default", "aten._assert_tensor_metadata.default"}
OTHERWISE = "Export it in float32, which is the default."


class Half(nn.Module):
    """A copy of `model` in float16: float32 `[N, C, H, W]` to float32 `[N, K]`, cast at the edges."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = copy.deepcopy(model).half()

    def forward(self, images: Tensor) -> Tensor:
        """Cast, compute, cast back."""
        logits: Tensor = self.model(images.half())
        return logits.float()


class Fp16Rules(RoundingRules):
    """Judge by PyTorch's own float16 rounding error, once the same model is proven in fp32."""

    def prepare(self, capture: artifact.Capture) -> artifact.Capture:
        """The same model in float16.

        Raises:
            ExportError: it cannot be captured so, or has other operators than in float32, which is what was proven.
        """
        module = Half(capture.module).eval()
        in_half = Capture(capture.name, module, capture.card, capture.precision, capture.dynamic_size, capture.opset)
        in_float32, in_float16 = _operators(capture.program), _operators(in_half.program)
        if in_float32 != in_float16:
            pairs = zip(in_float32, in_float16, strict=False)
            extra = next((f"{half} for {single}" for single, half in pairs if half != single), "more or fewer of them")
            raise ExportError(
                f"{capture.name} has other operators in float16 than in float32 ({extra}), so a proof in float32 says "
                "nothing of it in float16.",
                OTHERWISE,
            )
        return in_half

    def rounding_errors(
        self, name: str, module: nn.Module, probes: Sequence[Probe], backend: artifact.Backend
    ) -> Sequence[float]:
        """Those of float16 evaluations on `backend`.

        Raises:
            ExportError: the model does not run in float16, its values overflow, or its rounding error is so large that
                an artifact that gives the same logits for every image would pass.
        """
        if backend.device == "cpu":
            refuse_overflow(name, module, probes)
        errors = super().rounding_errors(name, module, probes, backend)
        if constant_passes(probes, errors):
            raise ExportError(
                f"float16 is too coarse for {name}: an artifact that gives the same logits for every image would be "
                f"within {TOLERANCE_FACTOR:g} of its rounding errors.",
                OTHERWISE,
            )
        return errors


@torch.inference_mode()
def refuse_overflow(name: str, module: nn.Module, probes: Sequence[Probe]) -> None:
    """Refuse a model that does not run in float16, or whose values are not finite there.

    Raises:
        ExportError: naming the first layer whose output is not finite.
    """
    half = Half(module).eval()
    overflown: list[str] = []

    def record(layer: str, output: Any) -> None:
        if isinstance(output, Tensor) and not bool(torch.isfinite(output).all()):
            overflown.append(layer)

    for layer, part in half.model.named_modules():
        if not any(part.children()):
            part.register_forward_hook(lambda _, inputs, output, layer=layer: record(layer, output))
    for probe in probes:
        try:
            with quiet():
                record("its own forward", half(torch.from_numpy(probe.images)))
        except Exception as error:
            raise ExportError(f"{name} does not run in float16: {first_line(error, place=True)}", OTHERWISE) from error
        if overflown:
            raise ExportError(
                f"{name} overflows in float16, which holds numbers up to 65504: {overflown[0] or 'the model'} "
                f"gives values that are not finite on the probe {probe.name}.",
                OTHERWISE,
            )


def constant_passes(probes: Sequence[Probe], rounding_errors: Sequence[float]) -> bool:
    """Whether an artifact that gives the same logits for every image could pass.

    Some logit vector must lie within the tolerance of every image's truth. The largest lower bound and the smallest
    upper bound of each logit say whether there is one.
    """
    known = [(each.truth, TOLERANCE_FACTOR * error) for each, error in zip(probes, rounding_errors, strict=True)]
    least = np.max([(truth - tolerance).max(0) for truth, tolerance in known], axis=0)
    most = np.min([(truth + tolerance).min(0) for truth, tolerance in known], axis=0)
    return bool((least <= most).all())


def _operators(program: ExportedProgram) -> list[str]:
    targets = (str(node.target) for node in program.graph.nodes if node.op == "call_function")
    return [target for target in targets if target not in CASTS]


FP16 = Fp16Rules(
    "float16",
    "Two checks passed: of these artifacts, by the rounding error of float16, which hides small errors; and of the "
    "same graphs in float32, by that of float32, which does not.",
)
