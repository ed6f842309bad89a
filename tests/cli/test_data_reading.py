"""However images are read (held or streamed, decoded or cached, by how many processes), the result is the same."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from zoo.cli.training.class_counts import class_counts

Run = Callable[..., Any]
WAYS: dict[str, tuple[str, ...]] = {
    "from the cache": (),
    "without a cache": ("--no-cache",),
    "streamed": ("--memory-limit", "0", "--workers", "0", "--no-cache"),
    "streamed by workers": ("--memory-limit", "0", "-j", "2"),
}


@pytest.mark.parametrize("recipe", [(), ("--hold-out", "0.2", "--balance", "sampler"), ("--balance", "weights")])
def test_the_weights_file_is_the_same_to_the_byte(run_zoo: Run, pictures: Path, recipe: tuple[str, ...]) -> None:
    Image.new("RGB", (40, 40), (1, 2, 3)).save(pictures / "red" / "more.png")  # one more than of blue
    command = ("train", "lenet5", "--data", "folder", "--data-root", str(pictures), "--epochs", "2", "-b", "3", *recipe)
    assert run_zoo(*command).code == 0
    expected = Path("weights/lenet5.folder.safetensors").read_bytes()
    for way in WAYS.values():
        ran = run_zoo(*command, *way, "--force")
        assert ran.code == 0, ran.err
        assert Path("weights/lenet5.folder.safetensors").read_bytes() == expected


def test_where_decoded_images_lie_is_said_and_may_be_emptied(run_zoo: Run, pictures: Path, decoded: Path) -> None:
    command = (
        "train",
        "lenet5",
        "--data",
        "folder",
        "--data-root",
        str(pictures),
        "--epochs",
        "1",
        "-b",
        "3",
        "--force",
    )
    assert str(decoded) in run_zoo(*command).err
    files = list(decoded.iterdir())
    assert str(decoded) in run_zoo(*command).err
    for file in files:
        file.unlink()
    decoded.rmdir()
    ran = run_zoo("evaluate", "lenet5.folder", "--data-root", str(pictures), "--no-cache")
    assert ran.code == 0 and not decoded.exists()
    ran = run_zoo("evaluate", "lenet5.folder", "--data-root", str(pictures))
    assert str(decoded) in ran.err and len(list(decoded.iterdir())) == 1


def test_the_images_of_each_class_are_said_in_a_line_or_a_table() -> None:
    assert class_counts(("a", "b"), (1000, 1000), (5, 5)) == ["each class: 1,000 training and 5 test images"]
    assert class_counts(("a", "dög"), (1000, 10), (5, 0)) == [
        "  class  training  test",
        "  a         1,000     5",
        "  dög          10     0",
        "warning: there are no test images of dög",
    ]


def test_many_classes_show_the_largest_and_smallest() -> None:
    names, counts = [f"c{number}" for number in range(1000)], list(range(1000))
    lines = class_counts(names, counts, [1] * 1000)
    assert len(lines) == 23 and lines[1].split() == ["c999", "999", "1"] and "980 between" in lines[11]
    assert lines[21].split() == ["c0", "0", "1"] and lines[22] == "warning: there are no training images of c0"


def test_names_in_the_table_do_nothing_but_be_read() -> None:
    lines = class_counts(("\x1b[31mred\n", "b" * 500), (1, 2), (1, 1))
    assert all(line.isprintable() and len(line) < 80 for line in lines)
