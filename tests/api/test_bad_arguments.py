"""Arguments that are not what a function takes: a `ZooError` that names them, and nothing is written."""

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


def test_a_folder_that_is_no_export_is_refused(here: Path) -> None:
    (here / "photos").mkdir()
    with pytest.raises(zoo.ExportError, match="photos"):
        zoo.load("photos")


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
