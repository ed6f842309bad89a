"""What the tests of splits share: a folder of photographs that are noise, and a data set that counts what it reads."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from zoo.contract.preprocess import Preprocess
from zoo.data.batches import Batches
from zoo.data.load_split import LoadedSplit, load_split
from zoo.data.read_options import ReadOptions

GREY = Preprocess(size=(6, 5), mean=(0.5,), std=(0.5,))


class Files:
    """A data set of files, class by class, as a plugin might write it; a module attribute counts the reads."""

    reads = 0

    def __init__(self, root: Path) -> None:
        self.files = sorted(root.rglob("*.jpg"))
        self.labels = [int(path.parent.name) for path in self.files]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        type(self).reads += 1
        with Image.open(self.files[index]) as image:
            image.load()
        return image, self.labels[index]


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Seven JPEGs of each of two classes, `0` and `1`."""
    draw = np.random.default_rng(0)
    for number in range(14):
        path = tmp_path / "photographs" / str(number % 2) / f"{number:02}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (9 + number, 8, 3), dtype=np.uint8)).save(path, quality=95)
    return tmp_path / "photographs"


@pytest.fixture
def ready(photographs: Path) -> Callable[..., LoadedSplit]:
    """The photographs as they are now, made ready; in this process unless workers are asked for."""

    def make(preprocess: Preprocess = GREY, root: Path = photographs, **more: Any) -> LoadedSplit:
        Files.reads = 0
        options = ReadOptions(**{"workers": 0, **more})
        return load_split(Files(root), preprocess, 2, torch.device("cpu"), options, source="photographs")

    return make


@pytest.fixture
def reads() -> Callable[[], int]:
    """How many images have been read since the last split was made ready."""
    return lambda: Files.reads


@pytest.fixture
def gathered() -> Callable[[Batches], tuple[bytes, list[int]]]:
    """All images and labels of a split."""

    def gather(batches: Batches) -> tuple[bytes, list[int]]:
        parts = list(batches.epoch(4))
        return torch.cat([images for images, _ in parts]).numpy().tobytes(), torch.cat([x for _, x in parts]).tolist()

    return gather
