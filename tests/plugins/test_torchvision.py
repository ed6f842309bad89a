"""The torchvision plugin tells the truth about every model it lists, and builds each to the contract."""

import json
import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import torch
from torch import nn
from torchvision import models

from zoo import Architecture
from zoo_torchvision import catalogue
from zoo_torchvision.build import build
from zoo_torchvision.plugin import TABLE, zoo_specs

SPECS: Mapping[str, Architecture] = {spec.name: spec for spec in zoo_specs() if isinstance(spec, Architecture)}
FIXED = {"maxvit_t", "vit_b_16", "vit_b_32", "vit_h_14", "vit_l_16", "vit_l_32"}
# One of each family, small where there is a choice.
FAMILIES = [
    "alexnet",
    "convnext_tiny",
    "densenet121",
    "efficientnet_b0",
    "efficientnet_v2_s",
    "googlenet",
    "inception_v3",
    "maxvit_t",
    "mnasnet0_5",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "regnet_x_400mf",
    "regnet_y_400mf",
    "resnet18",
    "shufflenet_v2_x0_5",
    "squeezenet1_1",
    "swin_t",
    "swin_v2_t",
    "vgg11",
    "vit_b_32",
]


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Many small operations: where the cores are shared, threads that wait for each other cost ten times the work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _build(name: str, *, num_classes: int = 1000, in_channels: int = 3, **params: Any) -> nn.Module:
    return build(num_classes=num_classes, in_channels=in_channels, **{**SPECS[name].build_args, **params})


def _stem(network: nn.Module) -> nn.Conv2d:
    return next(module for module in network.modules() if isinstance(module, nn.Conv2d))


def test_every_classifier_of_torchvision_is_listed() -> None:
    assert list(SPECS) == models.list_models(module=models)


