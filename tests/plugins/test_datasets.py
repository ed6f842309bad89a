"""What a person relies on when they name a data set: the right images, and a clear word when they are not there."""

import dataclasses
import gzip
import hashlib
import os
import re
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zoo import Dataset
from zoo.contract.errors import DataError
from zoo_datasets import cifar, cifar10_jpeg, digits, folder, idx, plugin, torchvision_sets  # noqa: F401
from zoo_datasets.arrays import ImageArrays

SPECS: dict[str, Dataset] = {spec.name: spec for spec in plugin.zoo_specs()}
FASHION = Path(__file__).parents[2].parent / "shared" / "data" / "fashion-mnist"
FOUR = [f"{stem}.gz" for split in ("train", "test") for stem in idx.STEMS[split]]


def sentences(caught: pytest.ExceptionInfo[DataError]) -> str:
    """Cause and next step, each of which must be a sentence."""
    error = caught.value
    for text in (error.cause, error.next_step):
        assert text[0].isupper()
        assert text.rstrip().endswith((".", "…")) and "\n" not in text
    return f"{error.cause} {error.next_step}"


# the declarations


def test_declared() -> None:
    assert list(SPECS) == ["digits", "mnist", "fashion_mnist", "cifar10", "cifar10_jpeg", "cifar100", "svhn", "folder"]
    for spec in SPECS.values():
        if spec.name == "folder":
            continue
        assert spec.licence and spec.source.startswith("http") and set(spec.splits) == {"train", "test"}
        assert spec.input_shape and len(spec.mean) == len(spec.std) == spec.input_shape[0]
        assert len(set(spec.classes)) == len(spec.classes) == (100 if spec.name == "cifar100" else 10)
    assert list(SPECS["cifar100"].classes) == sorted(SPECS["cifar100"].classes)
    assert not any(SPECS[name].hflip for name in ("digits", "mnist", "svhn")), "a mirrored digit is another sign"


def test_plugin_imports_neither_torch_nor_numpy() -> None:
    code = (
        "import sys, zoo_datasets.plugin as p; list(p.zoo_specs()); "
        "sys.exit(bool({'torch', 'numpy', 'PIL'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_reading_does_not_import_torchvision() -> None:
    code = (
        "import sys, pathlib, zoo_datasets.torchvision_sets, zoo_datasets.digits as d; "
        "d.load(pathlib.Path(), 'test', True); sys.exit('torchvision' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", SPECS)
def test_unknown_split(name: str, tmp_path: Path) -> None:
    module, _, function = SPECS[name].load.partition(":")
    with pytest.raises(DataError, match="'val'") as caught:
        getattr(sys.modules[module], function)(tmp_path, "val", False)
    assert "train or test" in sentences(caught)


# digits


def test_digits_are_the_published_ones() -> None:
    sha256 = hashlib.sha256(digits.FILE.read_bytes()).hexdigest()
    assert sha256 == "1dc781c8fe699ce12f056a510e6dd518c795428f089effc1a3e2eec0f3ece269"


def test_digits(tmp_path: Path) -> None:
    train, test = (digits.load(tmp_path, split, False) for split in ("train", "test"))
    assert {"train": len(train), "test": len(test)} == SPECS["digits"].splits
    assert np.bincount(test.labels).tolist() == [36, 36, 35, 37, 36, 36, 36, 36, 35, 36]
    assert train.images.dtype == np.uint8 and train.labels.dtype == np.int64 and train.images.flags.writeable
    assert train.images.shape[1:] == (8, 8) and train.images.max() == 255 and train.images.min() == 0
    assert set(np.unique(train.images)) == {round(level * 255 / 16) for level in range(17)}
    assert SPECS["digits"].mean == pytest.approx([train.images.mean() / 255], abs=5e-5)
    assert SPECS["digits"].std == pytest.approx([train.images.std() / 255], abs=5e-5)
    actual = {image.tobytes() for image in train.images}
    assert not any(image.tobytes() in actual for image in test.images), "a test image is in the training split"
    image, label = test[5]
    assert image.shape == (8, 8) and type(label) is int and not list(tmp_path.iterdir())


def test_digits_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digits, "FILE", tmp_path / "digits.npz")
    digits.FILE.write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(DataError, match=r"digits\.npz") as caught:
        digits.load(tmp_path, "test", False)
    assert "zoo-kit" in sentences(caught)


