"""What makes an answer jump counts as a choice, in every format and however it is written; honest graphs make none."""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from zoo.contract.exporting.artifact import Paths
from zoo.contract.exporting.inspection import Structure
from zoo_export.formats.onnx.gate.names import OWN
from zoo_export.formats.onnx.structure import structure as of_onnx
from zoo_export.formats.pt2.structure import structure as of_pt2
from zoo_export.formats.torchscript.counts import counts

PLACES = torch.tensor([0, 1])
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
    "divided_with_rounding": lambda x: x * x.div(0.5, rounding_mode="floor"),
    "counted_by_a_norm": lambda x: x * torch.linalg.vector_norm(x.relu(), 0, (1, 2, 3), keepdim=True),
    "summed_in_integers": lambda x: x * x.sum(1, keepdim=True, dtype=torch.int64),
    "cast_to_the_type_of_another": lambda x: x * x.type_as(PLACES),
    "cast_to_another": lambda x: x * x.to(PLACES),
    "second_of_max": lambda x: x * x.max(1, keepdim=True)[1],
    "second_of_pooling": lambda x: x * nn.functional.max_pool2d(x, 3, 1, 1, return_indices=True)[1],
}
TRACED_ALONE = ["heaviside", "written_elsewhere", "size_in_arithmetic"]  # torch.export writes them otherwise


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


def exported(module: nn.Module, path: Path, *, decomposed: bool = False) -> Paths:
    shapes = ({0: torch.export.Dim("batch")},)
    program = torch.export.export(module.eval(), (torch.rand(2, 3, 8, 8),), dynamic_shapes=shapes)
    torch.export.save(program.run_decompositions() if decomposed else program, path)
    return Paths({"model": path})


@pytest.mark.parametrize("name", CHOICES)
def test_a_traced_choice_is_counted(tmp_path: Path, name: str) -> None:
    assert counts(traced(Plain(CHOICES[name]), tmp_path / "a.torchscript")).conditional


@pytest.mark.parametrize("name", [name for name in CHOICES if name not in TRACED_ALONE])
def test_an_exported_choice_is_counted(tmp_path: Path, name: str) -> None:
    assert of_pt2(exported(Plain(CHOICES[name]), tmp_path / "a.pt2")).conditional


def test_honest_graphs_choose_nothing(tmp_path: Path) -> None:
    assert not counts(traced(Plain(), tmp_path / "a.torchscript")).conditional
    assert not of_pt2(exported(Plain(), tmp_path / "a.pt2")).conditional


def test_decomposed_graphs_choose_nothing(tmp_path: Path) -> None:
    pooled = Plain(lambda x: nn.functional.adaptive_max_pool2d(nn.functional.max_pool2d(x, 3, 1, 1), 8))
    assert not of_pt2(exported(pooled, tmp_path / "a.pt2", decomposed=True)).conditional


