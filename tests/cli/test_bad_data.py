"""Missing, empty or incomplete data sets: errors name the path, and nothing partial is left."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from zoo.contract.errors import DataError
from zoo.contract.preprocess import Preprocess
from zoo.data.reader import Reader

Run = Callable[..., Any]
SETS = ("fashion_mnist", "cifar10", "folder")


def half_of(name: str, root: Path) -> str:
    """Put a part of a data set into `root`, and give what an error must name."""
    if name == "fashion_mnist":
        folder = root / "FashionMNIST" / "raw"
        folder.mkdir(parents=True)
        (folder / "train-images-idx3-ubyte").write_bytes(b"\0" * 20)
        return "train-labels-idx1-ubyte"
    if name == "cifar10":
        folder = root / "cifar-10-batches-bin"
        folder.mkdir(parents=True)
        (folder / "data_batch_1.bin").write_bytes(b"\0" * 3073)
        return "data_batch_2.bin"
    (root / "cat").mkdir(parents=True)
    (root / "dog").mkdir()
    Image.new("RGB", (8, 8)).save(root / "cat" / "1.png")
    return "dog"


def train(run_zoo: Run, name: str, root: Path) -> Any:
    return run_zoo("train", "resnet20", "--data", name, "--data-root", str(root), "--epochs", "1")


@pytest.mark.parametrize("name", SETS)
def test_a_data_root_that_is_not_there(
    run_zoo: Run, explained: Callable[..., str], here: Path, tmp_path: Path, name: str
) -> None:
    assert str(tmp_path / "nowhere") in explained(train(run_zoo, name, tmp_path / "nowhere"), 1)
    assert not list(here.iterdir()) and not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("kind", ["empty", "half", "file"])
def test_a_data_root_that_does_not_hold_it(
    run_zoo: Run,
    explained: Callable[..., str],
    here: Path,
    tmp_path: Path,
    tree: Callable[..., Any],
    name: str,
    kind: str,
) -> None:
    root = tmp_path / "root"
    if kind == "file":
        root.write_text("not a folder")
        named = str(root)
    elif kind == "empty":
        root.mkdir()
        named = str(root)
    else:
        named = half_of(name, root)
    before = tree(root)
    assert named in explained(train(run_zoo, name, root), 1)
    assert not list(here.iterdir()) and tree(root) == before


def test_the_environment_names_the_root_too(
    run_zoo: Run, explained: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_DATA", str(tmp_path / "from_the_environment"))
    assert "from_the_environment" in explained(run_zoo("train", "lenet5", "--data", "cifar10"), 1)


@pytest.mark.parametrize("content", [b"", b"this is text", b"\xff\xd8\xff\xe0 no jpeg"], ids=["empty", "text", "jpeg"])
@pytest.mark.parametrize("part", ["train", "test"])
def test_an_image_that_is_none(
    run_zoo: Run, explained: Callable[..., str], here: Path, tmp_path: Path, pictures: Path, part: str, content: bytes
) -> None:
    root = tmp_path / "split"
    for split in ("train", "test"):
        root.mkdir(exist_ok=True)
        (root / split).symlink_to(pictures)
    (root / part).unlink()
    (root / part).mkdir()
    for name in ("blue", "red"):
        (root / part / name).mkdir()
        for image in (pictures / name).iterdir():
            (root / part / name / image.name).write_bytes(image.read_bytes())
    (root / part / "red" / "4.jpg").write_bytes(content)
    assert str(Path(part) / "red" / "4.jpg") in explained(train(run_zoo, "folder", root), 1)
    assert not list(here.iterdir())


def test_an_image_that_is_cut_short(
    run_zoo: Run, explained: Callable[..., str], here: Path, pictures: Path, trained: Path
) -> None:
    victim = pictures / "blue" / "3.jpg"
    victim.write_bytes(victim.read_bytes()[:-200])
    assert "3.jpg" in explained(train(run_zoo, "folder", pictures), 1)
    assert "3.jpg" in explained(
        run_zoo("predict", str(trained), str(pictures / "red" / "1.jpg"), str(victim)), 1, out=True
    )
    assert not list(here.iterdir())


@pytest.mark.parametrize("name", ["nowhere.png", ".", "text.png"])
def test_predict_wants_an_image(
    run_zoo: Run, explained: Callable[..., str], here: Path, trained: Path, name: str
) -> None:
    (here / "text.png").write_text("text")
    assert name in explained(run_zoo("predict", str(trained), name), 1)


class Killing:
    """A data set whose reading takes its process down, as running out of memory does."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_that_reads_images_is_killed() -> None:
    reader = Reader(Killing(), Preprocess(size=(8, 8), mean=(0.5,), std=(0.5,)), workers=1)
    with pytest.raises(DataError, match="worker"):
        next(reader.batches(torch.arange(4), 2))


def test_export_checks_without_its_data_set(run_zoo: Run, tmp_path: Path, pictures: Path, here: Path) -> None:
    """The weights are a person's own; the images they were trained on may lie elsewhere, or be damaged by now."""
    options = ("--data", "folder", "--data-root", str(pictures), "--epochs", "1", "-b", "4")
    assert run_zoo("train", "lenet5", *options).code == 0
    for image in pictures.rglob("*.jpg"):
        image.write_bytes(b"gone")
    ran = run_zoo("export", "lenet5.folder", "-f", "torchscript", "--data-root", str(pictures))
    assert ran.code == 0, ran.err
    manifest = (here / "exports" / "lenet5.folder" / "manifest.json").read_text()
    assert "none: " in manifest
