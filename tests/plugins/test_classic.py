"""The classic architectures are what their papers say: sizes, layouts, shapes and gradients."""

import inspect
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import pad

from zoo import Architecture
from zoo_classic.plugin import zoo_specs
from zoo_classic.resnet_cifar import BasicBlock, CifarResNet, PadShortcut
from zoo_classic.wide_resnet import WideBlock, WideResNet

SPECS = {spec.name: spec for spec in zoo_specs()}
LARGE = {"resnet110", "wrn_28_10"}  # one cheap forward is enough for these
SMALL = [name for name in SPECS if name not in LARGE]
ONE_OF_EACH = ["lenet5", "alexnet_cifar", "vgg11_cifar", "resnet20", "resnet18_cifar", "wrn_16_4"]

# Exact numbers of parameters, and the millions that were published (None: no source gives any).
PUBLISHED = {
    "lenet5": (61_706, None),
    "alexnet_cifar": (2_472_266, "2.47"),
    "vgg11_cifar": (9_231_114, None),
    "vgg16_cifar": (14_728_266, None),
    "resnet20": (269_722, "0.27"),
    "resnet32": (464_154, "0.46"),
    "resnet44": (658_586, "0.66"),
    "resnet56": (853_018, "0.85"),
    "resnet110": (1_727_962, "1.7"),
    "resnet18_cifar": (11_173_962, None),
    "resnet34_cifar": (21_282_122, None),
    "wrn_16_4": (2_748_890, None),
    "wrn_28_10": (36_479_194, "36.5"),
}


def builder(spec: Architecture) -> Callable[..., nn.Module]:
    module, _, attribute = spec.build.partition(":")
    build: Callable[..., nn.Module] = getattr(import_module(module), attribute)
    return build


def make(name: str, *, in_channels: int | None = None, num_classes: int | None = None, **params: Any) -> nn.Module:
    spec = SPECS[name]
    torch.manual_seed(0)
    return builder(spec)(
        num_classes=num_classes or spec.num_classes,
        in_channels=in_channels or spec.input_shape[0],
        **spec.build_args,
        **params,
    )


def images(name: str, n: int = 2, *, channels: int | None = None, size: int | None = None) -> torch.Tensor:
    default_channels, height, width = SPECS[name].input_shape
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n, channels or default_channels, size or height, size or width, generator=generator)


def layers(model: nn.Module, *kinds: type[nn.Module]) -> list[nn.Module]:
    return [module for module in model.modules() if isinstance(module, kinds)]


def test_every_architecture_has_a_published_count() -> None:
    assert SPECS.keys() == PUBLISHED.keys()


@pytest.mark.parametrize("name", SPECS)
def test_parameter_count_and_finite_logits(name: str) -> None:
    exact, millions = PUBLISHED[name]
    model = make(name).eval()
    assert sum(parameter.numel() for parameter in model.parameters()) == exact == SPECS[name].parameters
    if millions:
        digits = len(millions.partition(".")[2])
        assert f"{exact / 1e6:.{digits}f}" == millions
    with torch.no_grad():
        logits = model(images(name, 1))
    assert logits.shape == (1, 10) and logits.dtype == torch.float32 and logits.isfinite().all()


@pytest.mark.parametrize("name", SPECS)
def test_the_spec_and_the_build_agree_on_defaults(name: str) -> None:
    spec = SPECS[name]
    accepted = inspect.signature(builder(spec)).parameters
    assert {*spec.build_args, *spec.params, "num_classes", "in_channels"} == accepted.keys()
    assert {key: accepted[key].default for key in spec.params} == {k: p.default for k, p in spec.params.items()}
    assert all(accepted[key].kind is inspect.Parameter.KEYWORD_ONLY for key in accepted)


