"""Optimizers and the moving average do to the weights what their definitions say."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.optim import Muon

from zoo.contract.errors import UsageError
from zoo.training.optim.ema import ModelEma
from zoo.training.optim.muon import WholeMuon
from zoo.training.optim.optimizers import OPTIMIZERS
from zoo.training.optim.param_groups import make_optimizers, set_lr
from zoo.training.recipe.recipe import Recipe


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(128, 3)
    )


def recipe(**fields: object) -> Recipe:
    return Recipe(**{"architecture": "a", "data": "b", **fields})


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_parameter_groups_cover_all_and_exempt_biases(name: str) -> None:
    module = net()
    optimizers = make_optimizers(module, recipe(opt=name))
    if name == "muon":  # views of the same memory
        assert [tuple(view.shape) for view in optimizers[1].param_groups[0]["params"]] == [(8, 36)]
    seen = [p.data_ptr() for o in optimizers for group in o.param_groups for p in group["params"]]
    assert sorted(seen) == sorted(p.data_ptr() for p in module.parameters())
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            assert all((p.ndim > 1) == (group["weight_decay"] > 0) for p in group["params"])


class Added(nn.Module):
    """What vision transformers and ConvNeXt have beside layers."""

    def __init__(self) -> None:
        super().__init__()
        self.class_token = nn.Parameter(torch.zeros(1, 1, 8))
        self.patch_embed = nn.Conv2d(3, 8, 4)
        self.pos_embedding = nn.Parameter(torch.zeros(1, 5, 8))
        self.relative_position_bias_table = nn.Parameter(torch.zeros(9, 2))
        self.layer_scale = nn.Parameter(torch.ones(8, 1, 1))
        self.attention = nn.MultiheadAttention(8, 2)
        self.head = nn.Linear(8, 3)


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_embeddings_and_scales_are_not_decayed_nor_hidden(name: str) -> None:
    module = Added()
    optimizers = make_optimizers(module, recipe(opt=name))
    names = {parameter.data_ptr(): name for name, parameter in module.named_parameters()}
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    decayed = {names[p.data_ptr()] for group in groups if group["weight_decay"] > 0 for p in group["params"]}
    hidden = {"attention.in_proj_weight", "attention.out_proj.weight"}
    assert decayed == {"patch_embed.weight", "head.weight", *hidden}
    if name == "muon":
        assert {names[p.data_ptr()] for p in optimizers[1].param_groups[0]["params"]} == hidden


class HeadFirst(nn.Module):
    """Its head is registered before the layers below it."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(8, 3)
        self.read = nn.Linear(4, 8)
        self.middle = nn.Linear(8, 8)


def test_muon_takes_hidden_weights_of_a_head_registered_first() -> None:
    module = HeadFirst()
    made = make_optimizers(module, recipe(opt="muon"), head=frozenset({"head.weight", "head.bias"}))
    (hidden,) = made[1].param_groups[0]["params"]
    assert hidden.data_ptr() == module.middle.weight.data_ptr()
    assert {group["scale"] for group in made[0].param_groups} == {0.05}


def test_muon_is_refused_without_hidden_weights() -> None:
    for module in (nn.Linear(4, 3), nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 3))):
        with pytest.raises(UsageError, match="hidden weights"):
            make_optimizers(module, recipe(opt="muon"))


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_they_learn(name: str) -> None:
    module, images, labels = net(), torch.randn(30, 1, 8, 8), torch.arange(30) % 3
    optimizers = make_optimizers(module, recipe(opt=name))
    set_lr(optimizers, 0.02)
    losses = []
    for _ in range(30):
        loss = cross_entropy(module(images), labels)
        losses.append(loss.item())
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
    assert losses[-1] < losses[0] / 2


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_muon_on_a_convolution_is_pytorchs_on_its_matrix(layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(4, 3, 3, 3).contiguous(memory_format=layout))
    gradient = torch.randn(4, 3, 3, 3)
    flat = nn.Parameter(weight.detach().contiguous().flatten(1).clone())
    ours = WholeMuon([weight], lr=0.1, weight_decay=0.1, momentum=0.9)
    theirs = Muon([flat], lr=0.1, weight_decay=0.1, momentum=0.9, adjust_lr_fn="match_rms_adamw")
    before = weight.detach().clone()
    for _ in range(3):
        weight.grad, flat.grad = gradient.contiguous(memory_format=layout), gradient.flatten(1)
        ours.step()
        theirs.step()
    assert not torch.allclose(weight, before, atol=0.01)
    close = 0.02 * (weight - before).abs().max().item()  # its iteration is in bfloat16, and the columns are reordered
    torch.testing.assert_close(weight.flatten(1), flat, atol=close, rtol=0)
    ours.zero_grad()
    assert weight.grad is None


def test_the_average_follows_its_recurrence() -> None:
    module = net()
    average = ModelEma(module, 0.5)
    expected = {name: value.double() for name, value in module.state_dict().items()}
    for step in range(1, 8):
        module(torch.randn(4, 1, 8, 8))
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.add_(torch.randn_like(parameter))
        average.update(step)
        decay = min(0.5, (1 + step) / (10 + step))
        for name, value in module.state_dict().items():
            expected[name] = decay * expected[name] + (1 - decay) * value.double()
    got = average.module.state_dict()
    assert int(got["1.num_batches_tracked"]) == 7
    for name in ("0.weight", "1.running_var", "1.running_mean", "5.bias"):
        torch.testing.assert_close(got[name].double(), expected[name], rtol=1e-5, atol=1e-6)
    assert not any(parameter.requires_grad for parameter in average.module.parameters())
