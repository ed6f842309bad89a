"""Blame names the right step and the right module, wherever a fault is planted, in networks of every kind of block."""

import ast
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir
import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torchvision.models import DenseNet, ShuffleNetV2, SwinTransformer
from torchvision.models.convnext import CNBlockConfig, ConvNeXt
from torchvision.models.mobilenetv3 import InvertedResidualConfig, MobileNetV3
from torchvision.models.vision_transformer import VisionTransformer

from zoo.contract.evidence import Probe
from zoo.contract.exporting.artifact import Paths
from zoo.contract.formats import ExportFormat
from zoo.contract.preprocess import Preprocess
from zoo.files.card import Card
from zoo.registry.discovery import Plugin
from zoo.registry.registry import Entry
from zoo_classic.lenet import LeNet5
from zoo_classic.resnet_cifar import CifarResNet
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


CLASSES = 5
SQUEEZED = [
    InvertedResidualConfig(8, 3, 16, 8, True, "HS", 1, 1, 1),
    InvertedResidualConfig(8, 3, 16, 12, True, "RE", 2, 1, 1),
]
NETWORKS: dict[str, tuple[Callable[..., nn.Module], int]] = {  # torchvision's blocks, few and narrow; image size
    "lenet5": (partial(LeNet5, num_classes=CLASSES, in_channels=3), 32),
    "resnet20": (partial(CifarResNet, num_classes=CLASSES, in_channels=3, depth=14), 16),
    "mobilenet_v3": (partial(MobileNetV3, SQUEEZED, 16, CLASSES), 32),
    "shufflenet": (partial(ShuffleNetV2, [1, 2, 1], [8, 16, 32, 64, 64], CLASSES), 32),
    "densenet": (partial(DenseNet, 8, (2, 2), 8, 2, num_classes=CLASSES), 32),
    "convnext": (partial(ConvNeXt, [CNBlockConfig(8, 16, 1), CNBlockConfig(16, None, 2)], num_classes=CLASSES), 32),
    "vit": (partial(VisionTransformer, 16, 8, 2, 2, 12, 24, num_classes=CLASSES), 16),
    "swin": (partial(SwinTransformer, [2, 2], 8, [2, 1], [2, 2], [4, 4], num_classes=CLASSES), 16),
}


@dataclass
class Subject:
    """A network with weights that let a fault show, one probe to fail on, and its right file."""

    module: nn.Module
    card: Card
    reference: Probe
    whole: Capture
    file: Path

    def capture(self) -> Capture:
        """A new one: a fault that is planted in it stays in it."""
        return Capture("net", self.module, self.card)


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Subject]:
    made: dict[str, Subject] = {}

    def call(name: str) -> Subject:
        if name not in made:
            made[name] = _subject(name, tmp_path_factory.mktemp(name) / "model.onnx")
        return made[name]

    return call