@pytest.mark.parametrize("name", SMALL)
def test_every_parameter_gets_a_gradient(name: str) -> None:
    model = make(name).train()
    size = 16 if SPECS[name].min_size == 1 and not SPECS[name].sizes else 32
    model(images(name, 4, size=size)).square().sum().backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        if parameter.ndim > 1:  # a convolution's bias before BatchNorm rightly gets zero
            assert parameter.grad.abs().sum() > 0, key


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("classes", [1, 7])
@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_takes_any_number_of_classes_and_channels(name: str, classes: int, channels: int) -> None:
    model = make(name, num_classes=classes, in_channels=channels).eval()
    with torch.no_grad():
        assert model(images(name, channels=channels)).shape == (2, classes)


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_takes_the_image_sizes_it_says_and_no_smaller(name: str) -> None:
    spec = SPECS[name]
    model = make(name).eval()
    good = spec.sizes or (spec.min_size, spec.min_size + 1, 40)
    bad = (27, 29, 30, 36) if spec.sizes else (spec.min_size - 1,) if spec.min_size > 1 else ()
    with torch.no_grad():
        for size in good:
            assert model(images(name, size=size)).isfinite().all(), size
        for size in bad:
            with pytest.raises(RuntimeError):
                model(images(name, size=size))


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore::FutureWarning")
@pytest.mark.parametrize(("name", "size"), [("lenet5", 28), *((name, 32) for name in ONE_OF_EACH)])
def test_can_be_traced_and_exported_with_any_batch(name: str, size: int) -> None:
    model = make(name).eval()
    traced = torch.jit.trace(model, images(name, 2, size=size))
    exported = torch.export.export(
        model, (images(name, 2, size=size),), dynamic_shapes=({0: torch.export.Dim("batch")},)
    ).module()
    with torch.no_grad():
        for n in (1, 3):
            expected = model(images(name, n, size=size))
            torch.testing.assert_close(traced(images(name, n, size=size)), expected)
            torch.testing.assert_close(exported(images(name, n, size=size)), expected)


def test_lenet5_pads_a_28_pixel_image_to_32_with_zeros() -> None:
    model = make("lenet5").eval()
    small = images("lenet5", 3, size=28)
    with torch.no_grad():
        assert torch.equal(model(small), model(pad(small, (2, 2, 2, 2))))
        assert not torch.equal(model(small), model(pad(small, (4, 0, 4, 0))))


@pytest.mark.parametrize(("activation", "kind"), [("tanh", nn.Tanh), ("sigmoid", nn.Sigmoid), ("relu", nn.ReLU)])
def test_lenet5_activation_follows_four_layers(activation: str, kind: type[nn.Module]) -> None:
    model = make("lenet5", activation=activation)
    assert len(layers(model, nn.Tanh, nn.Sigmoid, nn.ReLU)) == len(layers(model, kind)) == 4


@pytest.mark.parametrize("name", [name for name in SMALL if name.startswith("resnet")])
def test_depth_of_resnets_matches_their_names(name: str) -> None:
    model = make(name)
    main = [layer for layer in layers(model, nn.Conv2d, nn.Linear) if getattr(layer, "kernel_size", 3) != (1, 1)]
    assert len(main) == SPECS[name].build_args["depth"]


@pytest.mark.parametrize("depth", [8, 20, 26])
def test_cifar_resnets_have_three_stages_of_n_blocks(depth: int) -> None:
    model = CifarResNet(depth=depth)
    n = (depth - 2) // 6
    sizes = []
    x = model.stem(images("resnet20"))
    for stage in model.stages:
        x = stage(x)
        sizes.append((len(layers(stage, BasicBlock)), *x.shape[1:]))
    assert sizes == [(n, 16, 32, 32), (n, 32, 16, 16), (n, 64, 8, 8)]
    assert sum(p.numel() for module in layers(model, PadShortcut) for p in module.parameters()) == 0


@pytest.mark.parametrize("depth", [2, 18, 21, 0, -4])
def test_cifar_resnets_refuse_other_depths(depth: int) -> None:
    with pytest.raises(ValueError, match=r"6n \+ 2"):
        CifarResNet(depth=depth)


