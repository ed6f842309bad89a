"""A split yields the same batches in memory and streamed, and errors name the image."""

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from zoo.contract import errors
from zoo.contract.errors import DataError
from zoo.contract.preprocess import Preprocess
from zoo.data.batches import Batches, InMemorySplit, MapDataset
from zoo.data.corrupt import refuse_corrupt
from zoo.data.load_split import load_split
from zoo.data.read_options import ReadOptions
from zoo.data.reader import Reader
from zoo.data.streaming import StreamingSplit

CPU = torch.device("cpu")
RGB = Preprocess(size=(4, 4), mean=(0.5,) * 3, std=(0.5,) * 3)


class Items:
    """A map-style data set of the given items."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        item = self.items[index]
        if isinstance(item, Exception):
            raise item
        return item


class Arrays(Items):
    """One whose images and labels are arrays as well."""

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        super().__init__(list(zip(images, labels, strict=True)))
        self.images, self.labels = images, labels


def pixels(n: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 256, (n, *shape), dtype=np.uint8)


def gathered(batches: Batches, batch_size: int = 3, order: Tensor | None = None) -> tuple[Tensor, Tensor]:
    images, labels = zip(*batches.epoch(batch_size, order), strict=True)
    return torch.cat(images), torch.cat(labels)


def ready(dataset: MapDataset, num_classes: int, limit: float = 4.0, **more: Any) -> Batches:
    """The split, held or streamed, once nothing is found wrong with it."""
    split = load_split(dataset, RGB, num_classes, CPU, ReadOptions(memory_limit=limit, workers=0, **more))
    refuse_corrupt([split], skip=False)
    return split.batches


@given(st.integers(1, 9), st.integers(1, 12), st.randoms(use_true_random=False))
def test_epoch_follows_the_order(n: int, batch_size: int, random: Any) -> None:
    images = torch.arange(n, dtype=torch.uint8).view(n, 1, 1, 1)
    held = InMemorySplit(images, torch.arange(n))
    order = random.sample(range(n), n)
    assert gathered(held, batch_size)[1].tolist() == list(range(n))
    result, labels = gathered(held, batch_size, torch.tensor(order))
    assert labels.tolist() == order
    assert result.flatten().tolist() == order
    sizes = [len(labels) for _, labels in held.epoch(batch_size)]
    assert sizes == [batch_size] * (n // batch_size) + ([n % batch_size] if n % batch_size else [])


@pytest.mark.parametrize("shape", [(4, 4, 3), (9, 6, 3), (4, 4)])
def test_held_and_streamed_splits_give_the_same_batches(shape: tuple[int, ...]) -> None:
    images, labels = pixels(7, *shape), np.arange(7) % 3
    items = Items(list(zip(images, labels, strict=True)))
    kept = [ready(Arrays(images, labels), 3), ready(items, 3)]
    streamed = [ready(Arrays(images, labels), 3, 1e-9), ready(items, 3, 1e-9)]
    assert [type(one) for one in (*kept, *streamed)] == [InMemorySplit, InMemorySplit, StreamingSplit, StreamingSplit]
    for order in (None, torch.tensor([6, 0, 3])):
        expected = gathered(kept[0], order=order)
        assert expected[0].dtype == torch.uint8
        assert expected[0].shape[1:] == (3, 4, 4)
        for other in (kept[1], *streamed):
            assert other.n == 7 and other.labels.tolist() == labels.tolist()
            assert all(map(torch.equal, gathered(other, order=order), expected))


def test_arrays_are_held_as_they_are() -> None:
    images = pixels(5, 4, 4, 3)
    held = ready(Arrays(images, np.zeros(5, dtype=np.uint8)), 1)
    assert gathered(held)[0].numpy().tobytes() == images.transpose(0, 3, 1, 2).tobytes()
    assert gathered(held)[1].dtype == torch.int64


@pytest.mark.parametrize("label", [-1, 3, 100])
@pytest.mark.parametrize("limit", [1e-9, 1])
@pytest.mark.parametrize("kind", ["arrays", "items"])
def test_a_label_out_of_range_is_refused(label: int, limit: float, kind: str) -> None:
    """On a GPU it would take the process down."""
    images, labels = pixels(3, 4, 4, 3), np.array([0, label, 2])
    dataset = Arrays(images, labels) if kind == "arrays" else Items(list(zip(images, labels, strict=True)))
    with pytest.raises(DataError, match=f"label {label}, .* 3 classes"):
        load_split(dataset, RGB, 3, CPU, ReadOptions(memory_limit=limit, workers=0))


@pytest.mark.parametrize(
    ("item", "named"),
    [
        (OSError("disk gone"), ["OSError", "image 1", "disk gone"]),
        (KeyError("x"), ["KeyError", "image 1"]),
        (DataError("cats.png cannot be read.", "Mend it."), ["cats.png"]),
        (("no image", 0), ["Image 1", " str"]),
        ((np.zeros((4, 4, 3)), 0), ["Image 1", "float64 array (4, 4, 3)"]),
        ((np.zeros((4, 4, 3), np.uint8), "cat"), ["image 1", "'cat'"]),
        ((np.zeros((4, 4, 3), np.uint8), 0.6), ["image 1", "'0.6'"]),
        (7, ["TypeError", "image 1"]),
    ],
)
def test_an_image_at_fault_is_named(item: Any, named: list[str]) -> None:
    with pytest.raises(DataError) as caught:
        ready(Items([(pixels(1, 4, 4, 3)[0], 0), item]), 1)
    assert all(name in caught.value.cause for name in named)


def test_an_error_in_a_worker_process_is_told_like_any_other() -> None:
    dataset = Items([(pixels(1, 4, 4, 3)[0], 0), OSError("disk gone")])
    with pytest.raises(DataError, match=r"OSError.*image 1.*disk gone") as caught:
        gathered(StreamingSplit(Reader(dataset, RGB, 1), torch.zeros(2, dtype=torch.int64), CPU), 1)
    assert "--data-root" in caught.value.next_step


def _errors() -> list[type[errors.ZooError]]:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.ZooError)]
    assert len(kinds) > 10
    return kinds


@pytest.mark.parametrize("kind", _errors())
def test_every_error_survives_the_way_between_processes(kind: type[errors.ZooError]) -> None:
    error = pickle.loads(pickle.dumps(kind("The cause.", "The next step.")))  # noqa: S301
    assert (type(error), error.cause, error.next_step, str(error)) == (
        kind,
        "The cause.",
        "The next step.",
        "The cause.",
    )


def test_an_empty_split_is_refused() -> None:
    with pytest.raises(DataError):
        ready(Items([]), 1)
