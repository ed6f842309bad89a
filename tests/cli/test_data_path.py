"""`--data PATH`: a folder of images in place of the name of a data set."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import zoo
from zoo.contract.errors import DataError, UnknownName, UsageError
from zoo.files.card import read_card
from zoo.registry.discovery import discover
from zoo.registry.image_folders import find_data, tag_of
from zoo.registry.registry import Registry

Run = Callable[..., Any]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Ten pictures of each of two classes, light and dark."""
    folder = tmp_path / "My Photos"
    generator = np.random.default_rng(0)
    for name, low in (("day", 128), ("night", 0)):
        (folder / name).mkdir(parents=True)
        for number in range(10):
            pixels = generator.integers(low, low + 128, (28, 28, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


def test_the_command_takes_a_folder(run_zoo: Run, photos: Path, here: Path) -> None:
    done = run_zoo("train", "lenet5", "--data", str(photos), "--epochs", "1", "--device", "cpu", "--json")
    result = json.loads(done.out)
    assert Path(result["weights"]).name == "lenet5.my_photos.safetensors" and result["n"] == 4
    card, _ = read_card(here / result["weights"])
    assert card.recipe["data"] == "folder" and card.dataset == "folder" and str(photos) not in card.command
    assert "--tag my_photos" in card.command and card.recipe["batch_size"] == 8
    record = json.loads((here / result["run"] / "run.json").read_text())
    assert record["data_root"] == str(photos)


def test_python_takes_a_path(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    arguments: dict[str, Any] = {"epochs": 1, "device": "cpu"}
    first = zoo.train("lenet5", data=photos, **arguments)
    again = zoo.train(zoo.Recipe(architecture="lenet5", data="My Photos", epochs=1), tag="again", device="cpu")
    by_root = zoo.train("lenet5", data="folder", data_root=photos, tag="by_root", **arguments)
    digests = [run.model.card.digest for run in (first, again, by_root)]
    assert len(set(digests)) == 1 and first.weights.name == "lenet5.my_photos.safetensors"


def test_what_a_word_means(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    registry = Registry(discover())
    shutil.copytree(photos, "digits")
    assert find_data(registry, "digits") == ("digits", None)
    assert find_data(registry, "./digits") == ("folder", Path("digits"))
    assert find_data(registry, "My Photos/") == ("folder", Path("My Photos"))
    assert find_data(registry, "mnist", Path("root")) == ("mnist", Path("root"))
    with pytest.raises(UsageError, match="data_root"):
        find_data(registry, "./digits", Path("root"))
    with pytest.raises(UnknownName) as raised:
        find_data(registry, "digit")
    assert "digits" in raised.value.next_step and "path" in raised.value.next_step
    Path("file").touch()
    for path in ("none/here", "file"):
        with pytest.raises(DataError, match=path):
            find_data(registry, path)


@pytest.mark.parametrize(
    ("name", "tag"), [("photos", "photos"), ("Über Größe 2", "ber_gr_e_2"), ("___", "folder"), ("x" * 99, "x" * 60)]
)
def test_the_tag_of_a_folder(name: str, tag: str) -> None:
    assert tag_of(Path(name)) == tag


def test_the_end_of_a_run(run_zoo: Run, photos: Path, here: Path) -> None:
    (photos / "day" / "broken.png").write_bytes(b"no picture")
    for number in range(10):  # which cannot be told from those of the day
        shutil.copy(photos / "day" / f"{number}.png", photos / "night" / f"light{number}.png")
    arguments = ["--data", str(photos), "--epochs", "2", "--device", "cpu", "--hold-out", "0.3", "--skip-corrupt"]
    done = run_zoo("train", "lenet5", *arguments)
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0].startswith("weights/lenet5.my_photos.safetensors: top-1 ")
    shown = dict(line.split("  ", 1) for line in lines[1:])
    shown = {name: value.strip() for name, value in shown.items()}
    assert shown["run folder"] == "runs/lenet5.my_photos"
    assert (here / shown["report"]).is_file() and shown["report"].endswith("report.html")
    assert " of 2" in shown["stored epoch"]
    assert shown["next"].split()[:3] == ["zoo", "export", "lenet5.my_photos"]
    page = (here / "runs/lenet5.my_photos/report.md").read_text()
    names = [word for word in page.split() if word.startswith(("day/", "night/"))]
    pictures = {word.split("<")[0] for word in names}
    assert pictures and all((photos / name).is_file() and "broken" not in name for name in pictures)
