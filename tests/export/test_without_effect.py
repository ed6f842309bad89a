"""Parameters that a later step cancels are named, and do not count as uncovered; branches that are not taken do."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import zoo
from zoo_export.parity.check import covered, make_checks
from zoo_export.parity.without_effect import without_effect
from zoo_export.probes.probes import make_probes

SHAPE = (1, 8, 8)
CANCELLED = {"scores.bias", "one.weight"}


class Cancelling(nn.Module):
    """A bias that a softmax cancels, the scale of a norm of one value, and a layer that no image reaches."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.scores, self.values = nn.Linear(8, 1), nn.Linear(8, 8, bias=False)
            self.one, self.head = nn.LayerNorm(1), nn.Linear(8, 4, bias=False)
            self.never = nn.Linear(8, 4)

    def forward(self, images: Tensor) -> Tensor:
        rows = images[:, 0]
        weights = self.scores(rows).softmax(1)
        pooled = (weights * self.values(rows)).sum(1)
        pooled = pooled + self.one(pooled[:, :1])
        logits: Tensor = self.head(pooled)
        return torch.where(images.amax((1, 2, 3)).amax(0) > 100, self.never(pooled), logits)


def _checks(tmp_path: Path, module: nn.Module):
    export = zoo.export(module, tmp_path / "x", formats=["onnx"], input_shape=SHAPE, verify=False)
    return make_checks(module, make_probes(export.manifest.preprocess))


def test_only_what_is_cancelled_is_named(tmp_path: Path) -> None:
    module = Cancelling().eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    total = covered(_checks(tmp_path, module))
    reasons = {name: detail.reason for name, detail in total.details.items()}
    assert {name for name, reason in reasons.items() if reason == "cancels"} == CANCELLED
    assert reasons["never.weight"] == reasons["never.bias"] == "no_effect"
    assert total.tensors == 8 and len(total.uncovered) == 4
    assert total.fraction == pytest.approx(4 / 6) and not total.enough
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_parameters_outside_of_layers_do_not_count(tmp_path: Path) -> None:
    """A parameter that forward multiplies by zero may be meant for images that the check has not."""

    class Zero(Cancelling):
        def __init__(self) -> None:
            super().__init__()
            self.own = nn.Parameter(torch.ones(4))

        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images) + 0 * self.own

    module = Zero().eval()
    check = _checks(tmp_path, module)[-1]
    names = [name for name, _ in module.named_parameters()]
    assert without_effect([(check.module, check.probes)], names) == CANCELLED
