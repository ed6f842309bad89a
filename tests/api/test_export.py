"""`zoo.export` and `zoo.verify` of loaded models, names and live modules."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import nn

import zoo

SHAPE = (3, 24, 24)


class Net(nn.Module):
    """A small network that no plugin declares, which takes any size from 4 up."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.body = nn.Sequential(
                nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
            )
            self.head = nn.Linear(8, 5)
            nn.init.uniform_(self.body[1].bias, 0.5, 1.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x))


@pytest.fixture(scope="module")
def net() -> Net:
    return Net()


@pytest.fixture(scope="module")
def exported(net: Net, tmp_path_factory: pytest.TempPathFactory) -> zoo.Export:
    """A live module, exported in two formats."""
    folder = tmp_path_factory.mktemp("exported") / "net"
    return zoo.export(net, folder, formats=["torchscript", "onnx"], input_shape=SHAPE, labels=["a", "b", "c", "d", "e"])


def test_a_live_module_is_exported_with_its_card(net: Net, exported: zoo.Export) -> None:
    assert net.training  # as it was
    assert exported.verdict == exported.certificate.verdict == "pass"
    assert {name: path.name for name, path in exported.artifacts.items()} == {
        "torchscript": "model.torchscript",
        "onnx": "model.onnx",
    }
    assert all(path.is_file() for path in exported.artifacts.values())
    manifest = exported.manifest
    assert (manifest.name, manifest.labels) == ("Net", ("a", "b", "c", "d", "e"))
    assert manifest.preprocess == zoo.Preprocess(size=(24, 24), mean=(0.0,) * 3, std=(1.0,) * 3)
    assert manifest.card["plugin"] == "" and exported.certificate.architecture["name"] == "Net"


def test_its_folder_verifies_with_and_without_the_module(net: Net, exported: zoo.Export) -> None:
    stored = zoo.verify(exported.path)
    assert (stored.verdict, stored.strict, set(stored.comparisons)) == ("pass", False, {"torchscript", "onnx"})
    assert set(zoo.verify(exported.path, formats=["onnx"]).comparisons) == {"onnx"}
    fresh = zoo.verify(exported.path, against=net, input_shape=SHAPE)
    assert (fresh.verdict, fresh.strict) == ("pass", True)
    with pytest.raises(zoo.DifferenceError, match="digest"):
        zoo.verify(exported.path, against=Net(seed=1), input_shape=SHAPE)
    with pytest.raises(zoo.ExportError, match="Net"):
        zoo.verify(exported.path, strict=True)  # nothing of that name can be opened


def test_a_file_verifies_against_the_module_alone(net: Net, exported: zoo.Export) -> None:
    for path in exported.artifacts.values():
        assert zoo.verify(path, against=net, input_shape=SHAPE).verdict == "pass"
        with pytest.raises(zoo.DifferenceError):
            zoo.verify(path, against=Net(seed=1), input_shape=SHAPE)
        with pytest.raises(zoo.UsageError, match="against"):
            zoo.verify(path)


def test_dynamic_sizes_of_a_live_module(net: Net) -> None:
    out = zoo.export(net, "sizes", formats=["onnx"], input_shape=SHAPE, dynamic_size=True)
    assert out.manifest.input.min_size is not None and out.manifest.input.min_size >= 3
    assert zoo.verify(out.path, against=net, input_shape=SHAPE).verdict == "pass"


def test_an_export_folder_is_loaded_and_evaluated(run: zoo.TrainResult, here: Path) -> None:
    out = zoo.export(run.model, formats=["torchscript", "onnx"])
    assert out.path == Path("exports/lenet5.tiny")
    image = np.arange(784, dtype=np.uint8).reshape(28, 28)
    stored = run.model.predict(image, top=10)
    for path in (out.path, *out.artifacts.values()):
        model = zoo.load(path)
        assert (model.labels, model.preprocess) == (run.model.labels, run.model.preprocess)
        best = model.predict(image, top=10)
        assert [each.index for each in best] == [each.index for each in stored]
        np.testing.assert_allclose([p.probability for p in best], [p.probability for p in stored], rtol=1e-4)
        measured = zoo.evaluate(path, device="cpu")
        assert (measured.top1, measured.n) == (run.evaluation.top1, run.evaluation.n)
        assert measured.loss == pytest.approx(run.evaluation.loss, rel=1e-5)
    with out.artifacts["onnx"].open("ab") as file:
        file.write(b"x")
    with pytest.raises(zoo.DifferenceError, match=r"model\.onnx"):
        zoo.load(out.path)
    shutil.copy(out.artifacts["torchscript"], here / "alone.torchscript")
    with pytest.raises(zoo.ExportError, match="alone"):
        zoo.load("alone.torchscript")


def test_names_and_architectures_are_exported_too(run: zoo.TrainResult, here: Path) -> None:
    (here / "weights").mkdir()
    shutil.copy(run.weights, here / "weights")
    out = zoo.export("lenet5.tiny", formats=["torchscript"])
    assert out.manifest.name == "lenet5.tiny"
    assert zoo.verify(out.path, strict=True).strict
    assert zoo.verify(out.path, against="lenet5.tiny").strict
    assert zoo.verify(out.path, against=zoo.load(run.weights)).verdict == "pass"
    fresh = zoo.export("lenet5", "fresh", formats=["torchscript"], num_classes=3, in_channels=3, img_size=32)
    assert fresh.manifest.preprocess.input_shape == (3, 32, 32) and len(fresh.manifest.labels) == 3
    assert zoo.verify("fresh", strict=True).verdict == "pass"