# MNIST and Fashion-MNIST


def idx_bytes(array: np.ndarray[Any, Any]) -> bytes:
    return struct.pack(f">{1 + array.ndim}I", 2048 + array.ndim, *array.shape) + array.tobytes()


def write_idx(where: Path, packed: bool = True, images: int = 7, labels: int = 7) -> np.ndarray[Any, Any]:
    """Write the four files; both splits get the same images, which are returned."""
    where.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (images, 28, 28), dtype=np.uint8)
    for name in FOUR:
        data = idx_bytes(pixels if "images" in name else np.arange(labels, dtype=np.uint8) % 10)
        (where / (name if packed else name[:-3])).write_bytes(gzip.compress(data) if packed else data)
    return pixels


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("below", ["", "FashionMNIST/raw"])
def test_idx_where_it_lies(tmp_path: Path, below: str, packed: bool) -> None:
    pixels = write_idx(tmp_path / below, packed)
    before = sorted(tmp_path.rglob("*"))
    for split in ("train", "test"):
        result = torchvision_sets.fashion_mnist(tmp_path, split, False)
        assert np.array_equal(result.images, pixels) and result.labels.tolist() == list(range(7))
        assert result.images.flags.writeable and result.labels.dtype == np.int64 and result.classes[9] == "Ankle boot"
    assert sorted(tmp_path.rglob("*")) == before, "reading wrote something"


def test_idx_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        torchvision_sets.mnist(tmp_path, "test", False)
    text = sentences(caught)
    assert str(tmp_path / "MNIST" / "raw") in text and "--download" in text
    assert "t10k-images-idx3-ubyte.gz and t10k-labels-idx1-ubyte.gz" in text


def test_idx_half_there(tmp_path: Path) -> None:
    write_idx(tmp_path / "MNIST" / "raw")
    (tmp_path / "MNIST" / "raw" / "train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match=r"train-labels-idx1-ubyte\.gz") as caught:
        torchvision_sets.mnist(tmp_path, "train", False)
    assert "--download" in sentences(caught)
    assert len(torchvision_sets.mnist(tmp_path, "test", False)) == 7


LABELS = idx_bytes(np.arange(7, dtype=np.uint8))
DAMAGE = {
    "empty": (b"", ""),
    "empty inside": (gzip.compress(b""), ""),
    "not gzip": (b"<html>not found</html>", ""),
    "gzip cut short": (gzip.compress(LABELS)[:-12], ""),
    "header cut short": (gzip.compress(LABELS[:6]), ""),
    "wrong magic": (gzip.compress(idx_bytes(np.zeros((7, 28, 28), np.uint8))), "2051.*2049"),
    "too few bytes": (gzip.compress(LABELS[:-1]), "fewer bytes"),
    "too many bytes": (gzip.compress(LABELS + b"\0"), "more bytes"),
    "claims 4 billion": (gzip.compress(struct.pack(">2I", 2049, 2**32 - 1)), "4294967295"),
    "count differs": (gzip.compress(idx_bytes(np.zeros(6, np.uint8))), "7 images.* 6 labels"),
    "label 10": (gzip.compress(idx_bytes(np.full(7, 10, np.uint8))), "label 10"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_idx_damaged(tmp_path: Path, damage: str) -> None:
    write_idx(tmp_path)
    content, message = DAMAGE[damage]
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(content)
    with pytest.raises(DataError) as caught:
        torchvision_sets.mnist(tmp_path, "train", False)
    assert "train-labels-idx1-ubyte.gz" in sentences(caught) and re.search(message, sentences(caught))


def test_idx_of_another_size(tmp_path: Path) -> None:
    write_idx(tmp_path)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx_bytes(np.zeros((7, 8, 8), np.uint8))))
    with pytest.raises(DataError, match=r"\(7, 8, 8\)") as caught:
        torchvision_sets.mnist(tmp_path, "train", False)
    sentences(caught)


def test_fashion_mnist_is_not_taken_for_mnist(tmp_path: Path) -> None:
    write_idx(tmp_path, images=10, labels=10)
    fashion = np.array(torchvision_sets.FIRST_LABELS["fashion_mnist"]["train"], dtype=np.uint8)
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx_bytes(fashion)))
    assert len(torchvision_sets.fashion_mnist(tmp_path, "train", False)) == 10
    with pytest.raises(DataError, match="fashion_mnist") as caught:
        torchvision_sets.mnist(tmp_path, "train", False)
    sentences(caught)


