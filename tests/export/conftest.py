"""What the export tests share: a small model and its card, formats made up on the spot, folders exported once."""

import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from zoo import ExportFormat
from zoo.cli.main import run
from zoo.contract.evidence import Export
from zoo.contract.exporting.options import ExportOptions
from zoo.contract.preprocess import Preprocess
from zoo.files.card import Card
from zoo.files.weights import save_weights
from zoo.models.load import Model, open_model
from zoo.registry.discovery import Plugin
from zoo.registry.registry import Registry
from zoo_export.pipeline import export_model

LABELS = ("cat", "dög", "fox", "owl")
PREPROCESS = Preprocess(size=(8, 8), mean=(0.5, 0.4, 0.3), std=(0.25, 0.2, 0.3))

MakeModel = Callable[..., Model]
MakeRegistry = Callable[..., Registry]
Try = Callable[..., Export]


class Net(nn.Module):
    """Convolution, BatchNorm, ReLU, linear: float32 `[N, 3, 8, 8]` to logits `[N, 4]`."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.head = nn.Linear(6 * 4 * 4, len(LABELS))

    def forward(self, images: Tensor) -> Tensor:
        features = nn.functional.relu(self.norm(self.conv(images)))
        return self.head(nn.functional.avg_pool2d(features, 2).flatten(1))


@pytest.fixture
def make_model() -> MakeModel:
    """Wrap a module, by default a small network with seeded weights, as `zoo` opens it."""

    def make(module: nn.Module | None = None, **more: Any) -> Model:
        return Model("net.tiny", _net() if module is None else module.eval(), _card(**more), None)

    return make


@pytest.fixture
def make_registry(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> MakeRegistry:
    """The installed plugins and one more, which provides a format with the given functions."""

    def make(export: Callable[..., Any], runner: Callable[..., Any], **more: Any) -> Registry:
        module = ModuleType("planted_format")
        module.export, module.runner = export, runner  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, module.__name__, module)
        fields: dict[str, Any] = {"name": "planted", "summary": "Made up", **more}
        fields.setdefault("suffix", "" if "files" in fields else ".planted")
        spec = ExportFormat(export="planted_format:export", runner="planted_format:runner", **fields)
        return Registry([*registry.plugins, Plugin("planted", "zoo-planted", "2.0", (spec,))])

    return make


@pytest.fixture
def try_export(registry: Registry, tmp_path: Path) -> Try:
    """Export a model in the named formats to `tmp_path/made/out`; what `ExportOptions` holds may be said plainly."""

    def call(model: Model, *names: str, registry: Registry = registry, **more: Any) -> Export:
        entries = [registry.find(ExportFormat, name) for name in names]
        options = {field.name: more.pop(field.name) for field in fields(ExportOptions) if field.name in more}
        if options:
            more["options"] = ExportOptions(**options)
        return export_model(registry, model, entries, tmp_path / "made" / "out", tmp_path, **more)

    return call


@pytest.fixture(scope="session")
def exported(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Export:
    """The small network, exported once in every format. Tests that change it work on a copy."""
    folder = tmp_path_factory.mktemp("exported")
    entries = [registry.find(ExportFormat, name) for name in ("onnx", "torchscript", "pt2")]
    return export_model(registry, Model("net.tiny", _net(), _card(), None), entries, folder / "net.tiny", folder)


@pytest.fixture(scope="session")
def lenet(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """`weights`, a LeNet-5 weights file that names digits as its data; `both` and `torchscript`, exports of it."""
    folder = tmp_path_factory.mktemp("lenet")
    fresh = open_model(registry, "lenet5")
    labels = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    card = Card(**{**vars(fresh.card), "classes": labels, "dataset": "digits"})
    weights = folder / "lenet5.made.safetensors"
    save_weights(weights, fresh.module.state_dict(), card)
    both, alone = folder / "both", folder / "torchscript"
    assert run(["export", str(weights), "-o", str(both)]) == 0
    assert run(["export", str(weights), "-o", str(alone), "-f", "torchscript"]) == 0
    return {"weights": weights, "both": both, "torchscript": alone}


def _net() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = Net()
        for name, value in net.norm.named_buffers():
            if name != "num_batches_tracked":
                value.uniform_(0.5, 1.5)
    return net.eval()


def _card(**more: Any) -> Card:
    fields: dict[str, Any] = {"classes": LABELS, "preprocess": PREPROCESS, **more}
    return Card(architecture="net", plugin="zoo-kit", plugin_version="0.1.0", **fields)
