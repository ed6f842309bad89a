"""What is said of files that are no model, no image, no folder: what they are, in one clean line."""

import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

import zoo_runtime
from zoo import export
from zoo.contract.printable import shortened
from zoo_export.formats.onnx.keys import twin_of
from zoo_export.reasons import clause, first_line

Run = Callable[..., Any]
MODEL = "lenet5.digits"
pytestmark = pytest.mark.usefixtures("in_time")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export folder in every format that comes with zoo."""
    return export(
        MODEL, tmp_path_factory.mktemp("made") / "out", formats=["onnx", "torchscript", "pt2"], verify=False
    ).path


@pytest.mark.parametrize("suffix", ["onnx", "torchscript", "pt2"])
@pytest.mark.parametrize("kind", ["empty", "text", "truncated", "zip"])
def test_a_file_that_is_no_artifact(run_zoo: Run, here: Path, exported: Path, suffix: str, kind: str) -> None:
    path = here / f"bad.{suffix}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("notes.txt", "hello")
    else:
        whole = (exported / f"model.{suffix}").read_bytes()
        path.write_bytes({"empty": b"", "text": b"hello world", "truncated": whole[:5000]}[kind])
    ran = run_zoo("verify", str(path), "--against", MODEL)
    assert ran.code == 1 and path.name in ran.err
    assert not any(word in ran.err for word in ("verdict", "Traceback", "DecodeError", ".cc:", "enforce", "<_io"))
    if suffix == "onnx":
        assert run_zoo("evaluate", str(path), "--data", "digits").code == 1


@pytest.mark.parametrize(("make", "what"), [(os.mkfifo, "FIFO"), (os.mkdir, "folder"), (None, "device")])
@pytest.mark.parametrize("name", ["model.onnx", "model.safetensors"])
def test_what_is_no_regular_file_is_named(
    run_zoo: Run, here: Path, exported: Path, make: Callable[[Path], None] | None, what: str, name: str
) -> None:
    path = here / name
    if make is None:
        path.symlink_to("/dev/zero")
    else:
        make(path)
    for arguments in (
        ("verify", name, "--against", MODEL),
        ("verify", str(exported / "model.onnx"), "--against", name),
        ("predict", MODEL, name),
        ("predict", str(exported), name),
        ("evaluate", name, "--data", "digits"),
        ("weights", "import", name, "--architecture", "lenet5", "--tag", "x"),
    ):
        ran = run_zoo(*arguments)
        assert ran.code in (1, 3) and what in ran.err and name in ran.err, (arguments, ran)
        assert "4611686018427387904" not in ran.err


def test_a_damaged_image_is_named(run_zoo: Run, here: Path, exported: Path) -> None:
    (here / "image.png").write_bytes(b"\x89PNG hello")
    for model in (MODEL, str(exported)):
        ran = run_zoo("predict", model, "image.png")
        assert ran.code == 1 and "image.png" in ran.err and "damaged" in ran.err and "<_io" not in ran.err
    with pytest.raises(zoo_runtime.Error, match=r"image\.png.*damaged"):
        zoo_runtime.prepare_image("image.png", {"mean": [0.0], "std": [1.0]})


@pytest.mark.parametrize("arguments", [(), ("--format", "onnx", "--against", MODEL)])
def test_a_message_names_no_other_flag(run_zoo: Run, exported: Path, arguments: tuple[str, ...]) -> None:
    ran = run_zoo("verify", str(exported / "model.onnx"), *arguments)
    assert ran.code == 2 and ("--format" in ran.err) == ("--format" in arguments)


def restated(exported: Path, place: Path, change: Callable[[onnx.ModelProto], object]) -> Path:
    model = onnx.load(exported / "model.onnx")
    change(model)
    place.write_bytes(model.SerializeToString())
    return place


def test_missing_metadata_is_reported(run_zoo: Run, here: Path, exported: Path) -> None:
    path = restated(exported, here / "silent.onnx", lambda model: model.ClearField("metadata_props"))
    ran = run_zoo("verify", str(path), "--against", MODEL)
    assert ran.code == 0 and "labels" in ran.err and "preprocessing" in ran.err
    assert "labels" not in run_zoo("verify", str(exported / "model.onnx"), "--against", MODEL).err


TWINS = ["Zoo.labels", "zoo.Labels", " zoo.labels", "zoo.labels ", "zoo_labels", "z\u043eo.labels", "zoo.l\u0430bels"]
TWINS += ["zoo.label\u0455", "zoo.\u200blabels", "zo0.labels", "z\u00f6o.labels", "zoo.1abels"]


@pytest.mark.parametrize("key", TWINS, ids=ascii)
def test_a_key_that_looks_like_ours_is_refused(run_zoo: Run, here: Path, exported: Path, key: str) -> None:
    assert twin_of(key) == "zoo.labels"
    if key == TWINS[0]:
        add = {"key": key, "value": "[]"}
        path = restated(exported, here / "twin.onnx", lambda model: model.metadata_props.add(**add))
        assert run_zoo("verify", str(path), "--against", MODEL).code == 3


@pytest.mark.parametrize("key", ["zoo.labels", "zoo.version", "producer", "labels", "", "\u043b\u0435\u0441"])
def test_other_keys_are_not_refused(key: str) -> None:
    assert twin_of(key) == ""


SOURCES = [
    (
        "[ONNXRuntimeError] : 1 : FAIL : /onnxruntime_src/core/graph/model.cc:256 onnxruntime::Model::Model("
        "onnx::ModelProto&&, const std::vector<int (*)(int)>&) Unsupported version: 99\n\n",
        "Unsupported version: 99",
    ),
    (
        "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Status Message: /src/reshape_helper.h:91 "
        "onnxruntime::ReshapeHelper::ReshapeHelper(const onnxruntime::TensorShape&, bool) a == b was false. "
        "The tensor cannot be reshaped. Input shape:{1,3}",
        "Status Message: The tensor cannot be reshaped. Input shape:{1,3}",
    ),
    ("[enforce fail at inline_container.cc:179] . file in archive is not in a subdirectory", "file in archive is not"),
    ("no source here (at all)", "no source here (at all)"),
]


@pytest.mark.parametrize(("text", "expected"), SOURCES)
def test_a_reason_has_no_sources_of_cpp(text: str, expected: str) -> None:
    reason = clause(ValueError(text))
    assert reason.startswith(expected) and not any(word in reason for word in (".cc", ".h:", "onnxruntime::", "&&"))
    assert first_line(RuntimeError(text)).startswith(f"RuntimeError: {expected}")


def test_a_reason_of_any_text_takes_no_time() -> None:
    for text in (
        "a.cc:1 " * 100_000,
        "a" * 1_000_000 + ".cc:1",
        "x.h:1 f(" * 100_000,
        "x.h:1 " + "a:" * 100_000 + "(",
        "\n",
    ):
        assert len(clause(ValueError(text))) <= 300


def test_a_text_is_cut_after_a_word() -> None:
    assert shortened("one two three", 9) == "one two…" and shortened("one two", 7) == "one two"
    assert shortened("abcdef", 4) == "abc…"


def test_an_artifact_that_onnxruntime_refuses(run_zoo: Run, here: Path, exported: Path) -> None:
    path = restated(exported, here / "new.onnx", lambda model: setattr(model, "ir_version", 99))
    ran = run_zoo("verify", str(path), "--against", MODEL)
    assert ran.code == 1 and "99" in ran.err and "author" in ran.err
    assert not any(word in ran.err for word in (".cc:", "onnxruntime::", "ONNXRuntimeError", "&&"))
