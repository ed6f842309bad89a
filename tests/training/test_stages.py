"""The learning rate falls with each stage away from the head, over whatever an architecture is made of."""

from collections import OrderedDict

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from zoo.contract.specs import Architecture
from zoo.models.build import build_model
from zoo.registry.registry import Registry
from zoo.training.optim.head import head_names
from zoo.training.optim.layer_decay import lr_scales, stages
from zoo.training.optim.optimizers import OPTIMIZERS
from zoo.training.optim.param_groups import make_optimizers, set_lr, weights
from zoo.training.recipe.recipe import Recipe


def named(module: nn.Module, head: frozenset[str]) -> list[set[str]]:
    """The stages, by the names of the modules that hold their parameters."""
    names = {id(parameter): name.rpartition(".")[0] for name, parameter in module.named_parameters()}
    return [{names[id(parameter)] for parameter in stage} for stage in stages(module, head)]


def test_each_layer_of_a_chain_is_a_stage_with_its_norm() -> None:
    chain = nn.Sequential(
        nn.BatchNorm2d(1), nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Conv2d(2, 2, 3), nn.Linear(2, 3)
    )
    assert named(chain, frozenset({"5.weight", "5.bias"})) == [{"0", "1", "2"}, {"4"}, {"5"}]


class Block(nn.Module):
    """Two layers that belong together."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(2, 2), nn.Linear(2, 2)


class Encoder(nn.Module):
    """Embeddings of its own, and blocks."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.zeros(1, 2))
        self.layers = nn.Sequential(OrderedDict((f"layer{number}", Block()) for number in range(depth)))
        self.norm = nn.LayerNorm(2)


class Network(nn.Module):
    """With its head registered first."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.head = nn.Linear(2, 3)
        self.patch = nn.Conv2d(3, 2, 4)
        self.encoder = Encoder(depth)


@given(st.integers(2, 6))
def test_each_block_of_a_list_is_a_stage(depth: int) -> None:
    found = named(Network(depth), frozenset({"head.weight", "head.bias"}))
    blocks = [{f"encoder.layers.layer{n}.first", f"encoder.layers.layer{n}.second"} for n in range(depth)]
    blocks[-1] |= {"encoder.norm"}
    assert found == [{"patch", "encoder"}, *blocks, {"head"}]


@pytest.mark.parametrize(
    ("name", "count", "first", "last_but_head"),
    [
        ("lenet5", 5, "features.0", "classifier.3"),
        ("resnet20", 11, "stem", "stages.2.2"),  # the stem, 9 blocks, the head
        ("resnet18", 10, "conv1", "layer4.1"),
        ("vit_b_32", 14, "conv_proj", "encoder.layers.encoder_layer_11"),
        ("googlenet", 13, "conv1", "inception5b"),
        ("convnext_tiny", 23, "features.0", "features.7.2"),
    ],
)
def test_published_architectures_have_the_expected_stages(
    registry: Registry, name: str, count: int, first: str, last_but_head: str
) -> None:
    entry = registry.find(Architecture, name)
    channels = entry.spec.input_shape[0]
    with torch.device("cpu"):
        module = build_model(entry, num_classes=3, in_channels=channels)
    head = head_names(entry, module, num_classes=3, in_channels=channels, params={})
    found = named(module, head)
    assert len(found) == count
    assert any(part.startswith(first) for part in found[0])
    assert any(part.startswith(last_but_head) for part in found[-2])
    every = [id(parameter) for stage in stages(module, head) for parameter in stage]
    assert sorted(every) == sorted(id(parameter) for parameter in module.parameters())


@pytest.mark.parametrize("optimizer", list(OPTIMIZERS))
def test_layer_decay_scales_the_learning_rate_by_stage(optimizer: str) -> None:
    module = Network(2)
    recipe = Recipe(architecture="a", data="b", opt=optimizer, layer_decay=0.5)
    head = frozenset({"head.weight", "head.bias"})
    made = make_optimizers(module, recipe, lr_scales(module, head, 0.5))
    set_lr(made, 0.1)
    rates = {p.data_ptr(): group["lr"] for o in made for group in o.param_groups for p in group["params"]}
    beside = {p.data_ptr() for group in made[0].param_groups for p in group["params"]} if len(made) > 1 else set()
    depths = {"head": 0, "encoder.layers.layer1": 1, "encoder.norm": 1, "encoder.layers.layer0": 2}
    for name, parameter in module.named_parameters():
        depth = next((depth for part, depth in depths.items() if name.startswith(part)), 3)
        slower = OPTIMIZERS["muon"].adamw_lr_scale if parameter.data_ptr() in beside else 1.0
        assert rates.pop(parameter.data_ptr()) == pytest.approx(slower * 0.1 * 0.5**depth), name
    assert not rates
    decayed = {parameter.data_ptr() for parameter in weights(dict(module.named_parameters()))}
    for group in (group for o in made for group in o.param_groups):
        assert all((p.data_ptr() in decayed) == (group["weight_decay"] > 0) for p in group["params"])
    set_lr(made, 0.2)
    assert max(group["lr"] for o in made for group in o.param_groups) == (0.2 if len(made) == 1 else 0.1)
