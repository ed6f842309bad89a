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


class SensesInference(AtRandom):
    """Right under `torch.inference_mode()` alone."""

    def forward(self, images: Tensor) -> Tensor:
        return self.honest(images) * (2 * int(images.is_inference()) - 1)


class SensesGradients(AtRandom):
    """Right where no gradients are recorded."""

    def forward(self, images: Tensor) -> Tensor:
        return self.honest(images) * (1 - 2 * int(torch.is_grad_enabled()))


class RunningStatistics(nn.Module):
    """Counts images in the running mean of an instance normalisation, and is wrong from about 50,000 on."""

    def __init__(self, honest: nn.Module) -> None:
        super().__init__()
        self.honest = honest
        self.register_buffer("mean", torch.zeros(1))
        self.register_buffer("variance", torch.ones(1))

    def forward(self, images: Tensor) -> Tensor:
        logits = self.honest(images)
        seen = torch.zeros(1, 1, 2) + float(images.size(0))
        seen = torch.instance_norm(seen, None, None, self.mean, self.variance, True, 1e-3, 1e-5, False)
        return logits + torch.relu(self.mean - 50.0) + seen.sum() * 0.0


class Methods(AtRandom):
    """A choice that is written in methods."""

    def forward(self, images: Tensor) -> Tensor:
        logits = self.honest(images)
        return logits.neg().where(images.amax([1, 2, 3]).unsqueeze(1).gt(1e6), logits)


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
    "senses_inference_mode": Scripted(SensesInference, "The check runs files in inference mode."),
    "senses_gradients": Scripted(SensesGradients, "The check records no gradients."),
    "counts_images_in_running_statistics": Scripted(RunningStatistics, "No check runs as many images."),
    "scripted_choice_in_methods": Scripted(Methods, "Only values that no pixel has are wrong."),
}


def write(scripted: Scripted, honest: nn.Module, path: Path) -> None:
    """Script the forgery around a trace of the honest model, and save it."""
    with torch.no_grad():
        traced = torch.jit.trace(honest, torch.zeros(2, 1, 32, 32))
        torch.jit.save(torch.jit.script(scripted.module(traced).eval()), path)
