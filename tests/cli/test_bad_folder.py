"""A folder of images as people have them: what can be read is read, and what cannot is named before training."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

Run = Callable[..., Any]
Explained = Callable[..., str]


def train(run_zoo: Run, root: Path, *more: str) -> Any:
    places = ("--data", "folder", "--data-root", str(root))
    return run_zoo("train", "lenet5", *places, "--epochs", "1", "-b", "4", "--img-size", "32", *more)


def cut(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:-200])
    return path


def split(root: Path) -> Path:
    """The pictures as a train and a test folder."""
    both = root.parent / "both"
    for part in ("train", "test"):
        shutil.copytree(root, both / part)
    return both


STREAMED = ("--memory-limit", "0")


@pytest.mark.parametrize("more", [(), STREAMED], ids=["held", "streamed"])
def test_corrupt_images_are_named_before_training(
    run_zoo: Run, explained: Explained, here: Path, pictures: Path, more: tuple[str, ...]
) -> None:
    for name in ("blue/1.jpg", "red/0.jpg", "red/5.jpg"):
        cut(pictures / name)
    message = explained(train(run_zoo, pictures, *more), 1)
    assert all(name in message for name in ("blue/1.jpg", "red/0.jpg", "red/5.jpg")) and "--skip-corrupt" in message
    counts = [int(number) for number in re.findall(r"(\d+) of \d+ (?:train|test) images", message)]
    assert sum(counts) == 3
    assert not list(here.iterdir())


@pytest.mark.parametrize("more", [(), STREAMED], ids=["held", "streamed"])
def test_images_that_can_be_read_and_not_used_are_among_them(
    run_zoo: Run, explained: Explained, here: Path, pictures: Path, more: tuple[str, ...]
) -> None:
    Image.new("LAB", (40, 40)).save(pictures / "blue" / "lab.tiff")
    Image.new("F", (40, 40), 0.5).save(pictures / "blue" / "float.tiff")
    message = explained(train(run_zoo, pictures, "--channels", "1", *more), 1)
    assert all(name in message for name in ("lab.tiff", "float.tiff"))
    assert train(run_zoo, pictures, "--channels", "1", "--skip-corrupt", *more).code == 0


def test_of_many_the_first_ten_are_named_and_the_rest_counted(
    run_zoo: Run, explained: Explained, pictures: Path
) -> None:
    for number in range(30):
        (pictures / "blue" / f"broken{number:02}.jpg").write_bytes(b"")
    message = explained(train(run_zoo, pictures), 1)
    assert len(set(re.findall(r"broken\d\d\.jpg", message))) == 10 and "20 more" in message


@pytest.mark.parametrize("more", [(), STREAMED], ids=["held", "streamed"])
def test_skip_corrupt_warns_and_trains_on_the_rest(
    run_zoo: Run, here: Path, pictures: Path, more: tuple[str, ...]
) -> None:
    victims = [cut(pictures / "blue" / "1.jpg"), cut(pictures / "red" / "0.jpg")]
    ran = train(run_zoo, pictures, "--skip-corrupt", *more)
    assert ran.code == 0, ran.err
    (warning,) = [line for line in ran.err.splitlines() if "left out" in line]
    assert all(str(victim) in warning for victim in victims)
    shown = run_zoo("weights", "show", "lenet5.folder", "--json").out
    assert '"skip_corrupt": true' in shown and "--skip-corrupt" in shown
    for victim in victims:
        victim.unlink()
    whole = train(run_zoo, pictures, "--tag", "without")
    assert whole.code == 0 and "left out" not in whole.err
    first, second = (_digest(run_zoo, name) for name in ("lenet5.folder", "lenet5.without"))
    assert first == second, "to skip images is to train as if they were not there"


def test_skip_corrupt_fails_if_no_image_is_left(run_zoo: Run, explained: Explained, pictures: Path) -> None:
    root = split(pictures)
    for path in (root / "test").rglob("*.jpg"):
        path.write_bytes(b"gone")
    message = explained(train(run_zoo, root, "--skip-corrupt"), 1)
    assert "12 of 12 test images" in message and "--skip-corrupt" not in message


def test_evaluate_names_and_skips_them_too(run_zoo: Run, explained: Explained, pictures: Path) -> None:
    assert train(run_zoo, pictures).code == 0
    evaluate = ("evaluate", "lenet5.folder", "--data-root", str(pictures), "--split", "train")
    n = int(re.search(r"n=(\d+)", run_zoo(*evaluate).out)[1])  # type: ignore[index]
    for path in pictures.rglob("2.jpg"):
        cut(path)
    ran = run_zoo(*evaluate)
    assert "2.jpg" in explained(ran, 1) and "--skip-corrupt" in ran.err
    skipped = run_zoo(*evaluate, "--skip-corrupt")
    left = int(re.search(r"n=(\d+)", skipped.out)[1])  # type: ignore[index]
    assert skipped.code == 0 and n - 2 <= left < n and "left out" in skipped.err
    assert f'"skipped": {n - left}' in run_zoo(*evaluate, "--skip-corrupt", "--json").out


def test_images_of_all_sizes_and_modes_work(run_zoo: Run, pictures: Path) -> None:
    draw = np.random.default_rng(0)
    noise = Image.fromarray(draw.integers(0, 256, (30, 50, 3), dtype=np.uint8))
    for mode in ("1", "L", "LA", "P", "RGBA", "I;16"):
        made = Image.fromarray(np.full((9, 70), 40_000, np.uint16)) if mode == "I;16" else noise.convert(mode)
        made.save(pictures / "red" / f"{mode.replace(';', '')}.png")
    noise.convert("CMYK").save(pictures / "blue" / "cmyk.jpg")
    noise.resize((1, 300)).save(pictures / "blue" / "thin.png")
    ran = train(run_zoo, pictures)
    assert ran.code == 0 and "3×32×32" in ran.err, ran.err


def test_hidden_and_other_files_are_ignored(run_zoo: Run, pictures: Path) -> None:
    assert train(run_zoo, pictures, "--tag", "before").code == 0
    for name in ("._1.jpg", ".DS_Store", "Thumbs.db", "notes.txt", ".cache/1.jpg", "1.jpg.part"):
        (pictures / "red" / name).parent.mkdir(exist_ok=True)
        (pictures / "red" / name).write_bytes(b"no image")
    assert train(run_zoo, pictures, "--tag", "after").code == 0
    assert _digest(run_zoo, "lenet5.before") == _digest(run_zoo, "lenet5.after")


def test_a_class_folder_that_is_empty(run_zoo: Run, explained: Explained, pictures: Path) -> None:
    (pictures / "green").mkdir()
    message = explained(train(run_zoo, pictures), 1)
    assert str(pictures / "green") in message


def test_one_class_only(run_zoo: Run, explained: Explained, pictures: Path) -> None:
    shutil.rmtree(pictures / "red")
    assert "blue" in explained(train(run_zoo, pictures), 1)


def test_a_class_that_is_in_test_only(run_zoo: Run, explained: Explained, pictures: Path) -> None:
    root = split(pictures)
    (root / "test" / "red").rename(root / "test" / "green")
    message = explained(train(run_zoo, root), 1)
    assert all(name in message for name in ("green", str(root / "test"), str(root / "train")))


def test_a_class_that_is_in_train_only_is_warned_of(run_zoo: Run, pictures: Path) -> None:
    root = split(pictures)
    shutil.rmtree(root / "test" / "red")
    ran = train(run_zoo, root)
    assert ran.code == 0 and re.search("warning: .* red", ran.err)
    assert [line.split() for line in ran.err.splitlines() if line.split()[:1] == ["red"]] == [["red", "6", "0"]]


def test_a_batch_that_is_larger_than_the_data_set(run_zoo: Run, pictures: Path) -> None:
    ran = train(run_zoo, split(pictures), "--batch-size", "5000")
    assert ran.code == 0 and re.search(r"12\b.*5,000", ran.err.replace("\n", " "))


@pytest.mark.parametrize("more", [(), STREAMED], ids=["held", "streamed"])
def test_links_that_go_round_in_a_circle(
    run_zoo: Run, explained: Explained, pictures: Path, more: tuple[str, ...]
) -> None:
    (pictures / "red" / "again").symlink_to(pictures / "red")
    (pictures / "red" / "up").symlink_to("..")
    assert train(run_zoo, pictures, *more).code == 0
    (pictures / "red" / "a.jpg").symlink_to("b.jpg")
    (pictures / "red" / "b.jpg").symlink_to("a.jpg")
    (pictures / "red" / "gone.jpg").symlink_to("nowhere.jpg")
    message = explained(train(run_zoo, pictures, "--force", *more), 1)
    assert all(name in message for name in ("a.jpg", "b.jpg", "gone.jpg")) and "Too many levels" in message


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="no file that opens and cannot be read")
def test_a_file_that_opens_and_cannot_be_read(run_zoo: Run, explained: Explained, pictures: Path) -> None:
    (pictures / "red" / "stuck.jpg").symlink_to("/proc/self/mem")
    assert re.search(r"stuck\.jpg.*Input/output error", explained(train(run_zoo, pictures), 1))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(run_zoo: Run, explained: Explained, pictures: Path) -> None:
    victim = pictures / "red" / "3.jpg"
    victim.chmod(0)
    assert re.search(rf"{victim}.*Permission denied", explained(train(run_zoo, pictures), 1))
    victim.chmod(0o644)
    assert train(run_zoo, pictures).code == 0


def _digest(run_zoo: Run, name: str) -> str:
    (line,) = [line for line in run_zoo("weights", "show", name, "--json").out.splitlines() if '"digest"' in line]
    return str(line)
