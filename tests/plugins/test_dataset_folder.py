"""What a person relies on when they bring a folder of images: their classes, a split that stays, and clear errors."""

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from zoo.contract.errors import DataError, MissingSplit
from zoo_datasets import folder


def sentences(caught: pytest.ExceptionInfo[DataError]) -> str:
    """Cause and next step, each of which must be a sentence."""
    error = caught.value
    for text in (error.cause, error.next_step):
        assert text.rstrip().endswith((".", "…")) and "\n" not in text
    return f"{error.cause} {error.next_step}"


def write_images(root: Path, **counts: int) -> None:
    for name, count in counts.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            Image.new("RGB", (4, 3), (number, 0, 0)).save(root / name / f"{number}.png")


def names_of(result: folder.ImageFolder, root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in result.files]


def test_folder_with_splits(tmp_path: Path) -> None:
    write_images(tmp_path / "train", dog=3, cat=2)
    write_images(tmp_path / "val", dog=1)
    assert names_of(folder.load(tmp_path, "test", False), tmp_path) == ["val/dog/0.png"]
    write_images(tmp_path / "test", cat=1)
    train, test = (folder.load(tmp_path, split, False) for split in ("train", "test"))
    assert train.classes == test.classes == ("cat", "dog") and train.targets == (0, 0, 1, 1, 1)
    assert names_of(test, tmp_path) == ["test/cat/0.png"], "test comes before val"
    image, target = train[4]
    assert isinstance(image, Image.Image) and image.size == (4, 3) and target == 1
    assert image.getpixel((0, 0)) == (2, 0, 0) and len(train) == 5


@pytest.mark.parametrize("below", ["", "train"])
def test_folder_without_splits(tmp_path: Path, below: str) -> None:
    write_images(tmp_path / below, cat=10, dog=6, one=1)
    train, test = (folder.load(tmp_path, split, False) for split in ("train", "test"))
    assert np.bincount(train.targets).tolist() == [8, 5, 1] and np.bincount(test.targets).tolist() == [2, 1]
    assert not set(train.files) & set(test.files)
    assert names_of(test, tmp_path / below) == ["cat/0.png", "cat/8.png", "dog/5.png"], "the split has changed"


def touch(root: Path, files: list[str]) -> None:
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


@given(
    st.dictionaries(st.sampled_from(["ant", "bee", "Cat", "élan", "dog"]), st.integers(1, 30), min_size=3), st.data()
)
def test_split_is_stratified_and_stable(
    tmp_path_factory: pytest.TempPathFactory, counts: dict[str, int], data: st.DataObject
) -> None:
    counts["zebra"] = 5
    files = [f"{name}/{number}.JPG" for name, count in counts.items() for number in range(count)]
    random.Random(0).shuffle(files)
    last = data.draw(st.sampled_from([name for name in counts if name != "zebra"]))
    root = tmp_path_factory.mktemp("images")
    touch(root, [file for file in files if not file.startswith(f"{last}/")])
    before = {split: set(names_of(folder.load(root, split, False), root)) for split in ("train", "test")}
    touch(root, files)
    after = {split: set(names_of(folder.load(root, split, False), root)) for split in ("train", "test")}
    for split in ("train", "test"):
        assert {name for name in after[split] if not name.startswith(f"{last}/")} == before[split]
    assert after["train"] | after["test"] == set(files) and not after["train"] & after["test"]
    for name, count in counts.items():
        tested = sum(file.startswith(f"{name}/") for file in after["test"])
        assert abs(tested - count / 5) <= 1 and (tested >= 1 or count == 1) and tested < count


def test_folder_forms_of_accents_are_one(tmp_path: Path) -> None:
    splits = []
    for form in ("e\u0301lan", "\u00e9lan"):
        touch(tmp_path / str(len(form)), [f"{form}/{n}.jpg" for n in range(20)] + ["fox/1.jpg", "fox/2.jpg"])
        result = folder.load(tmp_path / str(len(form)), "test", False)
        splits.append((result.classes, [path.name for path in result.files]))
    assert splits[0] == splits[1] and splits[0][0] == ("fox", "\u00e9lan")


def test_same_folder_name_in_two_unicode_forms_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, [f"{name}/{n}.jpg" for name in ("\u00e9", "e\u0301", "z") for n in range(5)])
    with pytest.raises(DataError, match="\u00e9"):
        folder.load(tmp_path, "train", False)


def test_files_that_are_no_images_by_their_names_are_counted(tmp_path: Path) -> None:
    touch(tmp_path, [f"{name}/{n}.jfif" for name in "ab" for n in range(5)])
    assert len(folder.load(tmp_path, "train", False).notes) == 1
    touch(tmp_path, ["a/1.heic", "a/deep/2.HEIC", "b/readme", "b/.hidden"])
    note = folder.load(tmp_path, "test", False).notes[-1]
    assert "2 .heic" in note and "1 without" in note


