"""A failure that is saved shows itself again, anywhere, and nothing is saved where nothing failed."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from zoo.contract.callback import Callback
from zoo.contract.errors import DifferenceError, OutputError
from zoo.contract.exporting.artifact import Backend, Paths
from zoo.contract.exporting.options import ExportOptions
from zoo_export.capture import Capture
from zoo_export.failures.saved_failure import without_paths
from zoo_export.formats.onnx import format as onnx_format
from zoo_export.formats.pt2 import format as pt2_format
from zoo_export.formats.torchscript import format as torchscript_format

FILES = {"README.md", "expected.npy", "output.npy", "input.npy", "repro.py"}


def damaged(capture: Capture, paths: Paths) -> None:
    """ONNX with its first kernel one percent larger."""
    onnx_format.export(capture, paths)
    model = onnx.load(paths.main)
    weight = next(value for value in model.graph.initializer if len(value.dims) == 4)
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * np.float32(1.01), weight.name))
    onnx.save(model, paths.main)


def raising(paths: Paths, backend: Backend) -> Any:
    def run(images: np.ndarray) -> np.ndarray:
        raise OSError(f"cannot read {paths.main}")

    return run


class Stages(Callback):
    """Keeps every message."""

    def __init__(self, messages: list[str]) -> None:
        self.messages = messages

    def on_message(self, text: str, *, warning: bool = False) -> None:
        self.messages.append(text)


def run_script(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(folder / "repro.py")]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")


@pytest.fixture
def broken_onnx(monkeypatch: pytest.MonkeyPatch) -> None:
    """The format `onnx` writes damaged files."""
    monkeypatch.setattr(onnx_format, "export", _once(damaged, onnx_format.export))


def _once(wrong: Any, right: Any) -> Any:
    def export(capture: Capture, paths: Paths) -> None:
        onnx_format.export, kept = right, onnx_format.export
        try:
            wrong(capture, paths)
        finally:
            onnx_format.export = kept

    return export


@pytest.mark.usefixtures("broken_onnx")
def test_a_saved_failure_shows_the_difference_again(make_model, try_export, tmp_path: Path) -> None:
    place = tmp_path / "failed" / "here"
    with pytest.raises(DifferenceError) as caught:
        try_export(make_model(), "onnx", options=ExportOptions(save_failure=place))
    assert caught.value.exit_code == 3 and str(place) in caught.value.next_step
    assert {path.name for path in place.iterdir()} == FILES | {"model.onnx"}
    assert not (tmp_path / "made").exists()
    images, truth, given = (np.load(place / f"{name}.npy") for name in ("input", "expected", "output"))
    assert images.dtype == np.float32 and truth.dtype == np.float64 and given.dtype == np.float32
    assert len(images) == len(truth) == len(given)
    done = run_script(place)
    assert done.returncode == 3 and not done.stderr
    shown = float(re.search(r"largest difference ([\d.e+-]+)", done.stdout)[1])  # type: ignore[index]
    assert shown == pytest.approx(np.abs(given - truth).max(), rel=1e-3)
    script = (place / "repro.py").read_text(encoding="utf-8")
    assert len(script.splitlines()) <= 20 and "zoo" not in script
    text = (place / "README.md").read_text(encoding="utf-8")
    assert all(
        word in text for word in ("model.onnx", "net.tiny", "rounding error", "tolerance", "error", "The fault is in")
    )
    assert len(text.splitlines()) < 12


@pytest.mark.usefixtures("broken_onnx")
def test_no_path_of_this_machine_is_in_a_saved_failure(make_model, try_export, tmp_path: Path) -> None:
    with pytest.raises(DifferenceError):
        try_export(make_model(), "onnx", options=ExportOptions(save_failure=tmp_path / "failed"))
    private = [str(tmp_path), str(Path.home()), str(Path(__file__).parents[2]), sys.prefix]
    for path in (tmp_path / "failed").iterdir():
        assert not [place for place in private if len(place) > 5 and place.encode() in path.read_bytes()], path.name


@pytest.mark.parametrize("format_", [torchscript_format, pt2_format])
def test_the_script_of_a_pytorch_format_runs_with_pytorch_alone(
    make_model, try_export, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, format_: Any
) -> None:
    good = format_.export

    def wrong(capture: Capture, paths: Paths) -> None:
        module = make_model().module
        module.head.bias.data.add_(0.1)
        good(Capture(capture.name, module, capture.card), paths)

    monkeypatch.setattr(format_, "export", wrong)
    name = format_.__name__.split(".")[-2]
    with pytest.raises(DifferenceError):
        try_export(make_model(), name, options=ExportOptions(save_failure=tmp_path / "failed"))
    done = run_script(tmp_path / "failed")
    assert done.returncode == 3 and "largest difference 0.1" in done.stdout
    assert "zoo" not in (tmp_path / "failed" / "repro.py").read_text(encoding="utf-8")


def test_error_of_a_runner_has_no_local_path(make_model, make_registry, try_export, tmp_path: Path) -> None:
    def in_two(capture: Capture, paths: Paths) -> None:
        torchscript_format.export(capture, paths)
        paths["weights"].write_bytes(b"tensors")

    registry = make_registry(in_two, raising, files={"graph": ".planted", "weights": ".weights"})
    with pytest.raises(DifferenceError):
        try_export(make_model(), "planted", registry=registry, options=ExportOptions(save_failure=tmp_path / "failed"))
    names = {path.name for path in (tmp_path / "failed").iterdir()}
    assert names == FILES - {"output.npy"} | {"model.planted", "model.weights"}
    text = (tmp_path / "failed" / "README.md").read_text(encoding="utf-8")
    assert "cannot read model.planted" in text and str(tmp_path) not in text


def test_nothing_is_saved_where_nothing_failed(make_model, try_export, tmp_path: Path) -> None:
    try_export(make_model(), "torchscript", options=ExportOptions(save_failure=tmp_path / "failed"))
    assert not (tmp_path / "failed").exists()


@pytest.mark.parametrize("kind", ["file", "folder", "failure"])
@pytest.mark.usefixtures("broken_onnx")
def test_force_replaces_only_a_saved_failure(make_model, try_export, tmp_path: Path, kind: str) -> None:
    place = tmp_path / "failed"
    if kind == "file":
        place.write_text("mine")
    else:
        place.mkdir()
        for name in ("notes", "input.npy", "repro.py") if kind == "failure" else ("notes",):
            (place / name).write_text("mine")
    stages: list[str] = []
    with pytest.raises(OutputError):
        try_export(make_model(), "onnx", options=ExportOptions(save_failure=place), callback=Stages(stages))
    assert not stages
    forced = ExportOptions(save_failure=place, force=True)
    with pytest.raises(DifferenceError if kind == "failure" else OutputError):
        try_export(make_model(), "onnx", options=forced)
    if kind == "failure":
        assert {path.name for path in place.iterdir()} == FILES | {"model.onnx"}
    else:
        assert (place if kind == "file" else place / "notes").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["failed"]


@pytest.mark.parametrize("inside", ["made/out", "made/out/failed", "made"])
def test_the_failure_and_the_export_do_not_share_a_place(make_model, try_export, tmp_path: Path, inside: str) -> None:
    with pytest.raises(OutputError, match="overlaps"):
        try_export(make_model(), "torchscript", options=ExportOptions(save_failure=tmp_path / inside))
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("broken_onnx")
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_that_cannot_be_saved_whole_is_not_saved(
    make_model, try_export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def failing(*given: Any, **more: Any) -> None:
        raise error

    monkeypatch.setattr("zoo_export.failures.saved_failure.shutil.copyfile", failing)
    kind = DifferenceError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(kind) as caught:
        try_export(make_model(), "onnx", options=ExportOptions(save_failure=tmp_path / "failed"))
    assert not list(tmp_path.iterdir())
    if isinstance(caught.value, DifferenceError):
        assert "does not compute" in caught.value.cause and "No space left" in caught.value.cause


@pytest.mark.usefixtures("broken_onnx")
def test_the_command_says_where_it_is(run_zoo, tmp_path: Path) -> None:
    out, place = tmp_path / "out", tmp_path / "failed"
    ran = run_zoo("export", "lenet5.digits", "-f", "onnx", "-o", str(out), "--save-failure", str(place), "--json")
    told = json.loads(ran.out)
    assert ran.code == 3 and str(place) in ran.err and told["saved"] == str(place)
    assert told["verdict"] == "fail" and told["passed"] is False and told["artifact"] == "model.onnx"
    assert any(not probe["passed"] for probe in told["comparisons"]) and not out.exists()
    assert run_script(place).returncode == 3


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_unwritable_path_fails_before_the_work(make_model, try_export, tmp_path: Path) -> None:
    (tmp_path / "shut").mkdir(mode=0o500)
    stages: list[str] = []
    with pytest.raises(OutputError):
        try_export(
            make_model(),
            "torchscript",
            options=ExportOptions(save_failure=tmp_path / "shut" / "x"),
            callback=Stages(stages),
        )
    assert not stages


def test_a_place_under_a_file_is_known_before_the_work(make_model, try_export, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    stages: list[str] = []
    with pytest.raises(OutputError):
        try_export(
            make_model(),
            "torchscript",
            options=ExportOptions(save_failure=tmp_path / "file" / "x"),
            callback=Stages(stages),
        )
    assert not stages


def test_paths_are_taken_out_of_words_and_the_rest_stays() -> None:
    assert without_paths("cannot read /a/b c.txt: /d/e.f.") == "cannot read b c.txt: e.f."
    kept = "first at layer.1 (torchvision/models/resnet.py:95), float32 [3, 4] 1/2"
    assert without_paths(kept) == kept
