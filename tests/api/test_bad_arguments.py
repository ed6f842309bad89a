"""Arguments that are not what a function takes: a `ZooError` that names them, and nothing is written."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import zoo

SHAPE = (1, 8, 8)


def net() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 3)).eval()


def export(model: Any, **arguments: Any) -> Any:
    return zoo.export(model, **{"formats": ["torchscript"], "input_shape": SHAPE, **arguments})


CALLS: list[tuple[Callable[[], Any], type[zoo.ZooError], str]] = [
    (lambda: zoo.load("no_such"), zoo.UnknownName, "no_such"),
    (lambda: zoo.load(""), zoo.UnknownName, "''"),
    (lambda: zoo.load("lenet5"), zoo.UsageError, "lenet5"),
    (lambda: zoo.load(None), zoo.UsageError, "NoneType"),  # type: ignore[arg-type]
    (lambda: zoo.load(net()), zoo.UsageError, "Sequential"),  # type: ignore[arg-type]
    (lambda: zoo.verify(None), zoo.UsageError, "NoneType"),  # type: ignore[arg-type]
    (lambda: zoo.create_model(5), zoo.UsageError, "int"),  # type: ignore[arg-type]
    (lambda: zoo.create_model("lenet5", num_classes="7"), zoo.UsageError, "num_classes='7'"),  # type: ignore[arg-type]
    (lambda: zoo.create_model("lenet5", num_classes=7.0), zoo.UsageError, "num_classes=7.0"),  # type: ignore[arg-type]
    (lambda: zoo.create_model("lenet5", num_classes=True), zoo.UsageError, "num_classes=True"),
    (lambda: zoo.create_model("lenet5", num_classes=0), zoo.UsageError, "num_classes=0"),
    (lambda: zoo.create_model("lenet5", seed=-1), zoo.UsageError, "seed=-1"),
    (lambda: zoo.create_model("lenet5", seed=2**63), zoo.UsageError, "seed="),
    (lambda: export(nn.Linear), zoo.UsageError, "Linear"),
    (lambda: export(None), zoo.UsageError, "NoneType"),
    (lambda: export(lambda x: x), zoo.UsageError, "function"),
    (lambda: export(net(), formats="onnx"), zoo.UsageError, "formats='onnx'"),
    (lambda: export(net(), formats=["onnx", "onnx"]), zoo.UsageError, "onnx"),
    (lambda: export(net(), devices="cpu"), zoo.UsageError, "devices='cpu'"),
    (lambda: export(net(), devices=[]), zoo.UsageError, "devices"),
    (lambda: export(net(), labels="abc"), zoo.UsageError, "labels='abc'"),
    (lambda: export(net(), preprocess={"mean": 0}), zoo.UsageError, "dict"),
    (lambda: export(net(), name="../x"), zoo.UsageError, "../x"),
    (lambda: export(net(), name=5), zoo.UsageError, "name=5"),
    (lambda: export(net(), name=""), zoo.UsageError, "name=''"),
    (lambda: export(net(), callback=print), zoo.UsageError, "callback="),
    (lambda: zoo.train("lenet5", data="digits", callback=print), zoo.UsageError, "callback="),  # type: ignore[arg-type]
    (lambda: export(nn.Sequential(nn.Flatten(), nn.Linear(64, 3, device="meta"))), zoo.ExportError, "meta"),
    (lambda: zoo.verify("x", input_shape=(3, 9, 9)), zoo.UsageError, "input_shape"),
    (lambda: zoo.verify("x", labels=["q"]), zoo.UsageError, "labels"),
    (lambda: zoo.verify("x", against="lenet5.digits", input_shape=(3, 9, 9)), zoo.UsageError, "input_shape"),
    (lambda: zoo.verify("x", against=5), zoo.UsageError, "int"),  # type: ignore[arg-type]
    (lambda: zoo.list_models(5), zoo.UsageError, "pattern=5"),  # type: ignore[arg-type]
    (lambda: zoo.list_models(None), zoo.UsageError, "pattern=None"),  # type: ignore[arg-type]
    (lambda: zoo.list_models(["lenet5"]), zoo.UsageError, "pattern="),  # type: ignore[arg-type]
    (lambda: export(net(), input_shape=8), zoo.UsageError, "input_shape=8"),
    (lambda: export(net(), input_shape=(1, "8", 8)), zoo.UsageError, "'8'"),
    (lambda: export(net(), labels=3), zoo.UsageError, "labels=3"),
    (lambda: export(net(), atol="1e-3"), zoo.UsageError, "atol='1e-3'"),
    (lambda: export(net(), rtol=True), zoo.UsageError, "rtol=True"),
    (lambda: export(net(), output=5), zoo.UsageError, "output"),
    (lambda: export(net(), registry="x"), zoo.UsageError, "registry"),
    (lambda: zoo.export("lenet5", num_classes="3"), zoo.UsageError, "num_classes='3'"),  # type: ignore[arg-type]
    (lambda: zoo.export("lenet5", params=["a"]), zoo.UsageError, "params="),  # type: ignore[arg-type]
    (lambda: zoo.evaluate("lenet5.digits", data_root=5), zoo.UsageError, "data_root"),  # type: ignore[arg-type]
    (lambda: zoo.evaluate(net()), zoo.UsageError, "Sequential"),  # type: ignore[arg-type]
    (lambda: zoo.list_models(registry="x"), zoo.UsageError, "registry"),  # type: ignore[arg-type]
    (lambda: zoo.load("lenet5.digits", registry="x"), zoo.UsageError, "registry"),  # type: ignore[arg-type]
    (lambda: zoo.verify("x", key=5), zoo.UsageError, "key"),  # type: ignore[arg-type]
    (lambda: zoo.Recipe(architecture="lenet5"), zoo.UsageError, "data"),  # type: ignore[call-arg]
    (lambda: zoo.Recipe(architecture="lenet5", data="digits", epoch=3), zoo.UsageError, "epoch"),  # type: ignore[call-arg]
    (lambda: zoo.create_model("lenet5", channels=3), zoo.UnknownName, "channels"),
    (lambda: zoo.create_model("lenet5", pretrained="digits"), zoo.UsageError, "pretrained"),  # type: ignore[arg-type]
    (lambda: zoo.load("exports/nope"), zoo.UnknownName, "exports/nope"),
    (lambda: zoo.load("nope.onnx"), zoo.ExportError, "no file nope.onnx"),
    (lambda: zoo.evaluate("exports/nope"), zoo.UnknownName, "exports/nope"),
    (lambda: zoo.train(net(), data="digits"), zoo.UsageError, "Sequential"),  # type: ignore[arg-type]
    (lambda: zoo.train("lenet5", data="digits", smoothing=0.1), zoo.UsageError, "smoothing"),  # type: ignore[call-arg]
    (lambda: zoo.train("lenet5", data="digits", output=5), zoo.UsageError, "output"),  # type: ignore[arg-type]
    (lambda: zoo.train("lenet5", data="digits", workers=-1), zoo.UsageError, "workers=-1"),
    (lambda: zoo.train("lenet5", data="digits", memory_limit=-1), zoo.UsageError, "memory_limit=-1"),
    (lambda: zoo.train("lenet5", data="digits", checkpoint_every="9"), zoo.UsageError, "'9'"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("call", "kind", "words"), CALLS, ids=range(len(CALLS)))
def test_a_wrong_argument_is_named(
    call: Callable[[], Any], kind: type[zoo.ZooError], words: str, tmp_path: Path
) -> None:
    with pytest.raises(zoo.ZooError) as caught:
        call()
    assert type(caught.value) is kind and caught.value.next_step
    assert words in str(caught.value)
    assert list(tmp_path.rglob("*")) == [tmp_path / "here"]


@pytest.mark.parametrize("arguments", [{"batch_size": 0}, {"workers": -1}, {"memory_limit": -1}])
def test_evaluate_names_a_number_out_of_range(run: "zoo.TrainResult", arguments: dict[str, Any]) -> None:
    with pytest.raises(zoo.UsageError, match=next(iter(arguments))):
        zoo.evaluate(run.model, data="digits", **arguments)


@pytest.mark.parametrize("images", [None, 5, [None], b"bytes", [b"bytes"], torch.zeros(1, 8, 8)])
def test_predict_names_the_type_of_what_is_no_image(run: "zoo.TrainResult", images: Any) -> None:
    one = images[0] if isinstance(images, list) else images
    with pytest.raises(zoo.UsageError, match=type(one).__name__):
        run.model.predict(images)


@pytest.mark.parametrize("top", ["3", 2.5, True, 0])
def test_predict_names_a_wrong_top(run: "zoo.TrainResult", top: Any) -> None:
    with pytest.raises(zoo.UsageError, match="top"):
        run.model.predict(np.zeros((8, 8), np.uint8), top=top)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: zoo.create_model("lenet5", channels=3), "in_channels"),
        (lambda: zoo.create_model("lenet5", zzz=3), "num_classes, in_channels, img_size, activation"),
        (lambda: zoo.train("lenet5", data="digits", smoothing=0.1), "label_smoothing"),  # type: ignore[call-arg]
        (lambda: zoo.evaluate(net()), "zoo.load"),  # type: ignore[arg-type]
    ],
)
def test_the_next_step_names_what_is_meant(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(zoo.ZooError) as caught:
        call()
    assert words in caught.value.next_step


def test_a_long_value_is_shortened() -> None:
    with pytest.raises(zoo.UsageError) as caught:
        zoo.Recipe(architecture="lenet5", data="digits", epochs=["x" * 1000])  # type: ignore[arg-type]
    assert len(str(caught.value)) < 250


def test_none_is_an_augmentation_policy() -> None:
    recipe = zoo.Recipe(architecture="lenet5", data="digits", aa="none")
    assert recipe == zoo.Recipe(architecture="lenet5", data="digits") and recipe.aa == ""
    assert copy.deepcopy(recipe) == recipe
    with pytest.raises(zoo.UsageError, match="one of none, trivial"):
        zoo.Recipe(architecture="lenet5", data="digits", aa="auto")


def test_top_takes_an_integer_of_numpy(run: "zoo.TrainResult") -> None:
    assert len(run.model.predict(np.zeros((8, 8), np.uint8), top=np.int64(2))) == 2  # type: ignore[arg-type]


def test_a_folder_that_is_no_export_is_refused(here: Path) -> None:
    (here / "photos").mkdir()
    for name in ("photos", str(here / "photos")):
        with pytest.raises(zoo.ExportError, match="photos"):
            zoo.load(name)


def test_an_export_cannot_be_exported(run: "zoo.TrainResult", here: Path) -> None:
    zoo.export(run.model, "exports/once", formats=["torchscript"], verify=False)
    for model in ("exports/once", "exports/once/model.torchscript", zoo.load("exports/once")):
        with pytest.raises(zoo.UsageError, match="exports/once"):
            zoo.export(model, "exports/twice")
    assert [path.name for path in (here / "exports").iterdir()] == ["once"]


def test_create_model_takes_a_path(run: "zoo.TrainResult") -> None:
    assert zoo.create_model(run.weights).training


class NoGradient(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(64, 3)

    @torch.no_grad()
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(x.flatten(1))


def test_a_forward_without_gradients_is_inconclusive(here: Path) -> None:
    with pytest.raises(zoo.DifferenceError, match="inconclusive"):
        export(NoGradient(), output="exports/x")
    assert list(here.iterdir()) == []


def test_a_module_without_parameters_is_checked() -> None:
    out = export(nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten()), output="exports/x")
    assert out.certificate.verdict == "pass"
    assert out.certificate.coverage.tensors == 0
