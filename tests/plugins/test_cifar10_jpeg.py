"""The JPEG copy of CIFAR-10 goes by a name of its own, and nothing else passes for it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from zoo.contract.errors import DataError
from zoo_datasets import cifar10_jpeg, plugin
from zoo_datasets.class_names import CIFAR10

COUNTS = {"train": 3, "test": 2}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The published layout, with fewer images."""
    monkeypatch.setattr(cifar10_jpeg, "COUNTS", COUNTS)
    for split, count in COUNTS.items():
        for index, name in enumerate(CIFAR10):
            place = tmp_path / "cifar10-jpeg" / split / name
            place.mkdir(parents=True)
            for number in range(count):
                pixels = np.full((32, 32, 3), 20 * index + number, np.uint8)
                Image.fromarray(pixels).save(place / f"{number:04}.jpg", quality=95)
    return tmp_path


@pytest.mark.parametrize("inside", ["", "cifar10-jpeg"])
@pytest.mark.parametrize("split", COUNTS)
def test_it_is_read_from_its_folder_or_beside_it(root: Path, inside: str, split: str) -> None:
    result = cifar10_jpeg.load(root / inside, split, False)
    assert result.classes == CIFAR10
    assert list(result.targets) == [index for index in range(10) for _ in range(COUNTS[split])]
    image, label = result[len(result) - 1]
    assert (image.mode, image.size, label) == ("RGB", (32, 32), 9)


def test_another_folder_does_not_pass_for_it(root: Path) -> None:
    with pytest.raises(DataError, match="airplane"):
        cifar10_jpeg.load(root / "cifar10-jpeg" / "train", "train", False)
    for split in COUNTS:
        (root / "cifar10-jpeg" / split / "truck").rename(root / "cifar10-jpeg" / split / "lorry")
    with pytest.raises(DataError, match="lorry"):
        cifar10_jpeg.load(root, "train", False)


def test_incomplete_copy_names_the_class(root: Path) -> None:
    (root / "cifar10-jpeg" / "test" / "frog" / "0001.jpg").unlink()
    with pytest.raises(DataError, match="frog"):
        cifar10_jpeg.load(root, "test", False)


def test_its_card_does_not_call_it_cifar10() -> None:
    spec = next(spec for spec in plugin.zoo_specs() if spec.name == "cifar10_jpeg")
    assert "JPEG" in spec.summary
    assert spec.splits == {split: 10 * count for split, count in {"train": 5000, "test": 1000}.items()}
