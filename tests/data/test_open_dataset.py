"""Invalid data sets of plugins are refused; splits in memory and streamed ones are alike."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from zoo.contract.errors import DataError
from zoo.contract.preprocess import Preprocess
from zoo.contract.specs import Architecture, Dataset
from zoo.data.datasets import _image_stats, open_dataset
from zoo.data.images import fit_image
from zoo.data.load_split import load_split
from zoo.data.read_options import ReadOptions
from zoo.data.streaming import StreamingSplit
from zoo.registry.discovery import Plugin
from zoo.registry.registry import Registry

MODULE = """
import ast
import numpy as np

class Items:
    def __init__(self, labels):
        self.marks = labels
    def __len__(self):
        return len(self.marks)
    def __getitem__(self, index):
        return np.full((8, 8), 20 * index, np.uint8), self.marks[index]

def load(root, split, download):
    return Items(ast.literal_eval(root.name))
"""
CPU = torch.device("cpu")


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """The data set `items` of three classes and `one` of one class; a data root named `[0, 1]` has these labels."""
    (tmp_path / "odd_kit.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "odd_kit", raising=False)
    common = {"summary": "s", "load": "odd_kit:load"}
    specs = (
        Dataset(name="items", classes=("a", "b", "c"), **common),
        Dataset(name="one", classes=("a",), **common),
    )
    return Registry([Plugin("kit", "kit", "1", specs)])


ARCHITECTURE = Architecture(name="net", summary="s", build="odd_kit:net", input_shape=(1, 8, 8))


@pytest.mark.parametrize(
    ("name", "labels", "match"),
    [
        ("items", "[0, 3, 1]", "label 3, .* 3 classes"),
        ("items", "[0, -1]", "label -1, .* 3 classes"),
        ("one", "[0, 0]", "data set one .* one class, a"),
        ("items", "[]", "no images"),
        ("items", "[0, 'cat', 'dog']", "2 of 3 train images and 2 of 3 test images .*image 1.*image 2"),
    ],
)
@pytest.mark.parametrize("limit", [0.0, 1.0])
def test_what_is_refused(registry: Registry, name: str, labels: str, match: str, limit: float) -> None:
    entry = registry.find(Dataset, name)
    with pytest.raises(DataError, match=match):
        open_dataset(entry, ARCHITECTURE, Path(labels), CPU, options=ReadOptions(memory_limit=limit, workers=0))


def test_mean_and_deviation_are_of_all_images_held_or_not(registry: Registry) -> None:
    """With 600 images, more are looked at than a first sample."""
    entry, root = registry.find(Dataset, "items"), Path(str([0, 1, 2] * 4))
    held, streamed = (
        open_dataset(entry, ARCHITECTURE, root, CPU, options=ReadOptions(memory_limit=limit, workers=0))
        for limit in (1.0, 0)
    )
    assert isinstance(streamed.train, StreamingSplit) and held.preprocess == streamed.preprocess
    values = torch.arange(12).double() * 20 / 255
    assert held.preprocess.mean == (round(float(values.mean()), 4),)
    assert held.checksums == streamed.checksums
    assert held.preprocess.std == (round(float(values.std(correction=0)), 4),)


class Arrays:
    """Six images that lie in memory."""

    def __init__(self, images: "np.ndarray[Any, Any]") -> None:
        self.images, self.labels = images, np.arange(6)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self.images[index], int(self.labels[index])


def test_arrays_have_one_checksum_whatever_becomes_of_them() -> None:
    """A run may go on with another memory limit."""
    images = np.arange(96, dtype=np.uint8).reshape(6, 4, 4)

    def actual(side: int, limit: float, of: "np.ndarray[Any, Any]" = images) -> int:
        preprocess = Preprocess(size=(side, side), mean=(0.5,), std=(0.5,))
        return load_split(Arrays(of), preprocess, 6, CPU, ReadOptions(memory_limit=limit, workers=0)).checksum()

    assert len({actual(4, 1.0), actual(4, 0.0), actual(2, 1.0), actual(2, 0.0)}) == 1
    assert len({actual(4, 1.0, images[order]) for order in ([0, 1, 2, 3, 4, 5], [1, 0, 2, 3, 4, 5])}) == 2


def test_image_stats_sample_the_whole_split(registry: Registry) -> None:
    """Folders are gone through class by class; the first class may be of another kind than the rest."""

    class Classes(Arrays):
        def __init__(self, *of: Image.Image) -> None:
            self.of = of

        def __len__(self) -> int:
            return 2000

        def __getitem__(self, index: int) -> tuple[Any, int]:
            return self.of[index * len(self.of) // 2000], 0

    spec = registry.find(Dataset, "items").spec
    deep = Image.fromarray(np.zeros((8, 8), np.uint16))
    assert deep.mode == "I;16" and _image_stats(spec, Classes(deep, Image.new("L", (8, 8)))).channels == 1
    result = _image_stats(spec, Classes(Image.new("L", (8, 8)), Image.new("L", (8, 8)), Image.new("RGB", (16, 16))))
    assert (result.channels, result.side) == (3, None)


class Inverted:
    """A data set whose arrays are not what it gives."""

    def __init__(self, pixels: int, labels: int) -> None:
        self.images = np.arange(80, dtype=np.uint8).reshape(20, 2, 2)
        self.labels = np.arange(20) % 2
        self._pixels, self._labels = pixels, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self.images[index] ^ self._pixels, int(self.labels[index]) ^ self._labels


@pytest.mark.parametrize(("pixels", "labels"), [(0, 0), (255, 0), (0, 1)])
@pytest.mark.parametrize("limit", [0.0, 1.0])
def test_items_take_precedence_over_arrays(pixels: int, labels: int, limit: float) -> None:
    data, preprocess = Inverted(pixels, labels), Preprocess(size=(2, 2), mean=(0.5,), std=(0.5,))
    split = load_split(data, preprocess, 2, CPU, ReadOptions(memory_limit=limit, workers=0))
    images, known = next(iter(split.batches.epoch(20, torch.arange(20))))
    assert torch.equal(images[:, 0], torch.from_numpy(data.images ^ np.uint8(pixels)))
    assert known.tolist() == (data.labels ^ labels).tolist()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.filterwarnings("error")
def test_palette_with_transparency_gives_no_warning(channels: int) -> None:
    draw = np.random.default_rng(0)
    image = Image.fromarray(draw.integers(0, 256, (8, 8, 4), dtype=np.uint8), "RGBA").quantize(16)
    image.info["transparency"] = bytes(range(16))
    preprocess = Preprocess(size=(8, 8), mean=(0.5,) * channels, std=(0.5,) * channels)
    plain = image.convert("RGBA").convert("RGB" if channels == 3 else "L")
    assert (fit_image(image, preprocess) == np.atleast_3d(plain).transpose(2, 0, 1)).all()
