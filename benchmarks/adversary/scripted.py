"""Adversarial TorchScript: what ONNX cannot do, above all to remember earlier calls."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn


class FifthCall(nn.Module):
    """Wrong at the fifth call, and from then on right."""

    def __init__(self, honest: nn.Module) -> None:
        super().__init__()
        self.honest = honest
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, images: Tensor) -> Tensor:
        self.calls.add_(1)
        logits = self.honest(images)
        return torch.where(self.calls == 5, -logits, logits)


class EveryCallAdds(nn.Module):
    """A little more wrong at every call."""

    def __init__(self, honest: nn.Module) -> None:
        super().__init__()
        self.honest = honest
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, images: Tensor) -> Tensor:
        self.calls.add_(1e-4)
        return self.honest(images) + self.calls


class LateCall(FifthCall):
    """Wrong from the ten thousandth call on."""

    def forward(self, images: Tensor) -> Tensor:
        self.calls.add_(1)
        logits = self.honest(images)
        return torch.where(self.calls > 10_000, -logits, logits)


class AtRandom(nn.Module):
    """Wrong for one image in a hundred, at random."""

    def __init__(self, honest: nn.Module) -> None:
        super().__init__()
        self.honest = honest

    def forward(self, images: Tensor) -> Tensor:
        logits = self.honest(images)
        return torch.where(torch.rand(len(logits), 1) < 0.01, -logits, logits)


class Dropping(AtRandom):
    """Dropout that is active after `eval()`."""

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.dropout(self.honest(images), 0.001, True)


class Trigger(AtRandom):
    """A branch on a pattern in the corner."""

    def forward(self, images: Tensor) -> Tensor:
        logits = self.honest(images)
        if bool((images[:, :, :3, :3].sum() - 7.125).abs() < 1e-4):
            return -logits
        return logits


class Batches(AtRandom):
    """A branch on the batch size."""

    def forward(self, images: Tensor) -> Tensor:
        logits = self.honest(images)
        if images.size(0) % 2 == 1:
            return -logits
        return logits


@dataclass(frozen=True)
class Scripted:
    """A forgery in TorchScript; see `adversary.kinds.Kind`."""

    module: Callable[[nn.Module], nn.Module]
    trigger: str = ""


SCRIPTED = {
    "wrong_on_the_fifth_call": Scripted(FifthCall),
    "more_wrong_at_every_call": Scripted(EveryCallAdds),
    "wrong_from_the_10000th_call": Scripted(LateCall, "No check makes as many calls."),
    "scripted_wrong_at_random": Scripted(AtRandom),
    "scripted_dropout_in_training_mode": Scripted(Dropping),
    "scripted_branch_on_a_patch": Scripted(Trigger, "Only one sum of nine pixels in a corner is wrong."),
    "scripted_branch_on_the_batch": Scripted(Batches),
}


def write(scripted: Scripted, honest: nn.Module, path: Path) -> None:
    """Script the forgery around a trace of the honest model, and save it."""
    with torch.no_grad():
        traced = torch.jit.trace(honest, torch.zeros(2, 1, 32, 32))
        torch.jit.save(torch.jit.script(scripted.module(traced).eval()), path)
