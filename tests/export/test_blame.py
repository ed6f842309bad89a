"""Whoever reads that an ONNX file differs is told the step that broke it, and the module where the fault begins."""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir
import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch.fx import Node

from zoo.contract.errors import DifferenceError
from zoo.contract.evidence import Probe
from zoo.contract.exporting.artifact import Paths
from zoo.contract.formats import ExportFormat
from zoo.models.load import BuildArgs, Model, open_model
from zoo.registry.discovery import Plugin
from zoo.registry.registry import Entry
from zoo_export.blame.blame import find_blame
from zoo_export.blame.captured import CAPTURED, FILE
from zoo_export.capture import Capture
from zoo_export.formats.onnx import ONNX, lowering
from zoo_export.formats.onnx import format as onnx_format
from zoo_export.formats.onnx.runner import LEVELS
from zoo_export.formats.onnx.stages import ALL, BASIC, LOWERED
from zoo_export.parity.check import make_checks
from zoo_export.probes.probes import make_probes

PLUGIN = Plugin("export", "zoo-kit", "0")


def blame(capture: Capture, path: Path, reference: Probe, spec: ExportFormat = ONNX, *, own: bool = True):
    """What is to blame for the artifact whose main file is `path`."""
    return find_blame(Entry(spec, PLUGIN), capture, Paths({"model": path}), reference, own=own)


ATEN = torch.ops.aten


class Block(nn.Module):
    """Attention and a gated two-layer network, each with a way round it."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(12)
        self.qkv = nn.Linear(12, 36)
        self.out = nn.Linear(12, 12)
        self.wide = nn.Linear(12, 24)
        self.narrow = nn.Linear(24, 12)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norm(x)).unsqueeze(1).chunk(3, dim=-1)  # one head
        x = x + self.out(nn.functional.scaled_dot_product_attention(q, k, v).squeeze(1))
        return x + self.narrow(nn.functional.gelu(self.wide(x)))


class Attentive(nn.Module):
    """Patches and two blocks of attention: float32 `[N, 3, 8, 8]` to logits `[N, 4]`."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 12, 2, stride=2)
        self.blocks = nn.Sequential(Block(), Block())
        self.head = nn.Linear(12, 4)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.blocks(self.patches(images).flatten(2).transpose(1, 2)).mean(1))


@dataclass
class Subject:
    """A model with the weights that its check needs, and one reference to fail on."""

    model: Model
    module: nn.Module
    reference: Probe
    whole: Capture  # with no fault in it

    def capture(self) -> Capture:
        """A new one, which shares nothing: a fault that is planted in it stays in it."""
        return Capture(self.model.name, self.module, self.model.card)


@pytest.fixture(scope="module")
def subject(registry) -> Callable[[str], Subject]:
    made: dict[str, Subject] = {}

    def call(name: str) -> Subject:
        if name not in made:
            made[name] = _subject(registry, name)
        return made[name]

    return call