def _subject(name: str, path: Path) -> Subject:
    build, size = NETWORKS[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = build().eval()
    preprocess = Preprocess(size=(size, size), mean=(0.5, 0.4, 0.3), std=(0.25, 0.2, 0.3))
    card = Card(
        architecture="net", plugin="zoo-kit", plugin_version="0.1.0", classes=tuple("abcde"), preprocess=preprocess
    )
    check = make_checks(module, make_probes(preprocess)[:2])[-1]
    capture = Capture("net", check.module, card)
    onnx_format.export(capture, Paths({"model": path}))
    return Subject(check.module, card, check.probes[-1], capture, path)


each_network = pytest.mark.parametrize("name", NETWORKS)


@each_network
def test_a_right_file_has_nothing_to_blame(subject, name: str) -> None:
    given = subject(name)
    assert blame(given.whole, given.file, given.reference) is None


@each_network
@pytest.mark.parametrize("share", [0.3, 0.8])
def test_a_fault_in_the_capture(subject, tmp_path, name: str, share: float) -> None:
    given = subject(name)
    capture = given.capture()
    nodes = [node for node in capture.program.graph.nodes if node.op == "call_function" and _of_images(node)]
    node = nodes[int(share * len(nodes))]
    node.target = _wrong(node.target)
    told = blame(capture, tmp_path / "not looked at", given.reference)
    assert told is not None
    assert (told.stage, told.module) == (CAPTURED, _module_of(node))
    assert told.source and told.ratio > 20


@each_network
@pytest.mark.parametrize("share", [0.3, 0.8])
def test_a_fault_in_the_lowered_graph(subject, tmp_path, monkeypatch, name: str, share: float) -> None:
    given = subject(name)
    lowering.lower(given.whole)
    program = given.whole.memo[lowering.LOWERED]
    model = program.model.clone()
    module = _spoil(model, share)
    spoilt = torch.onnx.ONNXProgram(model, program.exported_program)
    monkeypatch.setitem(given.whole.memo, lowering.LOWERED, spoilt)
    told = blame(given.whole, tmp_path / "not looked at", given.reference)
    assert told is not None
    assert (told.stage, told.module) == (LOWERED, module)
    assert told.source and told.ratio > 20


@each_network
@pytest.mark.parametrize("share", [0.3, 0.8])
def test_a_fault_in_the_file(subject, tmp_path, name: str, share: float) -> None:
    given = subject(name)
    model = onnx_ir.load(given.file)
    module = _spoil(model, share)
    onnx_ir.save(model, tmp_path / "spoilt.onnx")
    told = blame(given.whole, tmp_path / "spoilt.onnx", given.reference)
    assert told is not None
    assert (told.stage, told.module) == (FILE, module)
    assert told.source and told.ratio > 20


@each_network
@pytest.mark.parametrize("hop", [BASIC, ALL])
def test_a_fault_of_onnxruntimes_optimizations(subject, tmp_path, monkeypatch, name: str, hop: str) -> None:
    """onnxruntime optimises the graph that it is given; one node of what comes out is spoilt, and that is run."""
    given = subject(name)
    model = onnx_ir.load(given.file)
    levels = list(LEVELS.values())
    kept = _values(given.file, levels[1 if hop == BASIC else 2], tmp_path / "kept.onnx")
    nodes = [node for node in _nodes(model) if node.outputs[0].name in kept]
    node = nodes[len(nodes) // 2]
    value, module = str(node.outputs[0].name), _scope(node)
    _spoil_sessions(monkeypatch, tmp_path, levels[1:] if hop == BASIC else levels[2:], lambda made: made == value)
    told = blame(given.whole, given.file, given.reference)
    assert told is not None
    assert (told.stage, told.module) == (hop, module)


FUSED = [  # convolution and activation or addition; linear layers and Tanh; addition and LayerNorm
    ("lenet5", "tanh_nchwc"),
    ("lenet5", "fused node_linear"),
    ("resnet20", "relu_3_nchwc"),
    ("shufflenet", "relu_3_nchwc"),
    ("densenet", "relu_2_nchwc"),
]


@pytest.mark.parametrize(("name", "fused"), FUSED)
def test_a_fault_in_what_onnxruntime_fuses(subject, tmp_path, monkeypatch, name: str, fused: str) -> None:
    """It fuses nothing across a value that it must give, so that to look at all values at once hides the fault."""
    given = subject(name)
    seen: list[str] = []

    def is_fused(made: str) -> bool:
        seen.append(made)
        return made == fused

    _spoil_sessions(monkeypatch, tmp_path, list(LEVELS.values())[2:], is_fused)
    told = blame(given.whole, given.file, given.reference)
    if fused not in seen:
        pytest.skip("this processor's onnxruntime does not fuse it")
    value = {"fused node_linear": "tanh_2"}.get(fused, fused.removesuffix("_nchwc"))
    node = next(node for node in lowering.lower(given.whole).exported_program.graph.nodes if node.name == value)
    assert told is not None
    assert (told.stage, told.value, told.module) == (ALL, value, _module_of(node))


def _spoil_sessions(monkeypatch, folder: Path, levels: list[Any], is_it: Callable[[str], bool]) -> None:
    """At those levels, run the graph that onnxruntime itself makes, one value or one node of that name being wrong."""
    session = onnxruntime.InferenceSession

    def spoiling(source: Path, options: Any, **more: Any) -> Any:
        if options.graph_optimization_level not in levels:
            return session(source, options, **more)
        options.optimized_model_filepath = str(folder / "optimised.onnx")
        session(source, options, **more)
        model = onnx_ir.load(folder / "optimised.onnx")
        for node in list(model.graph):
            if is_it(str(node.name)) or is_it(str(node.outputs[0].name)):
                _make_wrong(model, node)
        onnx_ir.save(model, folder / "spoilt.onnx")
        plain = onnxruntime.SessionOptions()
        plain.log_severity_level = 4
        plain.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        return session(folder / "spoilt.onnx", plain, **more)

    monkeypatch.setattr(onnxruntime, "InferenceSession", spoiling)


def _values(path: Path, level: Any, scratch: Path) -> set[str]:
    """The names of the values that are left when onnxruntime has optimised a file."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.graph_optimization_level = 4, level
    options.optimized_model_filepath = str(scratch)
    onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return {str(value.name) for node in onnx_ir.load(scratch).graph for value in node.outputs}


def _wrong(target: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def wrong(*given: Any, **more: Any) -> Tensor:
        value = target(*given, **more)
        return value + torch.cos(1.7 * value)

    return wrong


def _of_images(node: torch.fx.Node) -> bool:
    value = node.meta.get("val")
    return isinstance(value, Tensor) and value.is_floating_point() and isinstance(value.shape[0], torch.SymInt)


def _module_of(node: torch.fx.Node) -> str:
    """What PyTorch itself noted when it captured the model."""
    path: str = list(node.meta["nn_module_stack"].values())[-1][0]
    return path.partition("@")[0]


def _scope(node: onnx_ir.Node) -> str:
    """What PyTorch noted in the ONNX file: the modules from the outermost in, then the node."""
    names: list[str] = ast.literal_eval(node.metadata_props["pkg.torch.onnx.name_scopes"])
    return names[-2].partition("@")[0]


def _nodes(model: onnx_ir.Model) -> list[onnx_ir.Node]:
    """Those that compute floating-point values from the images, the last one apart."""
    return [
        node
        for node in model.graph
        if node.op_type not in ("Shape", "Constant")
        and "pkg.torch.onnx.name_scopes" in node.metadata_props
        and (value := node.outputs[0]).dtype in (None, onnx_ir.DataType.FLOAT)
        and value.shape is not None
        and str(value.shape[0] if len(value.shape) else "") == "batch"
        and not value.is_graph_output()
    ]


def _spoil(model: onnx_ir.Model, share: float) -> str:
    """Make one node wrong; give its module."""
    nodes = _nodes(model)
    node = nodes[int(share * len(nodes))]
    module = _scope(node)
    _make_wrong(model, node)
    return module


def _make_wrong(model: onnx_ir.Model, node: onnx_ir.Node) -> None:
    """What it gives, x, becomes x + cos(1.7 x), by the name that x had."""
    given = node.outputs[0]
    name, uses, is_output = given.name, list(given.uses()), given.is_graph_output()
    scale = onnx_ir.Value(name="scale", const_value=onnx_ir.tensor(np.float32(1.7), name="scale"))
    model.graph.initializers["scale"] = scale
    scaled = onnx_ir.Node("", "Mul", [given, scale])
    cosine = onnx_ir.Node("", "Cos", [scaled.outputs[0]])
    wrong = onnx_ir.Node("", "Add", [given, cosine.outputs[0]])
    given.name, wrong.outputs[0].name = f"{name}_right", name
    wrong.outputs[0].dtype, wrong.outputs[0].shape = onnx_ir.DataType.FLOAT, given.shape
    for user, index in uses:
        user.replace_input_with(index, wrong.outputs[0])
    if is_output:
        model.graph.outputs[list(model.graph.outputs).index(given)] = wrong.outputs[0]
    model.graph.insert_after(node, [scaled, cosine, wrong])
