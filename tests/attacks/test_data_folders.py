"""FIFOs, sockets, devices and dangling links instead of files: a sentence, and never a wait."""

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zoo.contract.errors import TrainingError
from zoo.data.cache import Cache
from zoo.training.checkpoint.file import read_checkpoint
from zoo.training.checkpoint.saver import Saver
from zoo.training.run.lock import is_held
from zoo.training.run.record import read_record

Run = Callable[..., Any]
Refused = Callable[..., str]
TRAIN = ("train", "lenet5", "--epochs", "1", "-b", "256", "--device", "cpu")
KINDS = ("fifo", "socket", "device", "dangling", "folder", "to a fifo")

pytestmark = pytest.mark.usefixtures("in_time")


def put(path: Path, kind: str) -> None:
    """Put something that is no regular file at `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as bound:
            before = Path.cwd()
            os.chdir(path.parent)  # the path of a socket has 107 bytes at most
            bound.bind(path.name)
            os.chdir(before)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "dangling":
        path.symlink_to("nowhere")
    elif kind == "folder":
        path.mkdir()
    else:
        os.mkfifo(path.with_name("pipe"))
        path.symlink_to("pipe")


@pytest.fixture
def stopped(run_zoo: Run, here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that Ctrl-C ended after its first step."""
    with monkeypatch.context() as patched:
        patched.setattr(Saver, "save_if_due", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
        assert run_zoo(*TRAIN, "--data", "digits").code == 130
    return here / "runs" / "lenet5.digits"


@pytest.mark.parametrize("kind", KINDS)
def test_in_place_of_an_image(run_zoo: Run, here: Path, pictures: Path, kind: str) -> None:
    """A link that leads nowhere is a corrupt image; what is no file is left out, and both are shown."""
    put(pictures / "red" / "strange.png", kind)
    ran = run_zoo(*TRAIN, "--data", "folder", "--data-root", str(pictures), "--img-size", "32", "-b", "4")
    assert (ran.code, "Traceback" in ran.err) == (int(kind == "dangling"), False), ran.err
    assert kind in ("folder",) or "strange.png" in ran.err or "1 .png" in ran.err


@pytest.mark.parametrize("kind", KINDS[:3])
def test_in_place_of_a_class_folder_or_data_root(
    run_zoo: Run, refused: Refused, here: Path, pictures: Path, kind: str
) -> None:
    put(pictures / "strange", kind)
    where = ("--data", "folder", "--img-size", "32", "-b", "4", "--data-root")
    assert run_zoo(*TRAIN, *where, str(pictures)).code == 0
    assert "strange" in refused(run_zoo(*TRAIN, *where, str(pictures / "strange"), "--tag", "other"), 1)


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "train-labels-idx1-ubyte.gz"])
@pytest.mark.parametrize("kind", ["fifo", "socket", "device", "folder"])
def test_in_place_of_idx_files(
    run_zoo: Run, refused: Refused, here: Path, tmp_path: Path, kind: str, name: str
) -> None:
    root = tmp_path / "idx"
    put(root / name, kind)
    for other in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"):
        if not name.startswith(other):
            (root / other).write_bytes(b"\0\0\x08" + bytes([3 if "images" in other else 1]) + b"\0" * 12)
    message = refused(run_zoo(*TRAIN, "--data", "mnist", "--data-root", str(root)), 1)
    assert str(root) in message and not list(here.iterdir())


@pytest.mark.parametrize("kind", ["fifo", "device"])
def test_in_place_of_cifar_batches(run_zoo: Run, refused: Refused, here: Path, tmp_path: Path, kind: str) -> None:
    for number in range(1, 6):
        put(tmp_path / "cifar-10-batches-bin" / f"data_batch_{number}.bin", kind)
    refused(run_zoo(*TRAIN, "--data", "cifar10", "--data-root", str(tmp_path)), 1)


@pytest.mark.parametrize("kind", KINDS)
def test_in_place_of_a_recipe(run_zoo: Run, refused: Refused, here: Path, tmp_path: Path, kind: str) -> None:
    put(tmp_path / "mine.toml", kind)
    assert "mine.toml" in refused(run_zoo("train", "--recipe", str(tmp_path / "mine.toml")), 2)
    assert not list(here.iterdir())


@pytest.mark.parametrize("kind", ["fifo", "socket", "device", "to a fifo"])
def test_in_place_of_weights(
    run_zoo: Run, refused: Refused, here: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "lenet5.strange.safetensors", kind)
    words = (*TRAIN, "--data", "digits", "--initial-checkpoint")
    refused(run_zoo(*words, str(tmp_path / "lenet5.strange.safetensors")), 1)
    refused(run_zoo("train", "--like", str(tmp_path / "lenet5.strange.safetensors")), 1)
    assert not list(here.iterdir())


@pytest.mark.parametrize("kind", KINDS)
def test_in_place_of_a_run_record(run_zoo: Run, refused: Refused, here: Path, kind: str) -> None:
    put(here / "runs" / "mine" / "run.json", kind)
    refused(run_zoo("train", "--resume", "runs/mine"), 1)
    with pytest.raises(TrainingError, match="runs/mine"):
        read_record(Path("runs/mine"))
    assert not is_held(here / "runs" / "mine" / "run.json")
    ran = run_zoo(*TRAIN, "--data", "digits")  # which looks at the records of all runs
    assert ran.code == 0, ran.err


@pytest.mark.parametrize("kind", KINDS)
def test_in_place_of_a_checkpoint(run_zoo: Run, refused: Refused, stopped: Path, kind: str) -> None:
    (stopped / "checkpoint.safetensors").unlink()
    put(stopped / "checkpoint.safetensors", kind)
    if kind != "dangling":
        with pytest.raises(TrainingError, match=r"checkpoint\.safetensors"):
            read_checkpoint(stopped / "checkpoint.safetensors")
        refused(run_zoo("train", "--resume", str(stopped)), 1)


@pytest.mark.parametrize("kind", ["fifo", "device", "socket"])
def test_in_place_of_a_result(run_zoo: Run, refused: Refused, stopped: Path, kind: str) -> None:
    put(stopped / "result.json", kind)
    assert str(stopped) in refused(run_zoo("train", "--resume", str(stopped)), 1)


@pytest.mark.parametrize("kind", KINDS)
def test_in_place_of_decoded_images(run_zoo: Run, here: Path, pictures: Path, decoded: Path, kind: str) -> None:
    words = (*TRAIN, "--data", "folder", "--data-root", str(pictures), "--img-size", "32", "-b", "4")
    assert run_zoo(*words).code == 0
    first = Path("weights/lenet5.folder.safetensors").read_bytes()
    for number, file in enumerate(sorted(decoded.iterdir())):
        file.unlink()
        if not (number and kind == "to a fifo"):
            put(file, kind)
    ran = run_zoo(*words, "--force")
    assert ran.code == 0 and "Traceback" not in ran.err, ran.err
    assert Path("weights/lenet5.folder.safetensors").read_bytes() == first


def test_a_cache_of_a_fifo_is_no_cache(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a")
    assert Cache(tmp_path / "a", "x").read(lambda index: True) is None