def _subject(registry, name: str) -> Subject:
    size = {"mobilenet_v3_small": 32, "shufflenet_v2_x0_5": 32, "squeezenet1_1": 32}.get(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = open_model(registry, "lenet5" if name == "attentive" else name, BuildArgs(img_size=size))
        if name == "attentive":
            card = type(model.card)(**{**vars(model.card), "preprocess": _eight(registry), "classes": tuple("abcd")})
            model = Model("attentive", Attentive().eval(), card, None)
    check = make_checks(model.module, make_probes(model.card.preprocess)[:2])[-1]
    capture = Capture(model.name, check.module, model.card)
    return Subject(model, check.module, check.probes[-1], capture)


def _eight(registry):
    return open_model(registry, "resnet20", BuildArgs(img_size=8)).card.preprocess


def damaged_capture(subject: Subject, name: str, change: Callable[[Node], None]) -> Capture:
    capture = subject.capture()
    program = capture.program
    (node,) = [node for node in program.graph.nodes if node.name == name]
    change(node)
    program.graph_module.recompile()
    return capture


def to(target: Callable[..., object]) -> Callable[[Node], None]:
    def change(node: Node) -> None:
        node.target = target
        node.kwargs = {}

    return change


def argument(index: int, value: object) -> Callable[[Node], None]:
    return lambda node: node.update_arg(index, value)


@pytest.mark.parametrize(
    ("name", "node", "change", "module", "source"),
    [
        ("lenet5", "tanh", to(ATEN.relu.default), None, "zoo_classic/lenet.py"),
        ("resnet20", "relu_3", to(ATEN.tanh.default), "stages.0.1", "zoo_classic/resnet_cifar.py"),
        ("resnet20", "add_1", to(ATEN.sub.Tensor), "stages.0.1", "zoo_classic/resnet_cifar.py"),
        ("resnet20", "batch_norm_4", argument(7, 0.3), "stages.0.1.norm2", "zoo_classic/resnet_cifar.py"),
        ("shufflenet_v2_x0_5", "transpose", argument(2, 1), "stage2.0", "torchvision/models/shufflenetv2.py"),
        ("squeezenet1_1", "relu__4", to(ATEN.tanh.default), None, "torchvision/models/squeezenet.py"),
        ("attentive", "gelu", to(ATEN.relu.default), "blocks.0", "test_blame.py"),
        ("attentive", "layer_norm_1", argument(4, 0.5), "blocks.1.norm", "test_blame.py"),
    ],
)
def test_a_fault_in_the_capture(subject, tmp_path, name, node, change, module, source) -> None:
    given = subject(name)
    if module is None:  # the node's own module, told by PyTorch before the fault was planted
        (target,) = [found for found in given.capture().program.graph.nodes if found.name == node]
        module = list(target.meta["nn_module_stack"].values())[-1][0]
    told = blame(damaged_capture(given, node, change), tmp_path / "not looked at", given.reference)
    assert (told.stage, told.module) == (CAPTURED, module)
    assert told.source.startswith(f"{source}:") and told.ratio > 20


WEIGHTS = [
    ("lenet5", "features.3.weight"),
    ("resnet20", "stages.1.0.conv2.weight"),
    ("mobilenet_v3_small", "features.4.block.1.0.weight"),
    ("shufflenet_v2_x0_5", "stage3.2.branch2.5.weight"),
    ("squeezenet1_1", "features.7.expand1x1.bias"),
    ("attentive", "blocks.1.wide.bias"),
]


@pytest.mark.parametrize(("name", "parameter"), WEIGHTS)
def test_a_fault_in_the_lowered_graph(subject, tmp_path, name, parameter) -> None:
    given = subject(name)
    lowering.lower(given.whole)
    graph = given.whole.memo[lowering.LOWERED].model.graph
    original = graph.initializers[parameter]
    planted = onnx_ir.Value(name="planted", const_value=_damaged(given.module.state_dict()[parameter].numpy()))
    graph.initializers["planted"] = planted  # by another name: weights are put in by name
    ((user, index), *_) = [use for use in original.uses() if use[0].op_type != "Shape"]
    user.replace_input_with(index, planted)
    try:
        told = blame(given.whole, tmp_path / "not looked at", given.reference)
    finally:
        user.replace_input_with(index, original)
        graph.initializers.pop("planted")
    assert told is not None
    assert (told.stage, told.module) == (LOWERED, parameter.rpartition(".")[0])
    assert told.source and told.ratio > 20


@pytest.mark.parametrize(("name", "parameter"), WEIGHTS)
def test_a_fault_in_the_file(subject, tmp_path, name, parameter) -> None:
    given, path = subject(name), tmp_path / "model.onnx"
    onnx_format.export(given.whole, Paths({"model": path}))
    assert blame(given.whole, path, given.reference) is None
    user = damage(path, parameter)
    told = blame(given.whole, path, given.reference)
    assert told is not None and told.stage == FILE
    fused = user.op_type == "Conv" and "batch_norm" in user.metadata_props["pkg.torch.onnx.name_scopes"]
    module = parameter.rpartition(".")[0]
    assert told.module == (_after(given, module) if fused else module)
    assert told.source and told.ratio > 20


def test_a_fault_in_an_attribute_of_the_file(subject, tmp_path) -> None:
    given, path = subject("shufflenet_v2_x0_5"), tmp_path / "model.onnx"
    onnx_format.export(given.whole, Paths({"model": path}))
    model = onnx_ir.load(path)
    shuffles = [node for node in model.graph if node.op_type == "Transpose"]
    shuffles[3].attributes["perm"] = onnx_ir.AttrInt64s("perm", [0, 1, 2, 3, 4])  # channels stay where they were
    onnx_ir.save(model, path)
    told = blame(given.whole, path, given.reference)
    assert told is not None
    assert (told.stage, told.module) == (FILE, "stage2.3")
    assert told.source.startswith("torchvision/models/shufflenetv2.py:")
    assert str(told) == f"The fault is in the exported file, first at stage2.3 ({told.source})."


@pytest.mark.parametrize("hop", [BASIC, ALL])
def test_a_fault_of_onnxruntimes_optimizations(subject, tmp_path, monkeypatch, hop) -> None:
    """onnxruntime is made to spoil a layer at one level and those above."""
    given, path = subject("resnet20"), tmp_path / "model.onnx"
    onnx_format.export(given.whole, Paths({"model": path}))
    levels = list(LEVELS.values())
    spoilt = levels[1:] if hop == BASIC else levels[2:]
    session = onnxruntime.InferenceSession

    def spoiling(source, options, **more):
        if options.graph_optimization_level in spoilt:
            copy = tmp_path / "spoilt.onnx"
            copy.write_bytes(Path(source).read_bytes())
            damage(copy, "stages.1.0.conv2.weight")
            source = copy
        return session(source, options, **more)

    monkeypatch.setattr(onnxruntime, "InferenceSession", spoiling)
    told = blame(given.whole, path, given.reference)
    assert told is not None
    assert (told.stage, told.module) == (hop, "stages.1.0.norm2")


def test_difference_names_the_blame_and_no_local_path(make_model, try_export, monkeypatch) -> None:
    _spoil_export(monkeypatch)
    with pytest.raises(DifferenceError) as caught:
        try_export(make_model(), "onnx")
    assert "The fault is in the exported file, first at head (conftest.py:" in caught.value.cause
    assert str(Path(__file__).parents[1]) not in caught.value.cause


def test_a_difference_is_told_where_blame_itself_fails(make_model, try_export, monkeypatch) -> None:
    _spoil_export(monkeypatch)
    monkeypatch.setattr("zoo_export.blame.blame.find_blame", operator.truediv)  # raises: it takes two numbers
    with pytest.raises(DifferenceError, match=r"does not compute what net\.tiny computes") as caught:
        try_export(make_model(), "onnx")
    assert "fault" not in caught.value.cause


def _spoil_export(monkeypatch: pytest.MonkeyPatch) -> None:
    export = onnx_format.export

    def spoiling(capture: Capture, paths: Paths) -> None:
        export(capture, paths)
        damage(paths.main, "head.weight")

    monkeypatch.setattr(onnx_format, "export", spoiling)


def damage(path: Path, parameter: str) -> onnx_ir.Node:
    """Change one output channel of a weight in the file, and give the node that uses it."""
    model = onnx_ir.load(path)
    value = model.graph.initializers[parameter]
    value.const_value = _damaged(value.const_value.numpy())
    onnx_ir.save(model, path)
    return value.uses()[0].node


def _damaged(array: np.ndarray) -> onnx_ir.TensorProtocol:
    changed = array.copy()
    changed[0] += 0.5
    return onnx_ir.tensor(changed)


def _after(given: Subject, path: str) -> str:
    """The module that is defined after another one: the BatchNorm of a convolution."""
    names = [name for name, layer in given.module.named_modules() if not any(layer.children())]
    return names[names.index(path) + 1]