def test_folder_what_counts_as_an_image(tmp_path: Path) -> None:
    kept = ["a/deep/er/1.jpeg", "a/2.WebP", "a/3.TIFF", "b/4.bmp", "b/5.gif"]
    passed = ["a/notes.txt", "a/.hidden.jpg", "a/.thumbs/1.jpg", ".git/6.jpg", "a/name.jpg/readme", "loose.jpg"]
    touch(tmp_path, kept + passed)
    result = [name for split in ("train", "test") for name in names_of(folder.load(tmp_path, split, False), tmp_path)]
    assert sorted(result) == sorted(kept)


def test_folder_links(tmp_path: Path) -> None:
    write_images(tmp_path / "real", cat=2)
    write_images(tmp_path / "set", dog=2)
    links = {"set/cat": "../real/cat", "set/dog/up": "..", "set/dog/self": ".", "set/dog/x.png": "x.png"}
    for link, target in links.items():
        (tmp_path / link).symlink_to(target)
    result = [name for s in ("train", "test") for name in names_of(folder.load(tmp_path / "set", s, False), tmp_path)]
    images = ["set/cat/0.png", "set/cat/1.png", "set/dog/0.png", "set/dog/1.png"]
    assert sorted(result) == [*images, "set/dog/x.png"], "a link to itself is an image that cannot be read"


@pytest.mark.parametrize(("train", "test"), [("Train", "Test"), ("train", "validation"), ("TRAIN", "Valid")])
def test_folders_of_splits_have_several_names(tmp_path: Path, train: str, test: str) -> None:
    write_images(tmp_path / train, cat=3, dog=2)
    write_images(tmp_path / test, cat=1, dog=1)
    result = {split: folder.load(tmp_path, split, False) for split in ("train", "test")}
    assert {split: len(images) for split, images in result.items()} == {"train": 5, "test": 2}
    assert result["train"].classes == ("cat", "dog") and result["train"].notes == ()


def test_notes_report_ignored_folders_and_the_split(tmp_path: Path) -> None:
    for name in ("train", "val", "validation", "more"):
        write_images(tmp_path / name, cat=5, dog=5)
    assert folder.load(tmp_path, "train", False).notes == (f"ignored in {tmp_path}: more, validation",)
    (split,) = folder.load(tmp_path / "more", "train", False).notes
    assert str(tmp_path / "more") in split


def test_a_class_may_be_named_train(tmp_path: Path) -> None:
    write_images(tmp_path, train=2, plane=2)
    assert folder.load(tmp_path, "test", False).classes == ("plane", "train")


WRONG: dict[str, tuple[list[str], str]] = {
    "nothing": ([], "no class folders"),
    "loose images": (["1.jpg"], "no class folders"),
    "empty class": (["cat/1.jpg", "cat/2.jpg", "dog/readme.txt"], "dog"),
    "train without classes": (["train/1.jpg", "test/1.jpg"], "train has no class folders"),
    "test without classes": (["train/cat/1.jpg", "train/dog/1.jpg", "test/1.jpg"], "test has no class folders"),
    "class only in test": (["train/cat/1.jpg", "train/dog/1.jpg", "test/fox/1.jpg"], "the class fox"),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("split", ["train", "test"])
def test_folder_laid_out_wrong(tmp_path: Path, wrong: str, split: str) -> None:
    files, message = WRONG[wrong]
    touch(tmp_path, files)
    with pytest.raises(DataError, match=message) as caught:
        folder.load(tmp_path, split, False)
    assert str(tmp_path) in sentences(caught)


def test_folder_root(tmp_path: Path) -> None:
    touch(tmp_path, ["file"])
    for name, message in (("gone", "does not exist"), ("file", "is not a folder")):
        with pytest.raises(DataError, match=message) as caught:
            folder.load(tmp_path / name, "train", True)
        assert "--data" in sentences(caught)


def test_a_folder_may_have_one_split_only(tmp_path: Path) -> None:
    touch(tmp_path / "a", ["test/cat/1.jpg", "test/dog/1.jpg", "val/dog/1.jpg"])
    result = folder.load(tmp_path / "a", "test", False)
    assert result.classes == ("cat", "dog") and len(result) == 2 and "val" in result.notes[1]
    touch(tmp_path / "b", ["cat/1.jpg", "dog/1.jpg"])
    assert len(folder.load(tmp_path / "b", "train", False)) == 2
    for name, split, word in (("a", "train", "no train folder"), ("b", "test", "two images")):
        with pytest.raises(MissingSplit, match=word) as caught:
            folder.load(tmp_path / name, split, False)
        assert str(tmp_path / name) in sentences(caught)


def test_folder_bad_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_images(tmp_path / "train", cat=4, dog=1)
    whole = (tmp_path / "train" / "cat" / "0.png").read_bytes()
    for number, content in enumerate((whole[:-30], b"", b"no image")):
        (tmp_path / "train" / "cat" / f"{number}.png").write_bytes(content)
    write_images(tmp_path / "test", cat=1)
    result = folder.load(tmp_path, "train", False)
    for number in range(3):
        with pytest.raises(DataError, match=rf"{number}\.png") as caught:
            result[number]
        sentences(caught)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5)  # 12 pixels are then a decompression bomb
    with pytest.raises(DataError, match=r"3\.png"):
        result[3]
