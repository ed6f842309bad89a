"""ONNX files that name other files, need other libraries, or unpack to more than they hold are refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from zoo.contract.errors import ExportError
from zoo.contract.exporting.artifact import Paths
from zoo_export.formats.onnx.claims import claims
from zoo_export.formats.onnx.keys import PREPROCESS
from zoo_export.formats.onnx.runner import runner

IMAGES = np.ones((2, 3), np.float32)
Edit = Callable[[onnx.ModelProto], Any]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def model(*nodes: onnx.NodeProto, **more: Any) -> onnx.ModelProto:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3]) for name in ("x", "y"))
    weight = numpy_helper.from_array(np.ones(3, np.float32), "w")
    graph = helper.make_graph(nodes or [helper.make_node("Mul", ["x", "w"], ["y"])], "g", [x], [y], [weight])
    more.setdefault("opset_imports", [helper.make_opsetid("", 18)])
    return helper.make_model(graph, ir_version=10, **more)


def run(made: onnx.ModelProto) -> Any:
    Path("model.onnx").write_bytes(made.SerializeToString())
    paths = Paths({"model": Path("model.onnx"), "tensors": Path("model.onnx.data")})
    return next(iter(runner(paths).values()))(IMAGES)


def refused(made: onnx.ModelProto, *words: str) -> None:
    with pytest.raises(ExportError) as caught:
        run(made)
    assert caught.value.next_step
    assert not [word for word in words if word not in caught.value.cause], caught.value.cause


def external(location: str, **more: int) -> onnx.ModelProto:
    made = model()
    tensor = made.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **more}.items():
        tensor.external_data.add(key=key, value=str(value))
    return made


def test_sound_files_are_run() -> None:
    assert run(model()).tolist() == IMAGES.tolist()
    Path("model.onnx.data").write_bytes(np.full(4, 2, np.float32).tobytes())
    assert run(external("model.onnx.data", offset=0, length=12)).tolist() == (2 * IMAGES).tolist()


def test_functions_of_the_file_are_run() -> None:
    twice = helper.make_function(
        "own", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], [helper.make_opsetid("", 18)]
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    made = model(helper.make_node("Twice", ["x"], ["y"], domain="own"), functions=[twice], opset_imports=opsets)
    assert run(made).tolist() == (2 * IMAGES).tolist()


@pytest.mark.parametrize(
    "location", ["/etc/passwd", "../secret", "secret", "a/b", "", "*/_ORT_MEM_ADDR_/*", "./secret"]
)
def test_tensors_are_in_the_own_files(folder: Path, location: str) -> None:
    for path in (folder / "secret", folder.parent / "secret"):
        path.write_bytes(b"\1" * 64)
    refused(external(location, offset=0, length=12), "'w'")


def test_a_second_file_is_no_link(folder: Path) -> None:
    (folder / "secret").write_bytes(b"\1" * 64)
    Path("model.onnx.data").symlink_to(folder / "secret")
    refused(external("model.onnx.data", offset=0, length=12), "link")


@pytest.mark.parametrize(("offset", "length"), [(60, 12), (-4, 12), (0, 2**40), (0, -1)])
def test_tensors_do_not_leave_their_file(offset: int, length: int) -> None:
    Path("model.onnx.data").write_bytes(b"\1" * 64)
    refused(external("model.onnx.data", offset=offset, length=length), "model.onnx.data")


def test_tensors_within_nodes_are_checked_too() -> None:
    made = model(helper.make_node("Constant", [], ["c"]), helper.make_node("Add", ["x", "c"], ["y"]))
    inner = external("/etc/passwd", offset=0, length=12).graph.initializer[0]
    made.graph.node[0].attribute.append(helper.make_attribute("value", inner))
    refused(made, "/etc/passwd")


@pytest.mark.parametrize(
    ("domain", "operator"), [("evil", "Anything"), ("ai.onnx.contrib", "PyOp"), ("com.microsoft", "EPContext")]
)
def test_other_operators_are_refused(domain: str, operator: str) -> None:
    node = helper.make_node(operator, ["x"], ["y"], domain=domain, ep_cache_context="../secret", embed_mode=0)
    refused(model(node, opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid(domain, 1)]))


def test_settings_of_onnxruntime_are_refused() -> None:
    made = model()
    settings = {"session_options": {"optimized_model_filepath": "marker"}}
    made.metadata_props.add(key="ort_config", value=json.dumps(settings))
    refused(made, "ort_config")


def test_functions_do_not_call_themselves() -> None:
    node = helper.make_node("Loop", ["a"], ["b"], domain="own")
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    again = helper.make_function("own", "Loop", ["a"], ["b"], [node], opsets)
    made = model(helper.make_node("Loop", ["x"], ["y"], domain="own"), functions=[again], opset_imports=opsets)
    refused(made, "Loop")


def test_functions_do_not_unfold_without_end() -> None:
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    functions = [
        helper.make_function("own", "F0", ["a"], ["b"], [helper.make_node("Neg", ["a"], ["b"])], opsets),
        *(
            helper.make_function(
                "own",
                f"F{level}",
                ["a"],
                ["b9"],
                [
                    helper.make_node(f"F{level - 1}", [f"b{i - 1}" if i else "a"], [f"b{i}"], domain="own")
                    for i in range(10)
                ],
                opsets,
            )
            for level in range(1, 12)
        ),
    ]
    made = model(helper.make_node("F11", ["x"], ["y"], domain="own"), functions=functions, opset_imports=opsets)
    refused(made, "nodes")


def test_a_tensor_without_data_is_refused() -> None:
    made = model()
    made.graph.initializer[0].ClearField("raw_data")
    made.graph.initializer[0].dims[:] = [2**20, 2**20]
    refused(made, "'w'")


def test_a_sparse_tensor_does_not_unpack() -> None:
    made = model()
    values = numpy_helper.from_array(np.ones(1, np.float32), "s")
    indices = numpy_helper.from_array(np.zeros(1, np.int64), "i")
    made.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [2**20, 2**20]))
    refused(made, "'s'")


def test_graphs_are_not_nested_deep() -> None:
    inner = helper.make_graph([], "g", [], [])
    for _ in range(25):
        condition = helper.make_node(
            "If", ["c"], ["y"], then_branch=inner, else_branch=helper.make_graph([], "e", [], [])
        )
        inner = helper.make_graph([condition], "g", [], [])
    refused(model(*inner.node))


def test_names_reach_the_message_without_control_characters() -> None:
    made = external("/etc/\x1b[2J\u202e")
    made.graph.initializer[0].name = "\x1b]0;title\x07"
    with pytest.raises(ExportError) as caught:
        run(made)
    assert caught.value.cause.isprintable()


@pytest.mark.parametrize("content", [b"", b"ORTM", b"\0" * 100, b"\x08"])
def test_what_is_no_onnx_file_is_refused(content: bytes) -> None:
    Path("model.onnx").write_bytes(content)
    with pytest.raises(ExportError):
        runner(Paths({"model": Path("model.onnx")}))


def test_a_name_is_defined_once() -> None:
    twice = model()
    twice.graph.initializer.append(numpy_helper.from_array(np.full(3, 5, np.float32), "w"))
    refused(twice, "'w'")
    shadowed = model(
        helper.make_node("Mul", ["x", "w"], ["y"]), helper.make_node("Constant", [], ["w"], value_float=1.0)
    )
    refused(shadowed, "'w'")


def test_functions_have_no_overloads() -> None:
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    functions = [
        helper.make_function(
            "own", "F", ["a"], ["b"], [helper.make_node(kind, ["a"], ["b"])], opsets, overload=overload
        )
        for kind, overload in (("Neg", "a"), ("Identity", "b"))
    ]
    node = helper.make_node("F", ["x"], ["y"], domain="own", overload="a")
    refused(model(node, functions=functions, opset_imports=opsets), "F")


def test_metadata_says_each_thing_once(folder: Path) -> None:
    """A reader that takes the first of two equal keys would prepare images otherwise than one that takes the last."""
    made = model(helper.make_node("Identity", ["x"], ["y"]))
    made.metadata_props.add(key=PREPROCESS, value='{"mean": [0.0], "mean": [0.5]}')
    onnx.save(made, folder / "model.onnx")
    with pytest.raises(ValueError, match="mean"):
        claims(Paths({"model": folder / "model.onnx"}))


PLACES: dict[str, Edit] = {
    "metadata_props.value": lambda made: made.metadata_props.add(key=PREPROCESS, value="QQQQ"),
    "producer_name": lambda made: setattr(made, "producer_name", "QQQQ"),
    "graph.node.name": lambda made: setattr(made.graph.node[0], "name", "QQQQ"),
    "graph.node.input": lambda made: made.graph.node[0].input.append("QQQQ"),
    "graph.node.attribute.name": lambda made: made.graph.node[0].attribute.add(name="QQQQ", type=2, i=1),
    "graph.node.attribute.g.name": lambda made: (
        made.graph.node[0].attribute.add(name="body").g.SetInParent()
        or setattr(made.graph.node[0].attribute[0].g, "name", "QQQQ")
    ),
    "graph.initializer.name": lambda made: setattr(made.graph.initializer[0], "name", "QQQQ"),
    "graph.input.name": lambda made: setattr(made.graph.input[0], "name", "QQQQ"),
    "functions.name": lambda made: made.functions.add(name="QQQQ", domain="d"),
}


@pytest.mark.parametrize("place", PLACES)
def test_text_that_is_not_utf_8_is_refused(place: str) -> None:
    made = model()
    PLACES[place](made)
    content = made.SerializeToString().replace(b"QQQQ", b"\xff\xfe\x80\xc3")
    Path("model.onnx").write_bytes(content)
    paths = Paths({"model": Path("model.onnx"), "tensors": Path("model.onnx.data")})
    for read in (claims, runner):
        with pytest.raises(ExportError) as caught:
            read(paths)
        assert f"{place} is not UTF-8" in caught.value.cause
