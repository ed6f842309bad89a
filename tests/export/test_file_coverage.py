"""A right file whose own weights cover too little is checked with probe weights, or says how much was covered."""

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn

import zoo
from zoo.contract.evidence import AGREES, PASS

SHAPE = (1, 8, 8)


class Quiet(nn.Module):
    """A network with a branch that is scaled by next to nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.one, self.two = nn.Linear(64, 16), nn.Linear(16, 16), nn.Linear(16, 16)
        self.scale = nn.Parameter(torch.full((16,), 1e-12))
        self.head = nn.Linear(16, 4)

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.first(images.flatten(1))
        return self.head(hidden + self.scale * self.two(torch.relu(self.one(hidden))))


class Silent(nn.Sequential):
    """A network with a head of zeros."""

    def __init__(self) -> None:
        super().__init__(nn.Flatten(), nn.Linear(64, 16), nn.Linear(16, 4))
        nn.init.zeros_(self[2].weight)
        nn.init.zeros_(self[2].bias)


def made(kind: type[nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    return kind().eval()


@pytest.fixture(scope="module")
def module() -> nn.Module:
    return made(Quiet)


def older(module: nn.Module, path: Path) -> Path:
    """`module` as the older exporter writes it, which is not zoo's own export."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (torch.rand(2, *SHAPE),),
            str(path),
            dynamo=False,
            input_names=["pixels"],
            output_names=["scores"],
            dynamic_axes={"pixels": {0: "n"}, "scores": {0: "n"}},
        )
    return path


def traced(module: nn.Module, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(module, torch.rand(2, *SHAPE)), path)
    return path


def changed(path: Path, change: Callable[[onnx.GraphProto], None]) -> Path:
    model = onnx.load(path)
    change(model.graph)
    onnx.save(model, path)
    return path


def verify(path: Path, module: nn.Module, **more: Any) -> zoo.Verification:
    return zoo.verify(path, against=module, input_shape=SHAPE, seed=1, **more)


def test_probe_weights_are_put_into_a_right_file(module: nn.Module, tmp_path: Path) -> None:
    path = older(module, tmp_path / "older.onnx")
    before = path.read_bytes()
    found = verify(path, module)
    assert found.verdict == PASS and not found.graphs["onnx"].proven and found.coverage is not None
    assert found.coverage.by_weights["own_weights"] < 0.9 <= found.coverage.fraction
    assert path.read_bytes() == before
    with pytest.raises(zoo.DifferenceError, match="inconclusive"):
        verify(path, module, strict=True)


@pytest.mark.parametrize("name", ["onnx", "torchscript", "pt2"])
def test_zoos_own_export_is_checked_with_probe_weights(module: nn.Module, tmp_path: Path, name: str) -> None:
    made = zoo.export(module, tmp_path / "x", formats=[name], input_shape=SHAPE)
    alone = Path(shutil.copy(made.artifacts[name], tmp_path))  # away from its manifest
    for more in ({}, {"strict": True}, {"min_coverage": 1}):
        found = verify(alone, module, **more)
        assert found.verdict == PASS and found.graphs[name].proven and found.coverage is not None
        assert found.coverage.by_weights["own_weights"] < 0.9 <= found.coverage.fraction


def opposite(name: str) -> Callable[[onnx.GraphProto], None]:
    """Change the sign of a tensor."""

    def damage(graph: onnx.GraphProto) -> None:
        tensor = next(each for each in graph.initializer if name in each.name)
        tensor.CopyFrom(numpy_helper.from_array(-numpy_helper.to_array(tensor), tensor.name))

    return damage


def test_a_tensor_that_is_not_the_models_stays_uncovered(module: nn.Module, tmp_path: Path) -> None:
    found = verify(changed(older(module, tmp_path / "damaged.onnx"), opposite("scale")), module)
    assert found.verdict == AGREES and found.coverage is not None
    assert "scale" in found.coverage.uncovered and not found.to_dict()["passed"]


def test_probe_weights_beside_a_wrong_tensor_show_it(module: nn.Module, tmp_path: Path) -> None:
    with pytest.raises(zoo.DifferenceError, match="probe weights"):
        verify(changed(older(module, tmp_path / "damaged.onnx"), opposite("two.weight")), module)


def test_an_error_that_the_own_weights_hide_is_inconclusive(module: nn.Module, tmp_path: Path) -> None:
    def damage(graph: onnx.GraphProto) -> None:
        node = next(each for each in graph.node if each.op_type == "Relu")
        node.op_type = "Tanh"

    path = changed(older(module, tmp_path / "damaged.onnx"), damage)
    with pytest.raises(zoo.DifferenceError, match="inconclusive") as caught:
        verify(path, module)
    assert "probe weights" in caught.value.cause and "--min-coverage" in caught.value.next_step
    found = verify(path, module, min_coverage=0.4)
    assert found.verdict == AGREES and any("probe weights" in text for text in found.warnings)


def test_a_format_without_probe_weights_says_how_much(module: nn.Module, tmp_path: Path) -> None:
    path = traced(module, tmp_path / "traced.torchscript")
    found = verify(path, module)
    assert found.verdict == AGREES and found.coverage is not None and 0 < found.coverage.fraction < 0.9
    assert found.to_dict()["coverage"]["fraction"] == found.coverage.fraction
    assert verify(path, module, min_coverage=found.coverage.fraction).verdict == AGREES
    for more in ({"strict": True}, {"min_coverage": found.coverage.fraction + 0.01}):
        with pytest.raises(zoo.DifferenceError, match="inconclusive"):
            verify(path, module, **more)


def test_a_check_that_covers_nothing_is_inconclusive(tmp_path: Path) -> None:
    silent = made(Silent)
    path = traced(silent, tmp_path / "silent.torchscript")
    for more in ({}, {"min_coverage": 0}):
        with pytest.raises(zoo.DifferenceError, match=" 0 %"):
            verify(path, silent, **more)


def test_little_coverage_and_a_choice_are_inconclusive(module: nn.Module, tmp_path: Path) -> None:
    def choose(graph: onnx.GraphProto) -> None:
        graph.initializer.append(numpy_helper.from_array(torch.tensor(1e30).numpy(), "large"))
        scores = graph.output[0].name
        graph.node.extend(
            [
                helper.make_node("Greater", [scores, "large"], ["huge"]),
                helper.make_node("Where", ["huge", "large", scores], ["chosen"]),
            ]
        )
        graph.output[0].name = "chosen"

    path = changed(older(module, tmp_path / "chooses.onnx"), choose)
    with pytest.raises(zoo.DifferenceError, match="Where"):
        verify(path, module)
    found = verify(path, module, min_coverage=0.4)
    assert found.verdict == AGREES and any("Where" in text for text in found.warnings)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(("none.onnx", "--precision", "fp32"), 1), (("none.onnx",), 1), ((".", "--min-coverage", "0.5"), 2)],
)
def test_a_missing_file_is_called_missing(run_zoo: Any, here: Path, arguments: tuple[str, ...], code: int) -> None:
    ran = run_zoo("verify", *arguments, "--against", "lenet5.digits")
    assert ran.code == code and ("no file or folder none.onnx" if code == 1 else "--min-coverage") in ran.err


@pytest.mark.parametrize("wrong", [-0.1, 1.5, float("nan"), "much"])
def test_a_coverage_that_is_no_fraction_is_refused(module: nn.Module, tmp_path: Path, wrong: Any) -> None:
    path = traced(module, tmp_path / "traced.torchscript")
    with pytest.raises(zoo.UsageError, match="coverage"):
        verify(path, module, min_coverage=wrong)
