"""Errors that quote a file of any size, and libraries that log by themselves."""

from pathlib import Path

import pytest
from onnx import TensorProto, helper, save

import zoo_runtime
from zoo.cli.main import run


def test_an_error_of_megabytes_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["show", "x" * 3_000_000]) == 1
    shown = capsys.readouterr().err
    assert shown.startswith("error: ") and "\n  next: " in shown
    assert len(shown) < 50_000


def test_onnxruntime_prints_nothing_by_itself(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tensor = TensorProto(name="huge", data_type=TensorProto.FLOAT, dims=[2**62])
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    node = helper.make_node("Add", ["x", "huge"], ["y"])
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "graph", [value], [output], [tensor])
    save(helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 18)]), tmp_path / "model.onnx")
    with pytest.raises(zoo_runtime.Error, match="cannot load"):
        zoo_runtime._open_session(tmp_path / "model.onnx", zoo_runtime.CPU)
    assert capfd.readouterr() == ("", "")