@pytest.mark.parametrize("opset", [13, 17])
def test_an_honest_onnx_file_chooses_nothing(tmp_path: Path, opset: int) -> None:
    path, images = tmp_path / "a.onnx", torch.rand(2, 3, 8, 8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(Plain().eval(), (images,), str(path), dynamo=False, opset_version=opset)
    assert not of_onnx(Paths({"model": path, "tensors": tmp_path / "t"})).conditional


def of_model(path: Path, nodes: Sequence[onnx.NodeProto], functions: Sequence[onnx.FunctionProto] = ()) -> Structure:
    """The structure of a graph from `x` to `y`, with tensors `two` of places and `half`, and functions of `own`."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4]) for name in "xy"]
    tensors = {"two": np.array([1, 0]), "half": np.float32(0.5)}
    graph = helper.make_graph(
        nodes, "g", ends[:1], ends[1:], [numpy_helper.from_array(value, name) for name, value in tensors.items()]
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, functions=functions), path)
    return of_onnx(Paths({"model": path, "tensors": path.with_suffix(".data")}))


def own(nodes: list[onnx.NodeProto], opset: int = 18) -> list[onnx.FunctionProto]:
    return [helper.make_function("own", "F", ["a"], ["b"], nodes, [helper.make_opsetid("", opset)])]


def test_a_function_reads_its_input_as_often_as_its_body(tmp_path: Path) -> None:
    node = helper.make_node
    plain = of_model(tmp_path / "a.onnx", [node("Softmax", ["x"], ["y"])])
    called = [node("F", ["x"], ["y"], domain="own")]
    in_function = of_model(tmp_path / "b.onnx", called, own([node("Softmax", ["a"], ["b"])]))
    assert (plain.graph, plain.operators) == (in_function.graph, in_function.operators)
    assert plain.input_readers == in_function.input_readers == 1


def test_operators_of_another_version_are_others(tmp_path: Path) -> None:
    node = helper.make_node
    called = [node("F", ["x"], ["y"], domain="own")]
    files = [of_model(tmp_path / "a.onnx", called, own([node("Softmax", ["a"], ["b"])], opset)) for opset in (11, 18)]
    assert files[0].graph != files[1].graph


def test_the_other_name_of_a_domain_hides_nothing(tmp_path: Path) -> None:
    def nodes(domain: str) -> list[onnx.NodeProto]:
        return [
            helper.make_node("Shape", ["x"], ["s"], domain=domain),
            helper.make_node("Greater", ["s", "two"], ["large"], domain=domain),
            helper.make_node("Cast", ["large"], ["one"], to=TensorProto.FLOAT, domain=domain),
            helper.make_node("ReduceMax", ["one"], ["most"], keepdims=0, domain=domain),
            helper.make_node("Mul", ["x", "most"], ["y"], domain=domain),
        ]

    first, second = (of_model(tmp_path / "a.onnx", nodes(domain)) for domain in ("", "ai.onnx"))
    assert first.conditional == second.conditional and "Greater" in first.conditional
    assert first.graph == second.graph


@pytest.mark.parametrize("domain", sorted(OWN))
def test_functions_do_not_replace_operators(tmp_path: Path, domain: str) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    functions = [helper.make_function(domain, "F", ["a"], ["b"], nodes, [helper.make_opsetid("", 18)])]
    with pytest.raises(ValueError, match="domain"):
        of_model(tmp_path / "a.onnx", nodes, functions)


READ_TWICE: dict[str, Callable[[Tensor], Tensor]] = {
    "directly": lambda x: x.relu() + x.amax([1, 2, 3], keepdim=True),
    "after_a_view": lambda x: (y := x.view(-1, 3, 8, 8)).relu() + y.amax([1, 2, 3], keepdim=True),
    "a_corner": lambda x: x.relu() + x[:, :, :3, :3].amax([1, 2, 3], keepdim=True),
    "a_copy": lambda x: (y := x.clone().flatten(1).reshape(-1, 3, 8, 8)).relu() + y.mean(),
}
READ_ONCE: dict[str, Callable[[Tensor], Tensor]] = {
    "plain": torch.tanh,
    "sizes": lambda x: x.tanh().view(x.size(0), x.size(1), 8, 8),
    "view": lambda x: x.view(-1, 3, 8, 8).flip(0),
}


@pytest.mark.parametrize("name", [*READ_TWICE, *READ_ONCE])
def test_readers_of_the_input_are_counted(tmp_path: Path, name: str) -> None:
    module = Plain((READ_TWICE | READ_ONCE)[name])
    readers = {
        counts(traced(module, tmp_path / "a.torchscript")).input_readers,
        of_pt2(exported(module, tmp_path / "a.pt2")).input_readers,
    }
    assert readers == {2 if name in READ_TWICE else 1}


@pytest.mark.parametrize("kind", [np.int64, np.float32])
def test_a_cast_to_the_type_of_another_is_a_choice(tmp_path: Path, kind: type) -> None:
    nodes = [
        helper.make_node("Constant", [], ["other"], value=numpy_helper.from_array(np.ones(1, kind))),
        helper.make_node("CastLike", ["x", "other"], ["like"]),
        helper.make_node("CastLike", ["like", "x"], ["back"]),
        helper.make_node("Mul", ["x", "back"], ["y"]),
    ]
    assert bool(of_model(tmp_path / "a.onnx", nodes).conditional) == (kind is np.int64)


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