@pytest.mark.parametrize(
    ("model", "arguments", "error"),
    [
        (Net(), {}, zoo.UsageError),
        (Net(), {"input_shape": SHAPE, "num_classes": 3}, zoo.UsageError),
        ("lenet5", {"input_shape": SHAPE}, zoo.UsageError),
        ("lenet5", {"labels": ["a"]}, zoo.UsageError),
        ("lenet5", {"formats": ["no_such"]}, zoo.UnknownName),
        ("lenet5", {"precision": "fp3"}, zoo.UnknownName),
        ("lenet5", {"verify": False, "atol": 0.1}, zoo.UsageError),
        ("lenet5", {"devices": ["no_such"]}, zoo.DeviceError),
        (nn.Conv2d(3, 5, 3), {"input_shape": SHAPE}, zoo.UsageError),
    ],
)
def test_wrong_arguments_publish_nothing(
    model: Any, arguments: dict[str, Any], error: type[zoo.ZooError], here: Path
) -> None:
    with pytest.raises(error):
        zoo.export(model, "out", **arguments)
    assert not list(here.iterdir())


def test_an_existing_folder_is_kept_unless_forced(net: Net, exported: zoo.Export, here: Path) -> None:
    folder = shutil.copytree(exported.path, here / "net")
    before = (folder / "manifest.json").read_bytes()
    with pytest.raises(zoo.OutputError):
        zoo.export(net, folder, formats=["torchscript"], input_shape=SHAPE)
    assert (folder / "manifest.json").read_bytes() == before
    zoo.export(net, folder, formats=["torchscript"], input_shape=SHAPE, force=True)
    assert not (folder / "model.onnx").exists()


def test_messages_go_to_the_callback_alone(net: Net, capfd: pytest.CaptureFixture[str]) -> None:
    class Heard(zoo.Callback):
        lines: ClassVar[list[str]] = []
        warnings: ClassVar[list[str]] = []

        def on_message(self, text: str, *, warning: bool = False) -> None:
            (self.warnings if warning else self.lines).append(text)

    zoo.export(net, "a", formats=["torchscript"], input_shape=SHAPE, verify=False, callback=Heard())
    assert any("torchscript" in line for line in Heard.lines) and len(Heard.warnings) == 2
    assert capfd.readouterr() == ("", "")
    with pytest.warns(UserWarning, match="UNVERIFIED|not verified"):
        zoo.load("a")


def test_a_plugin_without_an_export_command_says_so(registry: zoo.Registry) -> None:
    without = zoo.Registry([plugin for plugin in registry.plugins if plugin.name != "export"])
    with pytest.raises(zoo.UnknownName, match="export"):
        zoo.export(Net(), "out", input_shape=SHAPE, registry=without)
    bare = [replace(plugin, specs=tuple(_without_call(spec) for spec in plugin.specs)) for plugin in registry.plugins]
    with pytest.raises(zoo.PluginError, match="verify"):
        zoo.verify("out", registry=zoo.Registry(bare))


def _without_call(spec: zoo.Spec) -> zoo.Spec:
    return replace(spec, call="") if isinstance(spec, zoo.Command) else spec


class Progress(zoo.Callback):
    """Keeps how far each stage came."""

    def __init__(self) -> None:
        self.stages: dict[str, list[tuple[int, int]]] = {}

    def on_progress(self, stage: str, done: int, total: int, detail: str = "") -> None:
        self.stages.setdefault(stage, []).append((done, total))


def test_checks_report_every_comparison(
    net: Net, exported: zoo.Export, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    calls: list[Any] = [
        lambda callback: zoo.export(
            net, tmp_path / "again", formats=["torchscript"], input_shape=SHAPE, callback=callback
        ),
        lambda callback: zoo.verify(exported.path, formats=["torchscript"], callback=callback),
        lambda callback: zoo.verify(
            exported.artifacts["torchscript"], against=net, input_shape=SHAPE, callback=callback
        ),
    ]
    for call in calls:
        progress = Progress()
        call(progress)
        (steps,) = progress.stages.values()
        assert list(progress.stages) == ["checking model.torchscript"]
        assert steps[-1][0] == steps[-1][1] and {total for done, total in steps if done == total}
        assert [done for done, _ in steps][:3] == [1, 2, 3]
    assert capfd.readouterr() == ("", "")


def test_results_have_a_short_repr(exported: zoo.Export) -> None:
    verification = zoo.verify(exported.path, formats=["torchscript"])
    assert len(repr(exported)) < 300 and len(repr(verification)) < 300
    assert "pass" in repr(exported) and "torchscript" in repr(verification)


def test_what_is_assumed_of_a_module_is_a_warning(net: Net, tmp_path: Path) -> None:
    class Warnings(zoo.Callback):
        def on_message(self, text: str, *, warning: bool = False) -> None:
            texts.extend([text] if warning else [])

    texts: list[str] = []
    zoo.export(net, tmp_path / "x", formats=["torchscript"], input_shape=SHAPE, verify=False, callback=Warnings())
    assert ["preprocess" in text for text in texts].count(True) == 1 and any("labels" in text for text in texts)


def test_a_renamed_export_verifies_strictly(registry: zoo.Registry, tmp_path: Path) -> None:
    for model in ("lenet5.digits", "lenet5"):
        out = zoo.export(model, tmp_path / model, formats=["torchscript"], name="prod-1.0")
        assert out.manifest.name == "prod-1.0" and out.certificate.weights["name"] == model
        assert zoo.verify(out.path, strict=True).verdict == "pass"
