"""Output that cannot be written is reported early, and what was there stays."""

import os
import resource
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
Start = Callable[..., subprocess.Popen[str]]
TRAIN = ("train", "lenet5", "--data", "digits", "--epochs", "1", "-b", "512")


def limit(size: int) -> Callable[[], None]:
    """A full disk: no file of the process grows past `size` bytes."""

    def before() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return before


class Done:
    """What a process came to, as `explained` reads it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        out, err = process.communicate(timeout=180)
        self.code, self.out, self.err = process.returncode, out or "", err or ""


@pytest.mark.parametrize("place", ["file/weights", "/proc/weights"])
def test_unwritable_weights_path_fails_before_training(
    run_zoo: Run, explained: Callable[..., str], here: Path, tree: Callable[..., Any], place: str
) -> None:
    (here / "file").write_text("mine")
    ran = run_zoo(*TRAIN, "-o", place)
    assert place in explained(ran, 1) and "train loss" not in ran.err
    assert tree(here) == {"file": b"mine"}


def test_a_name_that_is_too_long_is_known_before_training(
    run_zoo: Run, explained: Callable[..., str], here: Path
) -> None:
    ran = run_zoo(*TRAIN, "--tag", "a" * 300, "--name", "short")
    assert "too long" in explained(ran, 1) and "train loss" not in ran.err and not list(here.iterdir())


def test_a_folder_where_the_weights_file_is_to_be(
    run_zoo: Run, explained: Callable[..., str], here: Path, tree: Callable[..., Any]
) -> None:
    (here / "weights" / "lenet5.digits.safetensors").mkdir(parents=True)
    before = tree(here)
    explained(run_zoo(*TRAIN), 1)
    ran = run_zoo(*TRAIN, "--force")
    assert "folder" in explained(ran, 1) and "train loss" not in ran.err and tree(here) == before


@pytest.mark.parametrize("place", ["file/runs", "/proc/runs"])
def test_a_run_folder_that_cannot_be_made(
    run_zoo: Run, explained: Callable[..., str], here: Path, tree: Callable[..., Any], place: str
) -> None:
    (here / "file").write_text("mine")
    ran = run_zoo(*TRAIN, "--runs", place)
    assert place in explained(ran, 1) and "train loss" not in ran.err
    assert tree(here) == {"file": b"mine"}


def test_an_option_that_names_a_file_as_a_folder(run_zoo: Run, explained: Callable[..., str], here: Path) -> None:
    (here / "file").write_text("mine")
    for option in ("-o", "--runs"):
        assert "file" in explained(run_zoo(*TRAIN, option, "file"), 2)


@pytest.mark.parametrize("place", ["file/out", "/proc/out", "/", ".", "file"])
def test_an_export_that_cannot_be_written(
    run_zoo: Run, explained: Callable[..., str], here: Path, trained: Path, tree: Callable[..., Any], place: str
) -> None:
    (here / "file").write_text("mine")
    for force in ((), ("--force",)):
        ran = run_zoo("export", str(trained), "-o", place, *force)
        explained(ran, 1)
        assert "evaluating" not in ran.err and tree(here) == {"file": b"mine"}


def test_force_replaces_an_export_and_nothing_else(
    run_zoo: Run, explained: Callable[..., str], here: Path, trained: Path, tree: Callable[..., Any]
) -> None:
    (here / "mine").mkdir()
    (here / "mine" / "thesis.tex").write_text("years")
    export = ("export", str(trained), "-f", "torchscript", "-o")
    assert "mine" in explained(run_zoo(*export, "mine", "--force"), 1)
    assert run_zoo(*export, "out").code == 0
    (here / "out" / "model.torchscript").write_bytes(b"old")
    before = tree(here)
    assert "--force" in explained(run_zoo(*export, "out"), 1)
    assert tree(here) == before
    assert run_zoo(*export, "out", "--force").code == 0
    after = tree(here)
    assert after.keys() == before.keys() and after["mine/thesis.tex"] == b"years"
    assert after["out/model.torchscript"] != b"old"


@pytest.mark.parametrize("size", [100, 20_000], ids=["recipe", "weights"])
def test_a_full_disk_while_training_leaves_nothing(
    start_zoo: Start, explained: Callable[..., str], here: Path, size: int
) -> None:
    done = Done(start_zoo(*TRAIN, preexec_fn=limit(size)))
    assert "File too large" in explained(done, 1)
    assert not list(here.iterdir())


def test_a_full_disk_while_exporting_leaves_what_was_there(
    start_zoo: Start, explained: Callable[..., str], here: Path, trained: Path, exported: Path, tree: Callable[..., Any]
) -> None:
    (here / "exports").mkdir()
    target = here / "exports" / "lenet5.tiny"
    target.symlink_to(exported)
    before = tree(here), tree(exported)
    export = ("export", str(trained), "-f", "torchscript", "--force")
    done = Done(start_zoo(*export, preexec_fn=limit(100_000)))
    assert "File too large" in explained(done, 1)
    assert (tree(here), tree(exported)) == before


@pytest.mark.parametrize("arguments", [("list",), ("list", "--json"), ("--help",), ("--version",), ("plugins",)])
def test_standard_output_on_a_full_disk(
    start_zoo: Start, explained: Callable[..., str], arguments: tuple[str, ...]
) -> None:
    with Path("/dev/full").open("w") as full:
        assert "No space" in explained(Done(start_zoo(*arguments, stdout=full)), 1)


@pytest.mark.parametrize("arguments", [("list",), ("--help",), ("list", "--json")])
def test_a_reader_that_goes_away_ends_it_quietly(start_zoo: Start, arguments: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = start_zoo(*arguments, stdout=writing)
    os.close(writing)
    done = Done(process)
    assert (done.code, done.err) == (141, "")


@pytest.mark.parametrize("closed", [(1,), (2,), (0, 1, 2)])
def test_streams_that_are_closed_are_as_good_as_dev_null(start_zoo: Start, closed: tuple[int, ...]) -> None:
    def shut() -> None:
        for number in closed:
            os.close(number)

    listed = Done(start_zoo("list", "losses", preexec_fn=shut))
    assert (listed.code, listed.err) == (0, "")
    assert ("cross_entropy" in listed.out) == (1 not in closed)
    assert Done(start_zoo("list", "nonsense", preexec_fn=shut)).code == 2


def test_weights_are_written_whole_where_all_streams_are_closed(start_zoo: Start, run_zoo: Run, here: Path) -> None:
    """A file that is opened where standard output was would get what is printed there."""

    def shut() -> None:
        os.closerange(0, 3)

    assert Done(start_zoo(*TRAIN, preexec_fn=shut)).code == 0
    assert run_zoo("weights", "verify", "weights/lenet5.digits.safetensors").code == 0


def test_a_folder_that_is_gone_is_explained(start_zoo: Start, explained: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()

    def leave() -> None:
        os.chdir(tmp_path / "gone")
        (tmp_path / "gone").rmdir()

    assert "folder" in explained(Done(start_zoo("weights", "list", preexec_fn=leave)), 1)


def test_names_that_a_terminal_cannot_show_are_shown_somehow(start_zoo: Start, here: Path) -> None:
    (here / "weights").mkdir()
    Path(os.fsdecode(os.fsencode(here / "weights") + b"/lenet5.\xff.safetensors")).touch()
    done = Done(start_zoo("weights", "list"))
    assert done.code == 0 and "refused" in done.out
    assert Done(start_zoo("weights", "list", "--json")).code == 0
