"""Names that cannot be recorded, shown or opened again are refused before anything is trained."""

import os
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from zoo.contract.errors import DataError, UsageError
from zoo.contract.names import check_class_names, is_file_name, names_alike
from zoo.contract.preprocess import Preprocess
from zoo.files.card import Card, read_card
from zoo.training.prepare import _refuse_unreadable_card

Run = Callable[..., Any]
Refused = Callable[..., str]
TRAIN = ("train", "lenet5", "--epochs", "1", "-b", "256", "--device", "cpu")
NOT_UTF_8 = os.fsdecode(b"caf\xe9")


def on_folder(run_zoo: Run, root: Path, *more: str) -> Any:
    return run_zoo(*TRAIN, "--data", "folder", "--data-root", str(root), "--img-size", "32", "-b", "4", *more)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (NOT_UTF_8, r"caf\xe9"),
        ("two\nlines", r"two\nlines"),
        ("bell\a", r"bell\x07"),
        ("esc\x1b[31m", r"\x1b"),
        (" ", "' '"),
    ],
    ids=["bytes", "line break", "bell", "escape", "space"],
)
@pytest.mark.parametrize("layout", ["", "train"])
def test_class_folder_is_refused_before_training(
    run_zoo: Run, refused: Refused, here: Path, pictures: Path, name: str, shown: str, layout: str
) -> None:
    if layout:
        (pictures / "all").mkdir()
        for part in ("blue", "red"):
            (pictures / part).rename(pictures / "all" / part)
        (pictures / "all").rename(pictures / "train")
    (pictures / layout / "red").rename(pictures / layout / name)
    message = refused(on_folder(run_zoo, pictures), 1)
    assert shown in message and str(pictures / layout) in message
    assert not list(here.iterdir())


def test_images_of_any_name_are_read(run_zoo: Run, here: Path, pictures: Path) -> None:
    for name in (b"\xff.png", b"a\nb.png", b"a..png", b"\xcc\x81.png", b"x" * 251 + b".png"):
        Image.new("RGB", (40, 40)).save(os.fsdecode(os.fsencode(pictures / "red") + b"/" + name))
    ran = on_folder(run_zoo, pictures)
    assert ran.code == 0, ran.err
    assert run_zoo("weights", "verify", "lenet5.folder").code == 0


def test_names_that_almost_agree_are_shown(run_zoo: Run, here: Path, pictures: Path) -> None:
    (pictures / "blue").rename(pictures / "Red")
    ran = on_folder(run_zoo, pictures)
    assert ran.code == 0 and "Red and red" in ran.err
    assert read_card(here / "weights" / "lenet5.folder.safetensors")[0].classes == ("Red", "red")
    forms = ("\u00e9t\u00e9", unicodedata.normalize("NFD", "\u00e9t\u00e9"), "\u00e9t\u00e9 ", "dog")
    assert len(names_alike(forms)) == 2


@pytest.mark.parametrize("name", ["", " ", "a\x00b", "a\u2028b", "\udcff", "\x9b31m"])
def test_class_names_of_a_plugin_are_checked(name: str) -> None:
    with pytest.raises(DataError, match="class 1 of the data set mine"):
        check_class_names(("dog", name), "mine")
    check_class_names(("T-shirt/top", "..", "caf\u00e9", "\u0645\u06cc\u200c\u062e", "a" * 5000), "mine")


@pytest.mark.parametrize(
    "change",
    [{"licence": "\udcff"}, {"params": {"text": "\ud800"}}, {"recipe": {"lr": float("nan")}}, {"command": "a \udc80"}],
    ids=lambda change: next(iter(change)),
)
def test_card_that_could_not_be_read_is_refused_first(card: Card, change: dict[str, Any]) -> None:
    fields = {"architecture": "a", "plugin": "p", "plugin_version": "1", "classes": ("x", "y")}
    preprocess = Preprocess(size=(8, 8), mean=(0.5,), std=(0.5,))
    _refuse_unreadable_card(Card(**fields, preprocess=preprocess))
    with pytest.raises(UsageError, match=next(iter(change))):
        _refuse_unreadable_card(Card(**fields, preprocess=preprocess, **change))


def test_initial_weights_of_another_encoding(run_zoo: Run, refused: Refused, here: Path) -> None:
    assert run_zoo(*TRAIN, "--data", "digits", "--tag", "first").code == 0
    path = f"weights/{NOT_UTF_8}.safetensors"
    Path("weights/lenet5.first.safetensors").rename(path)
    ran = run_zoo(*TRAIN, "--data", "digits", "--initial-checkpoint", path)
    assert "UTF-8" in refused(ran, ran.code) and ran.code in (1, 2)
    assert [each.name for each in (here / "runs").iterdir()] == ["lenet5.first"]
    assert len(list((here / "weights").iterdir())) == 1


@pytest.mark.parametrize(
    "name", ["", "..", ".", "a/b", "a\\b", "a\nb", "\udcff", "end.", "end ", "c:", "x" * 300, "\x1b[2J", "\u202egnp"]
)
def test_run_names_and_tags_are_checked(run_zoo: Run, refused: Refused, here: Path, name: str) -> None:
    assert not is_file_name(name)
    refused(run_zoo(*TRAIN, "--data", "digits", "--name", name), 2)
    refused(run_zoo(*TRAIN, "--data", "digits", "--tag", name), 1 if name == "x" * 300 else 2)
    assert not list(here.iterdir())


@pytest.mark.parametrize("flag", ["-o", "--runs", "--data-root"])
def test_over_long_folders_are_refused(run_zoo: Run, refused: Refused, here: Path, flag: str) -> None:
    refused(run_zoo(*TRAIN, "--data", "folder" if flag == "--data-root" else "digits", flag, "x" * 300), 1)
    refused(run_zoo(*TRAIN, "--data", "folder" if flag == "--data-root" else "digits", flag, "y/" * 5000), 1)
    assert not list(here.iterdir())


@pytest.mark.parametrize("flag", ["-o", "--runs"])
def test_outputs_of_another_encoding_are_refused(run_zoo: Run, refused: Refused, here: Path, flag: str) -> None:
    """Libraries could not open the weights or the checkpoint again."""
    assert r"caf\xe9" in refused(run_zoo(*TRAIN, "--data", "digits", flag, f"out/{NOT_UTF_8}"), 1)
    assert not list(here.iterdir())


def test_data_and_current_folders_of_another_encoding(
    run_zoo: Run, refused: Refused, here: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner, there = tmp_path / f"data{NOT_UTF_8}", here / NOT_UTF_8
    pictures.rename(inner)
    there.mkdir()
    monkeypatch.chdir(there)
    ran = on_folder(run_zoo, inner)
    assert ran.code == 0, ran.err
    assert run_zoo("weights", "verify", "lenet5.folder").code == 0
    assert run_zoo("export", "lenet5.folder", "-f", "torchscript", "-o", "out").code == 0
    assert r"\xe9" in refused(run_zoo("export", "lenet5.folder", "-f", "torchscript", "-o", NOT_UTF_8), 1)
