"""Cached images equal freshly decoded ones, whatever happened to the files since."""

import importlib
import os
import random
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from zoo.contract.preprocess import Preprocess
from zoo.data import cache as cache_module
from zoo.data.fingerprint import fingerprint
from zoo.data.load_split import LoadedSplit

Ready = Callable[..., LoadedSplit]
Reads = Callable[[], int]
Gather = Callable[..., Any]
GREY = Preprocess(size=(6, 5), mean=(0.5,), std=(0.5,))
LIMITS = {"held": 4.0, "streamed": 0.0}


def the_file(decoded: Path) -> Path:
    (path,) = decoded.iterdir()
    return path


@pytest.mark.parametrize("limit", LIMITS.values(), ids=LIMITS)
def test_second_load_decodes_nothing(ready: Ready, reads: Reads, gathered: Gather, decoded: Path, limit: float) -> None:
    first = ready(memory_limit=limit)
    assert reads() == 14 and len(first.notes) == 1 and str(decoded) in first.notes[0]
    again = ready(memory_limit=limit)
    assert reads() == 0 and len(again.notes) == 1 and str(decoded) in again.notes[0] and again.notes != first.notes
    assert again.moments().mean_and_std() == first.moments().mean_and_std()
    assert gathered(again.batches) == gathered(first.batches) == gathered(ready(cache=False).batches)
    assert again.batches.labels.tolist() == [0] * 7 + [1] * 7
    assert again.checksum() == first.checksum() == ready(cache=False, memory_limit=4.0 - limit).checksum()


def test_without_a_cache_nothing_is_written(ready: Ready, decoded: Path) -> None:
    assert ready(cache=False).notes == ()
    assert not decoded.exists()


def grow(root: Path) -> None:
    (root / "0" / "00.jpg").write_bytes((root / "1" / "13.jpg").read_bytes())


def touch(root: Path) -> None:
    actual = (root / "0" / "00.jpg").stat()
    os.utime(root / "0" / "00.jpg", ns=(actual.st_atime_ns, actual.st_mtime_ns + 1000))


