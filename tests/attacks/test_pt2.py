"""PT2 files that would run code, touch files, or take all memory are refused before PyTorch loads them."""

import io
import json
import pickle
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from zoo.contract.errors import ExportError
from zoo.contract.exporting.artifact import Paths
from zoo_export.formats.pt2.expressions import expression
from zoo_export.formats.pt2.format import runner
from zoo_export.formats.pytorch_archive import Refused

Edit = Callable[[Any], None]
MODEL = "archive/models/model.json"
WEIGHTS = "archive/data/weights/model_weights_config.json"
RELU = "torch.ops.aten.relu.default"


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, images: Tensor) -> Tensor:
        return torch.relu(self.conv(images)).mean((2, 3))


class Marker:
    """Unpickled, it writes `marker` into the current folder."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("marker"),))


@pytest.fixture(scope="module")
def archive() -> bytes:
    """A sound PT2 file, as zoo writes one."""
    shapes = ({0: torch.export.Dim("batch")},)
    program = torch.export.export(Net().eval(), (torch.zeros(4, 3, 8, 8),), dynamic_shapes=shapes)
    program.example_inputs = None
    program._guards_code = []
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    return buffer.getvalue()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def edited(archive: bytes, **edits: Edit) -> bytes:
    """The archive with the JSON of its `graph` or `weights` edited."""
    names = {MODEL: edits.get("graph"), WEIGHTS: edits.get("weights")}
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(made, "w") as new:
        for entry in old.infolist():
            content, edit = old.read(entry), names.get(entry.filename)
            if edit is not None:
                data = json.loads(content)
                edit(data)
                content = json.dumps(data).encode()
            new.writestr(entry.filename, content)
    return made.getvalue()


def node(data: Any, target: str = RELU) -> Any:
    return next(node for node in data["graph_module"]["graph"]["nodes"] if node["target"] == target)


def refused(content: bytes, *words: str) -> None:
    """Assert that a file of that content is refused with a sentence that holds `words`, and that no code ran."""
    Path("model.pt2").write_bytes(content)
    with pytest.raises(ExportError) as caught:
        runner(Paths({"model": Path("model.pt2")}))
    assert caught.value.next_step
    assert "model.pt2" in caught.value.cause
    assert not [word for word in words if word not in caught.value.cause], caught.value.cause
    assert sorted(path.name for path in Path().iterdir() if path.name != "__pycache__") == ["model.pt2"]


def test_a_sound_file_is_loaded(archive: bytes) -> None:
    Path("model.pt2").write_bytes(edited(archive))
    assert runner(Paths({"model": Path("model.pt2")}))(torch.ones(2, 3, 8, 8).numpy()).shape == (2, 4)


def with_two_directories(seen_by_pytorch: bytes, seen_by_zipfile: bytes) -> bytes:
    """An archive whose end record points to one central directory, right behind which another one lies."""
    end = len(seen_by_pytorch) - 22
    shift = end  # the second archive follows the first one without its end record
    second_end = len(seen_by_zipfile) - 22
    size, start = struct.unpack("<II", seen_by_zipfile[second_end + 12 : second_end + 20])
    first_size, first_start = struct.unpack("<II", seen_by_pytorch[end + 12 : end + 20])
    assert (first_start + first_size, start + size) == (end, second_end)
    # `zipfile` looks for its directory `size` bytes before the end record, and takes what lies before for a preamble.
    record = bytearray(seen_by_zipfile[second_end:])
    struct.pack_into("<I", record, 16, first_start)
    return seen_by_pytorch[:end] + seen_by_zipfile[:second_end] + bytes(record) if shift else b""


def test_two_central_directories_are_refused(archive: bytes) -> None:
    def unpickle(data: Any) -> None:
        data["config"]["marker"] = {"path_name": "weight_9", "is_param": True, "use_pickle": True, "tensor_meta": None}

    evil = io.BytesIO(edited(archive, weights=unpickle))
    with zipfile.ZipFile(evil, "a") as writer:
        buffer = io.BytesIO()
        torch.save(Marker(), buffer)
        writer.writestr("archive/data/weights/weight_9", buffer.getvalue())
    both = with_two_directories(evil.getvalue(), edited(archive))
    with zipfile.ZipFile(io.BytesIO(both)) as benign:
        assert "archive/data/weights/weight_9" not in benign.namelist()
    refused(both)


@pytest.mark.parametrize("key", ["in_spec", "out_spec"])
@pytest.mark.parametrize("fqn", ["evil:Name", "ctypes:cdll"])
def test_treespecs_import_nothing(archive: bytes, folder: Path, monkeypatch, key: str, fqn: str) -> None:
    Path("package").mkdir()
    Path("package/evil.py").write_text("open('marker', 'w')\n")
    monkeypatch.syspath_prepend(str(folder / "package"))
    context = json.dumps([{"__enum__": True, "fqn": fqn, "name": "libc.so.6"}])
    leaf = {"type": None, "context": None, "children_spec": []}
    spec = json.dumps([1, {"type": "builtins.dict", "context": context, "children_spec": [leaf]}])

    def edit(data: Any) -> None:
        data["graph_module"]["module_call_graph"][0]["signature"][key] = spec

    Path("model.pt2").write_bytes(edited(archive, graph=edit))
    with pytest.raises(ExportError, match="treespec"):
        runner(Paths({"model": Path("model.pt2")}))
    assert "evil" not in sys.modules
    assert not Path("marker").exists()


def call(target: str, *inputs: tuple[str, Any]) -> Edit:
    """Replace the call of `relu`."""

    def edit(data: Any) -> None:
        entry = node(data)
        entry["target"] = target
        if inputs:
            entry["inputs"] = [{"name": name, "arg": value, "kind": 1} for name, value in inputs]

    return edit


SELF = ("self", {"as_tensor": {"name": "conv2d"}})


@pytest.mark.parametrize(
    ("target", "inputs"),
    [
        ("torch.ops.aten.from_file.default", [("filename", {"as_string": "model.pt2"}), ("shared", {"as_bool": True})]),
        ("torch.ops.aten._print.default", [("s", {"as_string": "text"})]),
        ("torch.ops.aten.save.default", [("item", SELF[1]), ("filename", {"as_string": "marker"})]),
        ("torch.ops.aten.set_.source_Tensor", [SELF, ("source", SELF[1])]),
        ("torch.ops.aten.resize_.default", [SELF, ("size", {"as_ints": [2**40]})]),
        ("torch.ops.aten.as_strided_.default", [SELF, ("size", {"as_ints": [4]}), ("stride", {"as_ints": [1]})]),
        ("torch.ops.aten.relu.out", [SELF, ("out", SELF[1])]),
        ("torch.ops.aten.empty_like.default", [SELF]),
        ("torch.ops.aten.rand_like.default", [SELF]),
        ("torch.ops.aten.dropout.default", [SELF, ("p", {"as_float": 0.5}), ("train", {"as_bool": True})]),
        ("torch.ops.aten.bernoulli.default", [SELF]),
        ("torch.ops.aten.warn.default", [("message", {"as_string": "text"})]),
        ("torch.ops.profiler._record_function_enter_new.default", []),
        ("torch.ops.c10d.barrier.default", []),
        ("torch.ops.higher_order.while_loop", []),
        ("torch.ops.higher_order.print", []),
        ("torch.ops.load_library", []),
        ("torch.hub.load", []),
        ("_operator.attrgetter", []),
        ("_operator.methodcaller", []),
        ("_operator.call", []),
        ("math.factorial", []),
        ("builtins.eval", []),
        ("os.system", []),
        ("#torch:eval", []),
    ],
)
def test_only_operators_of_tensors_are_called(archive: bytes, target: str, inputs: Any) -> None:
    refused(edited(archive, graph=call(target, *inputs)), target)


def test_files_are_neither_mapped_nor_written(archive: bytes, folder: Path) -> None:
    victim = folder.parent / f"{folder.name}.victim"
    victim.write_bytes(b"\0" * 64)

    def edit(data: Any) -> None:
        name, size = ("filename", {"as_string": str(victim)}), ("size", {"as_int": 16})
        entry = node(data)
        made = json.loads(json.dumps(entry))
        made["target"], made["name"], made["outputs"] = "torch.ops.aten.from_file.default", "mapped", [tensor("mapped")]
        made["inputs"] = [
            {"name": key, "arg": value, "kind": 1} for key, value in (name, ("shared", {"as_bool": True}), size)
        ]
        filled = json.loads(json.dumps(made))
        filled["target"], filled["name"] = "torch.ops.aten.fill_.Scalar", "filled"
        filled["outputs"] = [tensor("filled")]
        filled["inputs"] = [
            {"name": "self", "arg": tensor("mapped"), "kind": 1},
            {"name": "value", "arg": {"as_float": 1.0}, "kind": 1},
        ]
        graph = data["graph_module"]["graph"]
        graph["nodes"] = [made, filled, *graph["nodes"]]
        for value in ("mapped", "filled"):
            meta = json.loads(json.dumps(graph["tensor_values"]["p_conv_bias"]))
            graph["tensor_values"][value] = meta | {"sizes": [{"as_int": 16}]}

    Path("model.pt2").write_bytes(edited(archive, graph=edit))
    with pytest.raises(ExportError, match="from_file"):
        runner(Paths({"model": Path("model.pt2")}))(torch.ones(2, 3, 8, 8).numpy())
    assert victim.read_bytes() == b"\0" * 64


def tensor(name: str) -> Any:
    return {"as_tensor": {"name": name}}


CODE = "x=__import__('pathlib').Path('marker').touch()"


def renamed(old: str, new: str) -> Edit:
    def rename(value: Any) -> Any:
        if isinstance(value, dict):
            return {new if key == old else key: rename(item) for key, item in value.items()}
        if isinstance(value, list):
            return [rename(item) for item in value]
        return new if value == old else value

    def edit(data: Any) -> None:
        data.update(rename(data))

    return edit


@pytest.mark.parametrize("old", ["images", "p_conv_weight", "conv2d", "relu"])
def test_names_of_nodes_are_no_code(archive: bytes, old: str) -> None:
    refused(edited(archive, graph=renamed(old, f"{old}, {CODE}")), "name")
    refused(edited(archive, graph=renamed(old, f"{old}={CODE[2:]}")), "name")


def test_names_of_arguments_are_no_code(archive: bytes) -> None:
    def edit(data: Any) -> None:
        data["graph_module"]["module_call_graph"][0]["signature"]["forward_arg_names"] = [f"images, {CODE}"]

    refused(edited(archive, graph=edit), "name")


@pytest.mark.parametrize("name", ['a"+str(1/0)+"', "__class__.forward", "forward", "conv.__init__", "", "a..b"])
def test_names_of_weights_are_no_code(archive: bytes, name: str) -> None:
    rename = renamed("conv.weight", name)
    refused(edited(archive, graph=rename, weights=rename), "name")


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('touch marker')",
        "Symbol('s0').__class__",
        "Symbol('s0', positive=__import__('os'))",
        "Pow(Integer(9), Integer(999999999))",
        "Pow(Integer(9), Pow(Integer(9), Integer(9)))",
        "Pow(" * 5 + "Integer(9)" + ", Integer(9))" * 5,
        "Add(" * 41 + "Integer(1)" + ")" * 41,
        "Add(Integer(1), " * 2000 + "Integer(1)" + ")" * 2000,
        "Integer(" + "9" * 5000 + ")",
        "Lambda(x, x)",
        "Add(Integer(1)",
        "Add(Integer(1)))",
        "Integer(1) Integer(2)",
        "(lambda: 1)()",
        "",
    ],
)
def test_expressions_over_sizes_only(archive: bytes, text: str) -> None:
    def edit(data: Any) -> None:
        data["graph_module"]["graph"]["tensor_values"]["relu"]["sizes"][0] = {"as_expr": {"expr_str": text}}

    refused(edited(archive, graph=edit), "expression")


@pytest.mark.parametrize(
    "text",
    [
        "Symbol('s77', positive=True, integer=True)",
        "Add(Integer(1), FloorDiv(Add(Symbol('s3', positive=True, integer=True), Integer(-1)), Integer(2)))",
        "Pow(Add(Integer(1), Symbol('s3', integer=True)), Integer(2))",
        "Mul(Rational(1, 2), Symbol('u0', integer=True))",
    ],
)
def test_expressions_of_sizes_are_admitted(text: str) -> None:
    assert expression(text) == text


def test_no_expression_of_other_characters_is_admitted() -> None:
    with pytest.raises(Refused):
        expression("Symbol('s0')\n, 1")


def set_field(*path: Any, value: Any) -> Edit:
    def edit(data: Any) -> None:
        for key in path[:-1]:
            data = data[key]
        data[path[-1]] = value

    return edit


GRAPH = ("graph_module", "graph")
CUSTOM = {"as_custom_obj": {"name": "x", "class_fqn": "__torch__.torch.classes.x.Y"}}


@pytest.mark.parametrize(
    "edit",
    [
        set_field("guards_code", value=["open('marker', 'w')"]),
        set_field("verifiers", value=["EVIL"]),
        set_field("range_constraints", "u99999999999", value={"min_val": 0, "max_val": None}),
        set_field(*GRAPH, "custom_obj_values", value={"x": CUSTOM["as_custom_obj"]}),
        set_field(*GRAPH, "inputs", 0, value=CUSTOM),
        set_field(*GRAPH, "nodes", 0, "inputs", 0, "arg", value={"as_operator": "builtins.eval"}),
        set_field(*GRAPH, "nodes", 0, "inputs", 0, "arg", value={"as_int": "1"}),
        set_field(*GRAPH, "nodes", 0, "inputs", 0, "arg", value={"as_int": 2**64}),
        set_field(*GRAPH, "nodes", 0, "outputs", 0, value={"as_tensor": {"name": "a", "evil": 1}}),
        set_field("graph_module", "metadata", value={"custom": "{}"}),
        set_field("graph_module", "signature", "output_specs", value=[]),
        set_field("evil", value=1),
        set_field("opset_version", value=[]),
    ],
)
def test_fields_of_another_form_are_refused(archive: bytes, edit: Edit) -> None:
    refused(edited(archive, graph=edit))


def test_metadata_that_looks_up_objects_is_left_out(archive: bytes) -> None:
    def edit(data: Any) -> None:
        node(data)["metadata"]["source_fn_stack"] = "x,torch.evil.name"

    Path("model.pt2").write_bytes(edited(archive, graph=edit))
    assert runner(Paths({"model": Path("model.pt2")}))(torch.ones(2, 3, 8, 8).numpy()).shape == (2, 4)


def test_no_state_is_written(archive: bytes) -> None:
    """A graph that counts its calls could answer rightly until it is trusted."""

    def edit(data: Any) -> None:
        view, write = (json.loads(json.dumps(node(data))) for _ in range(2))
        view["target"], view["name"], view["outputs"] = "torch.ops.aten.alias.default", "view", [tensor("view")]
        view["inputs"] = [{"name": "self", "arg": tensor("p_conv_bias"), "kind": 1}]
        write["target"], write["name"], write["outputs"] = "torch.ops.aten.add_.Tensor", "write", [tensor("write")]
        write["inputs"] = [{"name": name, "arg": tensor("view"), "kind": 1} for name in ("self", "other")]
        graph = data["graph_module"]["graph"]
        graph["nodes"] = [view, write, *graph["nodes"]]
        graph["tensor_values"] |= dict.fromkeys(("view", "write"), graph["tensor_values"]["p_conv_bias"])

    refused(edited(archive, graph=edit), "state")


def test_a_tensor_is_not_larger_than_its_record(archive: bytes) -> None:
    def grow(data: Any) -> None:
        meta = data["config"]["conv.weight"]["tensor_meta"]
        meta["sizes"], meta["strides"] = [{"as_int": 2**40}], [{"as_int": 0}]

    refused(edited(archive, weights=grow), "conv.weight")


def test_a_compressed_bomb_is_not_unpacked(archive: bytes) -> None:
    made = io.BytesIO(archive)
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, b" " * 2**29 if name == MODEL else old.read(name))
    refused(made.getvalue(), "bytes")


def test_repeated_keys_are_refused(archive: bytes) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(made, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, content.replace(b"{", b'{"guards_code": [], ', 1) if name == MODEL else content)
    refused(made.getvalue(), "key")


def test_deep_json_is_refused(archive: bytes) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(made, "w") as new:
        for name in old.namelist():
            new.writestr(name, b"[" * 100_000 if name == MODEL else old.read(name))
    refused(made.getvalue())


@pytest.mark.parametrize(
    "name",
    ["data/constants/custom_obj_0", "data/constants/opaque_obj_0", "data/weights/model.pt", "data/aotinductor/m/x.so"],
)
def test_records_with_code_are_refused(archive: bytes, name: str) -> None:
    made = io.BytesIO(edited(archive))
    with zipfile.ZipFile(made, "a") as writer:
        writer.writestr(f"archive/{name}", pickle.dumps(Marker()))
    refused(made.getvalue(), "could run code")


def test_the_layout_of_older_releases_is_refused() -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as writer:
        writer.writestr("version", "8.1")
        for name in ("serialized_state_dict.pt", "serialized_constants.pt", "serialized_example_inputs.pt"):
            writer.writestr(name, pickle.dumps(Marker()))
        writer.writestr("serialized_exported_program.json", "{}")
    refused(made.getvalue())


def test_sample_inputs_are_left_out(archive: bytes) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(made, "w") as new:
        for name in old.namelist():
            hostile = name.endswith("sample_inputs/model.pt")
            new.writestr(name, pickle.dumps(Marker()) if hostile else old.read(name))
    Path("model.pt2").write_bytes(made.getvalue())
    assert runner(Paths({"model": Path("model.pt2")}))(torch.ones(2, 3, 8, 8).numpy()).shape == (2, 4)
    assert not Path("marker").exists()


def test_no_operator_senses_where_it_runs(archive: bytes) -> None:
    refused(edited(archive, graph=call("torch.ops.aten.is_inference.default", SELF)), "is_inference")


class KeepsStatistics(nn.Module):
    """Normalises as in training, which moves its statistics a little at every call."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("var", torch.ones(3))

    def forward(self, images: Tensor) -> Tensor:
        return torch.batch_norm(images, None, None, self.mean, self.var, True, 0.1, 1e-5, False).mean((2, 3))


def test_no_state_is_kept_in_running_statistics() -> None:
    made = io.BytesIO()
    torch.export.save(torch.export.export(KeepsStatistics(), (torch.ones(2, 3, 8, 8),)), made)
    refused(made.getvalue(), "batch_norm", "state")