def test_small_input_resnet_downsamples_from_stage_2() -> None:
    model = make("resnet18_cifar")
    shapes = []
    x = model.get_submodule("stem")(images("resnet18_cifar"))
    for stage in model.get_submodule("stages").children():
        x = stage(x)
        shapes.append(tuple(x.shape[1:]))
    assert shapes == [(64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4)]


@pytest.mark.parametrize("size", [7, 8])
def test_pad_shortcut_subsamples_and_adds_empty_channels(size: int) -> None:
    x = images("resnet20", size=size)
    y = PadShortcut(5, 2)(x)
    assert y.shape == (2, 8, 4, 4)
    assert torch.equal(y[:, :3], x[:, :, ::2, ::2]) and not y[:, 3:].any()


def test_basic_block_without_residual_is_its_rectified_input() -> None:
    block = BasicBlock(3, 3, stride=1, shortcut=nn.Identity())
    nn.init.zeros_(block.norm2.weight)
    x = images("resnet20")
    assert torch.equal(block(x), x.relu())


def test_wide_block_without_residual_is_its_input() -> None:
    block = WideBlock(3, 3, stride=1, dropout=0.0)
    nn.init.zeros_(block.conv2.weight)
    x = images("wrn_16_4")
    assert torch.equal(block(x), x)


@pytest.mark.parametrize("name", ["wrn_16_4", "wrn_28_10"])
def test_depth_of_wide_resnets_matches_their_names(name: str) -> None:
    spec = SPECS[name]
    model = WideResNet(depth=spec.build_args["depth"], width=2)
    assert len(layers(model, nn.Conv2d)) == spec.build_args["depth"]


def test_wide_resnet_dropout_only_in_training() -> None:
    x = images("wrn_16_4")
    model = make("wrn_16_4", dropout=0.5)
    assert [module.p for module in layers(model, nn.Dropout) if isinstance(module, nn.Dropout)] == [0.5] * 6
    with torch.no_grad():
        assert not torch.equal(model.train()(x), model(x))
        assert torch.equal(model.eval()(x), model(x))
        plain = make("wrn_16_4").train()
        assert torch.equal(plain(x), plain(x))


@pytest.mark.parametrize("depth", [4, 15, 17])
def test_wide_resnets_refuse_other_depths(depth: int) -> None:
    with pytest.raises(ValueError, match=r"6n \+ 4"):
        WideResNet(depth=depth)


@pytest.mark.parametrize(("name", "convolutions"), [("vgg11_cifar", 8), ("vgg16_cifar", 13)])
def test_vgg_has_the_convolutions_of_its_configuration(name: str, convolutions: int) -> None:
    model = make(name)
    plain = make(name, batch_norm=False)
    assert len(layers(model, nn.Conv2d)) == len(layers(model, nn.BatchNorm2d)) == convolutions
    assert len(layers(plain, nn.Conv2d)) == convolutions and not layers(plain, nn.BatchNorm2d)
    assert len(layers(model, nn.MaxPool2d)) == 5


@pytest.mark.parametrize("name", ["alexnet_cifar", "vgg16_cifar"])
def test_signal_reaches_logits_without_batch_norm(name: str) -> None:
    model = make(name, **({"batch_norm": False} if "vgg" in name else {})).eval()
    with torch.no_grad():
        assert model(images(name, 16)).std(0).mean() > 0.01


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("lenet5", {"activation": "gelu"}),
        ("vgg11_cifar", {"depth": 19}),
        ("resnet18_cifar", {"depth": 50}),
        ("wrn_16_4", {"width": 0}),
        ("wrn_16_4", {"dropout": 1.5}),
    ],
)
def test_other_values_are_refused(name: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        builder(SPECS[name])(**arguments)


def test_listing_imports_neither_torch_nor_numpy() -> None:
    code = (
        "import sys; from zoo_classic.plugin import zoo_specs; assert list(zoo_specs());"
        "print(sorted({'torch', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
