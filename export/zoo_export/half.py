"""Half precision: the model with weights and arithmetic in float16, its input and logits float32 as ever.

A check in half precision alone proves little: 1 % of a parameter drowns in 20 of half's rounding errors. So the same
model is first exported in float32 and judged in full, and that artifact thrown away; then the half artifact, whose
operators must be the same ones, is judged by the rounding error of half evaluations.
"""

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from zoo.contract.errors import ExportError
from zoo.contract.evidence import Probe
from zoo_export.capture import Capture, first_line, quiet
from zoo_export.parity.backend import Backend
from zoo_export.parity.check import Check
from zoo_export.parity.reference import at_backend

HALF = Backend(dtype=torch.float16)
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


def half_capture(capture: Capture) -> Capture:
    """The same model in half precision.

    Raises:
        ExportError: it cannot be captured so, or has other operators there than in float32, which was proven.
    """
    half = replace(capture, module=Half(capture.module).eval(), _shared={})
    there, here = _operators(capture.program), _operators(half.program)
    if there != here:
        extra = next((f"{b} for {a}" for a, b in zip(there, here, strict=False) if a != b), "more or fewer of them")
        raise ExportError(
            f"{capture.name} has other operators in half precision than in float32 ({extra}), so that what is proven "
            "of the one says nothing of the other.",
            OTHERWISE,
        )
    return half


def half_check(name: str, check: Check, settings: Sequence[Backend]) -> Check:
    """The check of a half artifact: the truth of `check`, and the rounding errors of half precision at `settings`.

    Raises:
        ExportError: the model does not run in half precision, its values grow past what that holds, or its rounding
            there is so large that an artifact that gives the same logits for every image would pass.
    """
    refuse_overflow(name, check.module, check.probes)
    found = {each: tuple(at_backend(check.module, check.probes, each)) for each in {HALF, *settings}}
    if any(constant_passes(probes) for probes in found.values()):
        raise ExportError(
            f"Half precision is too coarse for {name}: within 20 of its rounding errors, one and the same answer for "
            "every image would pass.",
            OTHERWISE,
        )
    return replace(check, probes=found[HALF], elsewhere=found)


@torch.inference_mode()
def refuse_overflow(name: str, module: nn.Module, probes: Sequence[Probe]) -> None:
    """Refuse a model that does not run in half precision, or whose values are not finite there.

    Raises:
        ExportError: naming the first layer whose output is not finite.
    """
    half = Half(module).eval()
    overflown: list[str] = []

    def look(layer: str, output: Any) -> None:
        if isinstance(output, Tensor) and not bool(torch.isfinite(output).all()):
            overflown.append(layer)

    for layer, part in half.model.named_modules():
        if not any(part.children()):
            part.register_forward_hook(lambda _, given, output, layer=layer: look(layer, output))
    for probe in probes:
        try:
            with quiet():
                look("its own forward", half(torch.from_numpy(probe.images)))
        except Exception as error:
            raise ExportError(f"{name} does not run in half precision: {first_line(error)}", OTHERWISE) from error
        if overflown:
            raise ExportError(
                f"{name} overflows in half precision, which holds numbers up to 65504: {overflown[0] or 'the model'} "
                f"gives values that are not finite on the probe {probe.name}.",
                OTHERWISE,
            )


def constant_passes(probes: Sequence[Probe]) -> bool:
    """Whether an artifact that gives the same logits for every image could pass."""
    least = np.max([(probe.truth - probe.tolerance).max(0) for probe in probes], axis=0)
    most = np.min([(probe.truth + probe.tolerance).min(0) for probe in probes], axis=0)
    return bool((least <= most).all())


def _operators(program: ExportedProgram) -> list[str]:
    targets = (str(node.target) for node in program.graph.nodes if node.op == "call_function")
    return [target for target in targets if target not in CASTS]