CHANGES: dict[str, Callable[[Path], object]] = {
    "another content": grow,
    "another time": touch,
    "one more": lambda root: (root / "1" / "99.jpg").write_bytes((root / "1" / "13.jpg").read_bytes()),
    "one less": lambda root: (root / "0" / "02.jpg").unlink(),
    "another name": lambda root: (root / "0" / "02.jpg").rename(root / "0" / "zz.jpg"),
    "another class": lambda root: (root / "0" / "02.jpg").rename(root / "1" / "02.jpg"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_files_that_changed_are_decoded_again_in_the_same_place(
    ready: Ready, reads: Reads, gathered: Gather, photographs: Path, decoded: Path, change: Callable[[Path], object]
) -> None:
    ready()
    path = the_file(decoded)
    change(photographs)
    now = ready()
    assert reads() == now.batches.n and gathered(now.batches) == gathered(ready(cache=False).batches)
    assert the_file(decoded) == path, "what is stale is replaced, and does not pile up"
    ready()
    assert reads() == 0


@pytest.mark.parametrize(
    "other",
    [
        Preprocess(size=(6, 6), mean=(0.5,), std=(0.5,)),
        Preprocess(size=(6, 5), mean=(0.5,) * 3, std=(0.5,) * 3),
        Preprocess(size=(6, 5), mean=(0.5,), std=(0.5,), interpolation="nearest"),
        Preprocess(size=(6, 5), mean=(0.5,), std=(0.5,), shorter_side=8),
    ],
)
def test_each_size_has_its_own(ready: Ready, reads: Reads, gathered: Gather, other: Preprocess) -> None:
    first = ready()
    second = ready(other)
    assert reads() == 14 and gathered(second.batches) != gathered(first.batches)
    ready()
    assert reads() == 0


def test_a_folder_named_in_another_way_is_the_same(
    ready: Ready, reads: Reads, photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready()
    monkeypatch.chdir(photographs.parent)
    ready(root=Path("photographs"))
    assert reads() == 0


def test_mean_and_deviation_are_no_part_of_what_is_decoded(ready: Ready, reads: Reads) -> None:
    ready()
    ready(Preprocess(size=(6, 5), mean=(0.1,), std=(0.2,)))
    assert reads() == 0


@pytest.mark.parametrize("what", ["pillow", "the code that reads"])
def test_another_decoder_decodes_again(
    ready: Ready, reads: Reads, monkeypatch: pytest.MonkeyPatch, what: str, tmp_path: Path
) -> None:
    ready()
    if what == "pillow":
        monkeypatch.setattr("PIL.__version__", "0.0")
    else:
        monkeypatch.setattr("inspect.getsourcefile", lambda kind: __file__)
    ready()
    assert reads() == 14


def test_change_in_the_package_changes_the_fingerprint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "shapes_kit"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "decoding.py").write_text("LEVEL = 1\n")
    (package / "sets.py").write_text(
        "class Shapes:\n    files, labels = [__file__], [0]\n    def __len__(self):\n        return 1\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    shapes = importlib.import_module("shapes_kit.sets").Shapes()
    labels = torch.tensor([0])
    before = fingerprint(shapes, labels, GREY)
    assert before == fingerprint(shapes, labels, GREY) and before
    (package / "decoding.py").write_text("LEVEL = 2\n")
    assert fingerprint(shapes, labels, GREY) != before


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.sampled_from(["flipped", "cut", "longer"]))
def test_a_damaged_file_is_noticed_and_made_again(
    tmp_path: Path, ready: Ready, reads: Reads, gathered: Gather, decoded: Path, where: int, how: str
) -> None:
    expected = gathered(ready().batches)
    path = the_file(decoded)
    whole = path.read_bytes()
    place = where % len(whole)
    changed = bytes([whole[place] ^ random.Random(where).randrange(1, 256)])
    damaged = {"flipped": whole[:place] + changed + whole[place + 1 :], "cut": whole[:place], "longer": whole + b"\0"}
    path.write_bytes(damaged[how])
    assert gathered(ready().batches) == expected
    assert reads() == 14
    ready()
    assert reads() == 0


@pytest.mark.parametrize("kind", ["folder where the file should be", "file where the folder should be", "too large"])
def test_what_cannot_be_written_costs_the_cache_and_not_the_run(
    ready: Ready, gathered: Gather, decoded: Path, kind: str
) -> None:
    expected = gathered(ready(cache=False).batches)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    if kind.startswith("folder"):
        ready()
        path = the_file(decoded)
        path.unlink()
        path.mkdir()
        (path / "something").touch()
    elif kind.startswith("file"):
        decoded.parent.mkdir()
        decoded.write_text("")
    else:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        split = ready()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert gathered(split.batches) == expected
    assert split.notes[0].startswith("warning: ") and str(decoded) in split.notes[0]
    left = [entry.name for entry in decoded.iterdir()] if decoded.is_dir() else []
    assert not [name for name in left if name.endswith(".partial")]


def test_a_process_that_is_interrupted_leaves_nothing(
    ready: Ready, decoded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*arguments: Any) -> None:
        Path(arguments[1]).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(cache_module.safetensors.torch, "save_file", interrupt)
    with pytest.raises(KeyboardInterrupt):
        ready()
    assert not decoded.exists() or not list(decoded.iterdir())


SCRIPT = """
import sys, hashlib, torch
from pathlib import Path
from zoo.contract.preprocess import Preprocess
from zoo.data.load_split import load_split
from zoo.data.read_options import ReadOptions
from zoo_datasets.folder import load
data = load(Path(sys.argv[1]), "train", False)
split = load_split(data, Preprocess(size=(6, 5), mean=(0.5,), std=(0.5,)), 2, torch.device("cpu"), source="x")
print(hashlib.sha256(split.batches.images.numpy().tobytes()).hexdigest())
"""


def test_two_processes_may_make_it_at_once(photographs: Path, decoded: Path) -> None:
    command = [sys.executable, "-c", SCRIPT, str(photographs)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    message = {process.communicate(timeout=120)[0] for process in both}
    assert [process.returncode for process in both] == [0, 0] and len(message) == 1
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout in message
    assert the_file(decoded).suffix == ".safetensors"


def test_an_image_that_could_not_be_read_is_tried_again(ready: Ready, reads: Reads, photographs: Path) -> None:
    """A disk that was away, or permissions, change no file's time."""
    victim = photographs / "0" / "04.jpg"
    aside = victim.rename(photographs / "aside")
    victim.symlink_to(aside)
    actual = os.lstat(aside)
    opened = Path(aside).read_bytes()
    aside.write_bytes(bytes(len(opened)))
    os.utime(aside, ns=(actual.st_atime_ns, actual.st_mtime_ns))
    assert ready(skip_corrupt=True).batches.n == 13
    assert ready(skip_corrupt=True).batches.n == 13 and reads() == 1
    aside.write_bytes(opened)
    os.utime(aside, ns=(actual.st_atime_ns, actual.st_mtime_ns))
    assert ready(skip_corrupt=True).batches.n == 14


def test_unusable_image_keeps_the_cache_valid(ready: Ready, reads: Reads, photographs: Path) -> None:
    """One whose pixels have 32 bits, say."""
    Image.new("I", (9, 9), 70000).save(photographs / "0" / "04.jpg", format="TIFF")
    assert ready(skip_corrupt=True).batches.n == 13
    assert ready(skip_corrupt=True).batches.n == 13 and reads() == 1