def test_listing_imports_no_heavy_package() -> None:
    code = (
        "import sys; from zoo_torchvision.plugin import zoo_specs; list(zoo_specs());"
        "print(sorted({'torch', 'torchvision', 'numpy'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_the_table_is_what_torchvision_says_now() -> None:
    written = TABLE.read_text(encoding="utf-8")
    now = catalogue.table()
    assert json.loads(written) == now  # first, because it shows which value differs
    assert written == catalogue.text(now), "run: python -m zoo_torchvision.catalogue"


@pytest.mark.parametrize("name", SPECS)
def test_parameters_are_those_of_the_model_we_build(name: str) -> None:
    with catalogue.without_storage():
        network = _build(name)
    assert sum(parameter.numel() for parameter in network.parameters()) == SPECS[name].parameters


def test_parameter_counts_are_the_published_ones() -> None:
    differ = {
        name: (spec.parameters, models.get_model_weights(name).DEFAULT.meta["num_params"])
        for name, spec in SPECS.items()
        if spec.parameters != models.get_model_weights(name).DEFAULT.meta["num_params"]
    }
    assert differ == {"inception_v3": (23_834_568, 27_161_264)}
    assert "27,161,264" in SPECS["inception_v3"].summary
    assert (SPECS["alexnet"].parameters, SPECS["resnet18"].parameters) == (61_100_840, 11_689_512)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_forward_at_the_smallest_size_in_one_channel(name: str) -> None:
    network = _build(name, num_classes=7, in_channels=1).eval()
    side = SPECS[name].min_size
    with torch.no_grad():
        logits = network(torch.randn(2, 1, side, side))
    assert (logits.shape, logits.dtype) == ((2, 7), torch.float32)
    assert logits.isfinite().all()


@pytest.mark.parametrize("name", [name for name in FAMILIES if SPECS[name].min_size > 1])
def test_one_pixel_less_than_the_smallest_size_is_refused(name: str) -> None:
    side = SPECS[name].min_size - (8 if name == "maxvit_t" else 1)  # it rounds up, so 221 to 223 happen to run
    with catalogue.without_storage():
        network = _build(name).to("meta").eval()
    with pytest.raises((RuntimeError, ValueError, AssertionError)):
        network(torch.empty(1, 3, side, side, device="meta"))


@pytest.mark.parametrize("name", ["swin_v2_t", "efficientnet_v2_s"])
def test_sizes_below_what_torchvision_publishes_run(name: str) -> None:
    assert SPECS[name].min_size < models.get_model_weights(name).DEFAULT.meta["min_size"][0]
    network = _build(name, num_classes=7, in_channels=1).eval()
    with torch.no_grad():
        for shape in ((SPECS[name].min_size, SPECS[name].min_size), (20, 33)):
            logits = network(torch.randn(2, 1, *shape))
            assert logits.shape == (2, 7)
            assert logits.isfinite().all()


def test_fixed_sizes_are_those_of_the_vits_and_maxvit() -> None:
    assert {name for name, spec in SPECS.items() if spec.sizes} == FIXED
    for spec in (SPECS[name] for name in FIXED):
        assert spec.sizes == (spec.min_size,) == (spec.input_shape[1],) == (spec.input_shape[2],)


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_logits_alone_come_out_in_training_mode(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        network = _build(name, num_classes=7, in_channels=1).train()
    assert not network.transform_input
    assert network(torch.randn(2, 1, 96, 96)).shape == (2, 7)


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1", "convnext_tiny"])
@pytest.mark.parametrize("channels", [1, 5])
def test_replaced_first_convolution_keeps_the_scale(name: str, channels: int) -> None:
    old, new = _stem(_build(name)), _stem(_build(name, in_channels=channels))
    assert new.weight.shape == (old.out_channels, channels, *old.kernel_size)
    assert (new.stride, new.padding, new.bias is None) == (old.stride, old.padding, old.bias is None)
    assert new.weight.requires_grad
    assert (new.weight.std() / old.weight.std()).item() == pytest.approx((3 / channels) ** 0.5, rel=0.1)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_takes_other_channels(name: str) -> None:
    with catalogue.without_storage():
        network = _build(name, in_channels=4)
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert convolutions[0].in_channels == 4
    assert all(module.in_channels != 3 for module in convolutions)


def test_rates_reach_the_layers() -> None:
    rates = {name for spec in SPECS.values() for name in spec.params} - {"img_size", "transform_input"}
    assert rates == {"dropout", "attention_dropout", "mlp_dropout", "drop_rate", "stochastic_depth_prob"}
    for name, rate, shown in [
        ("alexnet", "dropout", "Dropout(p=0.625"),
        ("vit_b_32", "dropout", "Dropout(p=0.625"),
        ("maxvit_t", "mlp_dropout", "Dropout(p=0.625"),
        ("efficientnet_b0", "dropout", "Dropout(p=0.625"),
        ("convnext_tiny", "stochastic_depth_prob", "StochasticDepth(p=0.625"),
    ]:
        assert rate in SPECS[name].params
        with catalogue.without_storage():
            assert shown not in str(_build(name))
            given: dict[str, Any] = {rate: 0.625}
            assert shown in str(_build(name, **given))


def test_defaults_of_the_rates_change_nothing() -> None:
    for name in ("alexnet", "densenet121", "efficientnet_b3", "swin_t", "vit_b_32", "maxvit_t", "convnext_small"):
        defaults: dict[str, Any] = {rate: param.default for rate, param in SPECS[name].params.items()}
        with catalogue.without_storage():
            assert str(_build(name, **defaults)) == str(_build(name))


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("resnet18", {"num_classes": 0}),
        ("resnet18", {"in_channels": 0}),
        ("densenet121", {"drop_rate": 1.5}),
        ("convnext_tiny", {"stochastic_depth_prob": -0.1}),
    ],
)
def test_values_out_of_range_are_refused_before_training(name: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        _build(name, **wrong)


def test_a_name_that_torchvision_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="resnet19"):
        build(name="resnet19", num_classes=10, in_channels=3)