@pytest.mark.skipif(not FASHION.is_dir(), reason="Fashion-MNIST is not on this machine")
def test_real_fashion_mnist() -> None:
    train, test = (torchvision_sets.fashion_mnist(FASHION, split, False) for split in ("train", "test"))
    assert {"train": len(train), "test": len(test)} == SPECS["fashion_mnist"].splits
    assert SPECS["fashion_mnist"].mean == pytest.approx([train.images.mean() / 255], abs=5e-5)
    assert SPECS["fashion_mnist"].std == pytest.approx([train.images.std() / 255], abs=5e-5)
    with pytest.raises(DataError, match="fashion_mnist"):
        torchvision_sets.mnist(FASHION, "train", False)


def test_download_only_when_asked_and_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision import datasets

    def fetch(root: str, download: bool) -> None:
        assert download
        write_idx(Path(root) / "MNIST" / "raw")

    monkeypatch.setattr(datasets, "MNIST", fetch)
    assert len(torchvision_sets.mnist(tmp_path, "train", True)) == 7
    monkeypatch.setattr(datasets, "MNIST", None)
    assert len(torchvision_sets.mnist(tmp_path, "train", True)) == 7


def test_download_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import utils

    def fail(*_: object, **__: object) -> None:
        raise OSError("no route\nto host")

    monkeypatch.setattr(utils, "download_and_extract_archive", fail)
    with pytest.raises(DataError, match="no route to host") as caught:
        torchvision_sets.cifar100(tmp_path, "train", True)
    assert "network" in sentences(caught)


# CIFAR

PIXELS = np.random.default_rng(1).integers(0, 256, (4, 3, 32, 32), dtype=np.uint8)


def python_batch(key: str = "labels") -> bytes:
    """A pickle as Python 2 wrote them: protocol 2, the pixels as one byte string."""
    text = b"}(U%c%s](K\x03K\x01K\x00K\x09eU\x04data" % (len(key), key.encode())
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01K\x04M\x00\x0c\x86"
    dtype = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
    return b"\x80\x02" + text + array + dtype + b"T" + struct.pack("<i", PIXELS.size) + PIXELS.tobytes() + b"tbu."


def tiny(layout: cifar.Cifar, names: tuple[str, ...] = ("one", "two"), content: bytes = b"") -> cifar.Cifar:
    batches = tuple(cifar.Batch(name, hashlib.md5(content).hexdigest(), 4) for name in names)
    return dataclasses.replace(layout, batches={"train": batches, "test": batches[:1]})


def write_binary(root: Path, layout: cifar.Cifar) -> None:
    (root / layout.binary).mkdir()
    coarse = b"\x07" * (layout.label_bytes - 1)
    records = [coarse + bytes([label]) + image.tobytes() for label, image in zip((3, 1, 0, 9), PIXELS, strict=True)]
    for batch in layout.batches["train"]:
        (root / layout.binary / f"{batch.name}.bin").write_bytes(b"".join(records))


