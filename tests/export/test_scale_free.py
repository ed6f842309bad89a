"""Kernels whose scale has no effect, layers that give constants, and signals that are small beside drawn biases."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from zoo.contract.preprocess import Preprocess
from zoo_export.parity.check import covered, make_checks
from zoo_export.parity.coverage import coverage
from zoo_export.probes.probes import make_probes
from zoo_export.truth.reference import make_references

PROBES = make_probes(Preprocess(size=(8, 8), mean=(0.5,), std=(0.5,)))


class Standardised(nn.Conv2d):
    """A convolution whose kernel is standardised before use, as in nets without normalisation layers."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1)
        self.gain = nn.Parameter(torch.ones(outputs, 1, 1, 1))
        nn.init.zeros_(self.bias)

    def forward(self, images: Tensor) -> Tensor:
        kernel = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        kernel = self.gain * kernel / (kernel.square().sum((1, 2, 3), keepdim=True) + 1e-6).sqrt()
        return nn.functional.conv2d(images, kernel, self.bias, padding=1)


def standardised() -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            *(Standardised(1, 8), nn.SiLU(), Standardised(8, 8), nn.SiLU()),
            *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)),
        ).eval()


def normalised() -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        convolution = nn.Conv2d(1, 8, 3, bias=False)
        return nn.Sequential(convolution, nn.GroupNorm(1, 8), nn.GELU(), nn.Flatten(), nn.Linear(288, 4)).eval()


def largest_change(module: nn.Module, name: str, factors: Tensor) -> float:
    """What a factor for each value of a tensor does, in tolerances, on the probe of noise."""
    probe = make_references(module, PROBES[:1])[0]
    parameter = dict(module.named_parameters())[name]
    before = parameter.detach().clone()
    with torch.no_grad():
        parameter.mul_(factors.view_as(parameter))
        changed = module.double()(torch.from_numpy(probe.images).double()).numpy()
        module.float()
        parameter.copy_(before)
    return float(np.abs(changed - probe.truth).max() / probe.tolerance)


@pytest.mark.parametrize("build", [standardised, normalised])
def test_a_kernel_whose_scale_has_no_effect_is_covered(build: Callable[[], nn.Sequential]) -> None:
    """Scaling it is no error at all, and a small error of random signs is noticed."""
    module = build()
    assert "0.weight" not in coverage(module, make_references(module, PROBES)).uncovered
    size = module[0].weight.numel()
    signs = torch.randint(0, 2, (size,), generator=torch.Generator().manual_seed(0)) * 2.0 - 1
    assert largest_change(module, "0.weight", 1 + 0.01 * signs) > 1
    assert largest_change(module, "0.weight", torch.full((size,), 1.01)) < 1


def test_a_scale_that_matters_too_little_is_not_covered() -> None:
    """Random signs count only where scaling does nothing: here it does, but less than the tolerance."""

    class Branch(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.trunk, self.branch = nn.Linear(64, 4), nn.Linear(64, 4, bias=False)

        def forward(self, images: Tensor) -> Tensor:
            flat = images.flatten(1)
            logits: Tensor = self.trunk(flat) + 1e-6 * self.branch(flat)
            return logits

    with torch.random.fork_rng(devices=[]):
        module = Branch().eval()
    assert coverage(module, make_references(module, PROBES)).uncovered == ("branch.weight",)


def test_layers_behind_a_constant_are_covered() -> None:
    """A normalisation of one channel gives its bias; layers that get a constant must not be moved to zero."""

    class OneChannel(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.norm = nn.Conv2d(1, 8, 2, 2), nn.LayerNorm(1)
            self.first, self.second, self.head = nn.Linear(1, 4), nn.Linear(4, 1), nn.Linear(8, 5)
            for layer in (self.first, self.second, self.head):
                nn.init.zeros_(layer.bias)

        def forward(self, images: Tensor) -> Tensor:
            x = self.embed(images)
            gate = x.mean(1, keepdim=True)
            columns = gate.flatten(2).transpose(1, 2)
            columns = columns + self.second(nn.functional.gelu(self.first(self.norm(columns))))
            logits: Tensor = self.head((x * columns.transpose(1, 2).reshape(gate.shape)).mean((2, 3)))
            return logits

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = OneChannel().eval()
    assert covered(make_checks(module, PROBES)).uncovered == ("norm.weight",)


def test_a_drawn_bias_does_not_drown_a_small_signal() -> None:
    """As behind layers that shrink it: the logits must still depend on the images more than on the last bias."""

    class Shrunken(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.head = nn.Conv2d(1, 16, 3), nn.Linear(16, 5)
            nn.init.zeros_(self.head.bias)

        def forward(self, images: Tensor) -> Tensor:
            logits: Tensor = self.head(1e-4 * self.embed(images).relu().mean((2, 3)))
            return logits

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = Shrunken().eval()
    probe = make_checks(module, PROBES)[1]
    assert probe.module.head.bias.abs().max() < 1e-3
    assert probe.coverage.uncovered == ()
