"""FIFOs, sockets, devices, folders and dangling links instead of files: refused in a sentence, never waited for."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import zoo_runtime
from zoo.contract.errors import ZooError
from zoo.files.card import read_card
from zoo.files.header import read_header
from zoo.files.weights import load_weights
from zoo.registry.preferences import preferred_names

Run = Callable[..., Any]
pytestmark = pytest.mark.usefixtures("in_time")
WEIGHTS = Path(__file__).parents[2] / "weights" / "lenet5.digits.safetensors"


def bind(path: Path) -> None:
    before = Path.cwd()
    os.chdir(path.parent)  # the path of a socket is short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path.name)
    os.chdir(before)


KINDS: dict[str, Callable[[Path], None]] = {
    "FIFO": os.mkfifo,
    "socket": bind,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "folder": lambda path: path.mkdir(),
    "dangling": lambda path: path.symlink_to("nowhere"),
    "loop": lambda path: path.symlink_to(path.name),
    "terminal": lambda path: path.symlink_to("/dev/tty"),
}


@pytest.fixture(params=KINDS)
def put(request: pytest.FixtureRequest) -> Callable[[Path], Path]:
    """Put something that is no regular file at a path."""

    def place(path: Path) -> Path:
        path.unlink(missing_ok=True)
        KINDS[request.param](path)
        return path

    return place


def explained(ran: Any, *codes: int) -> str:
    assert ran.code in codes, ran
    assert "Traceback" not in ran.err
    return str(ran.err)


@pytest.mark.parametrize("name", ["manifest.json", "golden.npz", "model.onnx", "README.md", "zoo_runtime.py"])
def test_in_an_export_folder(run_zoo: Run, here: Path, export_copy: Path, put: Callable[..., Path], name: str) -> None:
    put(export_copy / name)
    folder = str(export_copy)
    assert name in explained(run_zoo("verify", folder), 1, 3)
    if name != "manifest.json":  # without it, the folder is none that a model's name could be
        assert name in explained(run_zoo("predict", folder, "image.png"), 1, 3)
        assert name in explained(run_zoo("evaluate", folder), 1, 3)
    explained(run_zoo("predict", folder, "image.png"), 1, 3)
    if name == "zoo_runtime.py":
        return
    with pytest.raises(zoo_runtime.Error):
        zoo_runtime.verify(export_copy)
    if name in ("manifest.json", "model.onnx"):
        with pytest.raises(zoo_runtime.Error):
            zoo_runtime.Model(export_copy)
    command = [sys.executable, "zoo_runtime.py", "--verify"]
    done = subprocess.run(command, cwd=export_copy, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode in (1, 3) and "Traceback" not in done.stderr


def test_as_weights(run_zoo: Run, here: Path, put: Callable[..., Path]) -> None:
    (here / "weights").mkdir()
    path = put(here / "weights" / "lenet5.evil.safetensors")
    for read in (read_header, read_card, load_weights):
        with pytest.raises(ZooError):
            read(path)
    for arguments in (
        ("weights", "show", str(path)),
        ("predict", str(path), "image.png"),
        ("evaluate", str(path)),
        ("export", str(path)),
        ("summary", str(path)),
        ("show", "lenet5.evil"),
    ):
        explained(run_zoo(*arguments), 1)
    assert "lenet5.evil" in explained(run_zoo("weights", "verify", "lenet5.evil"), 1, 3)
    explained(run_zoo("weights", "list"), 0)
    explained(run_zoo("weights", "verify"), 3)
    explained(run_zoo("weights", "upgrade", str(path)), 1)
    assert [entry.name for entry in here.iterdir()] == ["weights"]


def test_as_an_image(run_zoo: Run, here: Path, sound_export: Path, put: Callable[..., Path]) -> None:
    path = put(here / "image.png")
    assert "image.png" in explained(run_zoo("predict", str(sound_export), str(path)), 1, 2)
    assert "image.png" in explained(run_zoo("predict", str(WEIGHTS), str(path)), 1, 2)
    command = [sys.executable, "zoo_runtime.py", str(path)]
    done = subprocess.run(command, cwd=sound_export, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1 and "image.png" in done.stderr and "Traceback" not in done.stderr


def test_as_an_artifact(run_zoo: Run, here: Path, put: Callable[..., Path]) -> None:
    path = put(here / "model.onnx")
    for arguments in (("verify", str(path), "--against", str(WEIGHTS)), ("predict", str(path), "image.png")):
        assert "model.onnx" in explained(run_zoo(*arguments), 1, 2, 3)


def test_as_the_configuration(
    run_zoo: Run, here: Path, put: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(here / "config"))
    (here / "config" / "zoo").mkdir(parents=True)
    put(here / "config" / "zoo" / "config.toml")
    if sys.platform == "linux":
        assert "config.toml" in explained(run_zoo("list"), 1, 2)
        with pytest.raises(ZooError, match=r"config\.toml"):
            preferred_names()


@pytest.mark.parametrize("variable", ["ZOO_WEIGHTS", "ZOO_DATA", "ZOO_CACHE"])
@pytest.mark.parametrize(
    "value", ["n" * 300, "n/" * 3000, "loop", "fifo", "file", "file/below"], ids=lambda value: value[:8]
)
def test_folders_that_are_none(
    run_zoo: Run, here: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    (here / "loop").symlink_to("loop")
    (here / "file").touch()
    os.mkfifo(here / "fifo")
    monkeypatch.setenv(variable, value)
    for arguments in (("list",), ("weights", "list"), ("evaluate", str(WEIGHTS)), ("doctor",), ("show", "lenet5")):
        explained(run_zoo(*arguments), 0, 1, 2)
    if variable == "ZOO_WEIGHTS":
        assert "ZOO_WEIGHTS" in explained(run_zoo("weights", "list"), 2)
        assert "ZOO_WEIGHTS" in explained(run_zoo("export", "lenet5.digits"), 2)


@pytest.mark.parametrize("name", ["n" * 5000, "n." * 2000, "a/" * 3000, "a\udc80.b", "", ".", "..", "/"])
def test_names_that_no_file_has(run_zoo: Run, here: Path, name: str) -> None:
    for arguments in (
        ("weights", "show", name),
        ("weights", "verify", name),
        ("predict", name, "image.png"),
        *([] if name in ("..", "/") else [("predict", str(WEIGHTS), name)]),  # folders, of which all images are read
        ("evaluate", name),
        ("verify", name),
        ("verify", name, "--against", str(WEIGHTS)),
        ("export", name),
        ("export", str(WEIGHTS), "-o", name),
        ("show", name),
        ("summary", name),
    ):
        explained(run_zoo(*arguments), 1, 2, 3)
    assert not list(here.iterdir())


@pytest.mark.parametrize("name", ["a\0b.c", "a\0/b", "a\ud800.b", "n" * 5000])
def test_names_that_no_file_has_in_python(here: Path, name: str) -> None:
    import zoo

    for call in (zoo.load, zoo.verify, zoo.export, zoo.evaluate, zoo.create_model):
        with pytest.raises(zoo.ZooError):
            call(name)
    with pytest.raises(zoo.ZooError):
        zoo.load(WEIGHTS).predict(name)
