"""A check tells how much of the model it would have noticed, and brings weights of its own where that is too little."""

import copy

import pytest
import torch
from torch import nn

from zoo.contract.evidence import TOLERANCE_FACTOR
from zoo.contract.evidence.coverage import CHANGE
from zoo.contract.preprocess import Preprocess
from zoo_export.parity.check import OWN, PROBE, covered, make_checks
from zoo_export.parity.coverage import coverage
from zoo_export.probes.probe_weights import draw_probe_weights
from zoo_export.probes.probes import make_probes
from zoo_export.truth.reference import make_references

PROBES = make_probes(Preprocess(size=(8, 8), mean=(0.5,), std=(0.25,)))


def net() -> nn.Sequential:
    """A small network of which every parameter matters."""
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 8), nn.Tanh(), nn.Linear(8, 5)
    )
    with torch.no_grad():
        layers[1].bias.uniform_(0.5, 1)
    return layers.eval()


def noticed(module: nn.Module, name: str) -> bool:
    """Whether a 1 % change of one parameter really moves the float64 logits by more than the tolerance."""
    reference = next(ref for ref in make_references(module, PROBES) if ref.name == "noise-2")
    changed = copy.deepcopy(module).double()
    with torch.no_grad():
        changed.get_parameter(name).mul_(1 + CHANGE)
        logits = changed(torch.from_numpy(reference.images).double())
    return float((logits - torch.from_numpy(reference.truth)).abs().max()) > TOLERANCE_FACTOR * reference.rounding_error


def rounding(module: nn.Module, name: str) -> float:
    """How many rounding errors rounding one parameter to float16 really moves the float64 logits."""
    (reference,) = make_references(module, PROBES[:1])
    changed = copy.deepcopy(module).double()
    with torch.no_grad():
        value = changed.get_parameter(name)
        value.copy_(value.half())
        logits = changed(torch.from_numpy(reference.images).double())
    return float((logits - torch.from_numpy(reference.truth)).abs().max()) / reference.rounding_error


def telling() -> nn.Sequential:
    """The same network with weights of which none could be float16."""
    module = net()
    draw_probe_weights(module, PROBES[:1])
    return module


def test_a_healthy_network_is_covered_whole_and_checked_once() -> None:
    checks = make_checks(telling(), PROBES)
    assert [check.weights for check in checks] == [OWN]
    assert checks[0].coverage.fraction == 1
    assert not checks[0].coverage.too_coarse


def test_low_coverage_calls_for_probe_weights() -> None:
    """Every parameter is covered at 1 %, but rounding that bias moves nothing that float32 could tell."""
    module = telling()
    with torch.no_grad():
        module[6].bias.fill_(0.001)
    own, probe = make_checks(module, PROBES)
    assert own.coverage.fraction == 1
    assert own.coverage.too_coarse == ("6.bias",)
    assert rounding(module, "6.bias") < TOLERANCE_FACTOR
    assert "6.bias" not in probe.coverage.too_coarse
    assert rounding(probe.module, "6.bias") > TOLERANCE_FACTOR


class Gated(nn.Module):
    """A squeeze-and-excitation block behind a depthwise convolution, with fresh weights and zero biases."""

    def __init__(self, gate: nn.Module) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 32, 3, bias=False), nn.BatchNorm2d(32), nn.ReLU())
        self.depthwise = nn.Sequential(nn.Conv2d(32, 32, 3, groups=32, bias=False), nn.BatchNorm2d(32), nn.ReLU())
        self.squeeze, self.excite = nn.Conv2d(32, 8, 1), nn.Conv2d(8, 32, 1)
        self.gate, self.project, self.head = gate, nn.Conv2d(32, 32, 1), nn.Linear(32, 5)
        for layer in (self.squeeze, self.excite, self.project, self.head):
            nn.init.zeros_(layer.bias)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.stem(images)
        y = self.depthwise(x)
        y = y * self.gate(self.excite(torch.relu(self.squeeze(y.mean((2, 3), keepdim=True)))))
        return self.head(torch.relu(self.project(y)).mean((2, 3)))


@pytest.mark.parametrize("gate", [nn.Hardsigmoid(), nn.Sigmoid()])
def test_probe_weights_reveal_rounding_around_a_gate(gate: nn.Module) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = Gated(gate).eval()
        for layer in (module.squeeze, module.excite):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out")  # as torchvision does
    own, probe = make_checks(module, PROBES)
    assert {"squeeze.bias", "excite.bias"} <= set(own.coverage.uncovered)
    seen = {name: rounding(probe.module, name) for name, _ in module.named_parameters()}
    assert min(value for name, value in seen.items() if name.endswith("bias")) > TOLERANCE_FACTOR, seen
    assert min(seen.values()) > TOLERANCE_FACTOR / 4, seen  # many roundings of a kernel cancel, wherever its values lie


def test_probe_weights_lie_between_float16_numbers() -> None:
    _, probe = make_checks(Gated(nn.Hardsigmoid()).eval(), PROBES)
    for name, value in probe.module.state_dict().items():
        if value.is_floating_point() and not name.endswith("running_var"):
            told = value[value.abs() > 2**-14]  # below, float16 has fewer digits
            moved = (told.half().float() - told).abs() / told.abs()
            assert told.numel() and moved.min() > 0.99 * 2**-12, name


@pytest.mark.parametrize("scale", [1.0, 1e-7, 0.0])
def test_what_it_says_is_what_a_real_change_does(scale: float) -> None:
    module = net()
    with torch.no_grad():
        module[1].bias.mul_(scale)
    told = coverage(module, make_references(module, PROBES))
    assert ("1.bias" not in told.uncovered) == noticed(module, "1.bias")
    assert all(noticed(module, name) for name, _ in module.named_parameters() if name not in told.uncovered)


