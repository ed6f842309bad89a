"""What makes an answer jump counts as a choice, in every format and however it is written; honest graphs make none."""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from zoo.contract.exporting.artifact import Paths
from zoo_export.formats.onnx.structure import structure as of_onnx
from zoo_export.formats.pt2.structure import structure as of_pt2
from zoo_export.formats.torchscript.counts import counts

TABLE = torch.tensor([1.0, -1.0])
CHOICES: dict[str, Callable[[Tensor], Tensor]] = {
    "where": lambda x: x.neg().where(x.lt(0.01), x),
    "gather": lambda x: TABLE[x.relu().bool().long()],
    "round": lambda x: x * x.round(),
    "searchsorted": lambda x: TABLE[:1] * torch.searchsorted(TABLE, x),
    "heaviside": lambda x: x.heaviside(TABLE[0]),
    "argmax": lambda x: x * x.argmax(),
    "written_elsewhere": lambda x: x * torch.zeros(2, 3, 8, 8).copy_(x),
    "size_in_arithmetic": lambda x: x * (x.size(0) - 2),
    "second_of_max": lambda x: x * x.max(1, keepdim=True)[1],
}


class Plain(nn.Module):
    """Operators that honest models have."""

    def __init__(self, change: Callable[[Tensor], Tensor] = torch.tanh) -> None:
        super().__init__()
        self.conv, self.norm, self.change = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), change

    def forward(self, images: Tensor) -> Tensor:
        x = torch.cat([self.norm(self.conv(self.change(images))).relu()] * 2, 1).flatten(2).transpose(1, 2)
        x = nn.functional.layer_norm(x, [8]).softmax(-1)
        return torch.as_tensor(x[:, 0].view(x.size(0), -1) + x.mean(1))


def traced(module: nn.Module, path: Path) -> Paths:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(module.eval(), torch.rand(2, 3, 8, 8), check_trace=False), path)
    return Paths({"model": path})


def exported(module: nn.Module, path: Path) -> Paths:
    shapes = ({0: torch.export.Dim("batch")},)
    torch.export.save(torch.export.export(module.eval(), (torch.rand(2, 3, 8, 8),), dynamic_shapes=shapes), path)
    return Paths({"model": path})


@pytest.mark.parametrize("name", CHOICES)
def test_a_traced_choice_is_counted(tmp_path: Path, name: str) -> None:
    assert counts(traced(Plain(CHOICES[name]), tmp_path / "a.torchscript")).conditional


@pytest.mark.parametrize("name", ["where", "gather", "round", "searchsorted", "argmax", "second_of_max"])
def test_an_exported_choice_is_counted(tmp_path: Path, name: str) -> None:
    assert of_pt2(exported(Plain(CHOICES[name]), tmp_path / "a.pt2")).conditional


def test_honest_graphs_choose_nothing(tmp_path: Path) -> None:
    assert not counts(traced(Plain(), tmp_path / "a.torchscript")).conditional
    assert not of_pt2(exported(Plain(), tmp_path / "a.pt2")).conditional


@pytest.mark.parametrize("opset", [13, 17])
def test_an_honest_onnx_file_chooses_nothing(tmp_path: Path, opset: int) -> None:
    path, images = tmp_path / "a.onnx", torch.rand(2, 3, 8, 8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(Plain().eval(), (images,), str(path), dynamo=False, opset_version=opset)
    assert not of_onnx(Paths({"model": path, "tensors": tmp_path / "t"})).conditional


@pytest.mark.parametrize("fixed", [False, True])
def test_a_table_read_at_computed_places_is_a_choice(tmp_path: Path, fixed: bool) -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["places"], to=TensorProto.INT64),
        helper.make_node("Gather", ["x", "two"] if fixed else ["table", "places"], ["y"], axis=0),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in "xy"]
    tensors = {"table": np.ones(2, np.float32), "two": np.array([1, 0])}
    graph = helper.make_graph(
        nodes[fixed:], "g", ends[:1], ends[1:], [numpy_helper.from_array(v, k) for k, v in tensors.items()]
    )
    onnx.save(helper.make_model(graph), tmp_path / "a.onnx")
    found_none = not of_onnx(Paths({"model": tmp_path / "a.onnx", "tensors": tmp_path / "t"})).conditional
    assert found_none == fixed