def check(result: ImageArrays, files: int) -> None:
    assert np.array_equal(result.images, np.concatenate([PIXELS] * files).transpose(0, 2, 3, 1))
    assert result.labels.tolist() == [3, 1, 0, 9] * files and result.images.flags.c_contiguous
    assert result.images.flags.writeable


@pytest.mark.parametrize("layout", [cifar.CIFAR10, cifar.CIFAR100])
def test_cifar_binary(tmp_path: Path, layout: cifar.Cifar) -> None:
    write_binary(tmp_path, tiny(layout))
    check(cifar.read(tiny(layout), tmp_path, "train"), 2)
    check(cifar.read(tiny(layout), tmp_path, "test"), 1)


@pytest.mark.parametrize("layout", [cifar.CIFAR10, cifar.CIFAR100])
def test_cifar_python_version_is_read(tmp_path: Path, layout: cifar.Cifar) -> None:
    content = python_batch(layout.label_key)
    (tmp_path / layout.python).mkdir()
    for name in ("one", "two"):
        (tmp_path / layout.python / name).write_bytes(content)
    check(cifar.read(tiny(layout, content=content), tmp_path, "train"), 2)
    with pytest.raises(DataError, match="one") as caught:
        cifar.read(tiny(layout, content=b"other"), tmp_path, "train")
    sentences(caught)


def test_cifar_pickle_runs_nothing(tmp_path: Path) -> None:
    content = b"cos\nmkdir\n(S'%s'\ntR." % os.fsencode(tmp_path / "made")
    (tmp_path / cifar.CIFAR10.python).mkdir()
    (tmp_path / cifar.CIFAR10.python / "one").write_bytes(content)
    with pytest.raises(DataError, match="one") as caught:
        cifar.read(tiny(cifar.CIFAR10, ("one",), content), tmp_path, "train")
    assert cifar.CIFAR10.archive in sentences(caught) and not (tmp_path / "made").exists()


def test_cifar_damaged_or_missing(tmp_path: Path) -> None:
    layout = tiny(cifar.CIFAR10)
    with pytest.raises(DataError, match=r"one\.bin, two\.bin") as caught:
        cifar.read(layout, tmp_path, "train")
    assert "--download" in sentences(caught) and "cifar-10-binary.tar.gz" in sentences(caught)
    write_binary(tmp_path, layout)
    second = tmp_path / layout.binary / "two.bin"
    for content, message in (
        (second.read_bytes()[:-1], r"two\.bin .*12291 bytes, not 12292"),
        (b"\x0a" + second.read_bytes()[1:], r"two\.bin .*label 10"),
    ):
        second.write_bytes(content)
        with pytest.raises(DataError, match=message) as caught:
            cifar.read(layout, tmp_path, "train")
        sentences(caught)
        second.write_bytes((tmp_path / layout.binary / "one.bin").read_bytes())
    second.unlink()
    with pytest.raises(DataError, match=r"cifar-10-batches-bin .*two\.bin"):
        cifar.read(layout, tmp_path, "train")


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "svhn"])
def test_published_sets_missing(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=str(tmp_path)) as caught:
        getattr(torchvision_sets, name)(tmp_path, "train", False)
    assert "--download" in sentences(caught)


# SVHN


def test_svhn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    io = pytest.importorskip("scipy.io")
    from torchvision.datasets import SVHN

    file = tmp_path / "train_32x32.mat"
    io.savemat(file, {"X": PIXELS.transpose(2, 3, 1, 0), "y": np.array([[10], [1], [2], [9]], np.uint8)})
    with pytest.raises(DataError, match=r"train_32x32\.mat") as caught:
        torchvision_sets.svhn(tmp_path, "train", False)
    sentences(caught)
    md5 = hashlib.md5(file.read_bytes()).hexdigest()
    monkeypatch.setattr(SVHN, "split_list", {"train": ["", file.name, md5]})
    result = torchvision_sets.svhn(tmp_path, "train", False)
    assert np.array_equal(result.images, PIXELS.transpose(0, 2, 3, 1)) and result.labels.tolist() == [0, 1, 2, 9]