def test_zero_head_needs_probe_weights() -> None:
    module = net()
    nn.init.zeros_(module[6].weight)
    nn.init.zeros_(module[6].bias)
    own, probe = make_checks(module, PROBES)
    assert (own.weights, own.coverage.fraction) == (OWN, 0)
    assert (probe.weights, probe.coverage.fraction) == (PROBE, 1)
    assert covered([own, probe]).fraction == 1


def test_the_model_itself_is_left_as_it_was() -> None:
    module = net()
    nn.init.zeros_(module[6].weight)
    module[4].requires_grad_(False)
    before = copy.deepcopy(module.state_dict())
    make_checks(module, PROBES)
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    assert not module[4].weight.requires_grad and module[0].weight.requires_grad
    assert all(parameter.grad is None for parameter in module.parameters())
    assert not module.training


def test_a_parameter_that_the_forward_ignores_stays_uncovered() -> None:
    module = net()
    module.register_parameter("forgotten", nn.Parameter(torch.ones(3)))
    told = covered(make_checks(module, PROBES))
    assert told.uncovered == ("forgotten",)


def test_probe_weights_reach_a_residual_branch_of_1e_6() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.branch, self.head = nn.Linear(64, 64), nn.Linear(64, 5)
            self.scale = nn.Parameter(torch.full((64, 1), 1e-6).squeeze(1))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            flat = images.flatten(1)
            return self.head(flat + self.scale * self.branch(flat))

    torch.manual_seed(0)
    module = Scaled().eval()
    own, probe = make_checks(module, PROBES)
    assert "branch.weight" in own.coverage.uncovered
    assert probe.coverage.fraction == 1
    again = copy.deepcopy(module)
    draw_probe_weights(again, [one for one in PROBES if one.name.startswith("noise")])
    for name, tensor in probe.module.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name])
    assert again.scale.abs().max() > 0.5, "a scale as quiet as a bias would hide what its branch does"


def test_probe_weights_leave_no_channel_behind_a_relu_dead() -> None:
    """A channel that is never above zero would hide all damage to it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        wide = [nn.Sequential(nn.Conv2d(n, 64, 3), nn.ReLU()) for n in (1, 64)]
        net = nn.Sequential(*wide, nn.Flatten(), nn.Linear(64 * 4 * 4, 64), nn.ReLU(), nn.Linear(64, 4)).eval()
    for layer in (net[0][0], net[1][0], net[3]):
        nn.init.zeros_(layer.bias)
    noise = [one for one in PROBES if one.name.startswith("noise")]
    draw_probe_weights(net, noise)
    with torch.no_grad():
        images = torch.cat([torch.from_numpy(one.images) for one in noise])
        for stage in (net[:1], net[:2], net[:5]):
            seen = stage(images)
            assert (seen.movedim(1, 0).flatten(1) > 0).any(1).all()


class Branches(nn.Module):
    """A trunk, and branches that count for little."""

    def __init__(self, share: float, forgotten: int = 0) -> None:
        super().__init__()
        self.share = share
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.branches = nn.ModuleList([nn.Linear(64, 8) for _ in range(4)])
            self.head = nn.Linear(64, 8)
        self.forgotten = nn.ParameterList([torch.ones(3) for _ in range(forgotten)])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        flat = images.flatten(1)
        return self.head(flat) + self.share * sum(branch(flat) for branch in self.branches)


def test_next_probe_weights_scale_up_what_was_not_covered() -> None:
    checks = make_checks(Branches(1e-3).eval(), PROBES)
    assert [check.weights for check in checks[:3]] == [OWN, PROBE, f"{PROBE}_2"]
    assert not covered(checks[:2]).enough and covered(checks).enough


def test_probe_weights_stop_if_coverage_does_not_improve() -> None:
    checks = make_checks(Branches(1.0, forgotten=6).eval(), PROBES)
    assert len(checks) <= 4 and not covered(checks).enough
    assert set(covered(checks).uncovered) == {f"forgotten.{index}" for index in range(6)}


def test_attention_bias_is_covered_with_probe_weights() -> None:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.norm, self.qkv = nn.Conv2d(1, 16, 2, 2), nn.LayerNorm(16), nn.Linear(16, 48)
            self.bias_table = nn.Parameter(0.02 * torch.randn(16, 16))
            self.head = nn.Linear(16, 5)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            x = self.embed(images).flatten(2).transpose(1, 2)
            q, k, v = self.qkv(self.norm(x)).chunk(3, -1)
            mixed = (q @ k.transpose(1, 2) / 4 + self.bias_table).softmax(-1) @ v
            return self.head((x + mixed).mean(1))

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = Attention().eval()
        nn.init.zeros_(module.qkv.bias)
    own, probe = make_checks(module, PROBES)
    assert "bias_table" in own.coverage.too_coarse or "bias_table" in own.coverage.uncovered
    assert "bias_table" not in probe.coverage.uncovered
    assert probe.module.bias_table.std() > 1


@pytest.mark.parametrize("clip", [nn.ReLU6(), nn.Hardtanh(-1, 2.5)])
def test_probe_weights_exceed_an_upper_clip(clip: nn.Hardtanh) -> None:
    """Else the upper bound of a ReLU6 could be any other, and nobody would see it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), clip, nn.Flatten(), nn.Linear(288, 5)).eval()
    draw_probe_weights(module, PROBES[:1])
    with torch.no_grad():
        before = module[:2](torch.from_numpy(PROBES[0].images)).movedim(1, 0).flatten(1)
    beyond = (before > clip.max_val).float().mean(1)
    assert ((beyond > 0.2) & (beyond < 0.8)).sum() == 1
    assert (beyond == 0).sum() == 7
