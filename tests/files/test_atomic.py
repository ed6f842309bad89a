"""Whoever looks sees the old one or the new one; what fails leaves what was there and nothing else."""

import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from zoo.contract.errors import OutputError
from zoo.files import atomic
from zoo.files.atomic import new_folder, refuse_existing, refuse_unwritable, write_file
from zoo.files.exchange import exchange


def tree(folder: Path) -> dict[str, bytes | None]:
    """Everything under a folder, hidden things too."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def fill(path: Path, *, force: bool = False, error: BaseException | None = None) -> None:
    """Write a folder that holds one file, raising half-way where an error is given."""
    with new_folder(path, force=force, replaceable=lambda result: (result / "mark").exists()) as folder:
        (folder / "mark").write_bytes(b"new")
        if error:
            raise error


def write(path: Path, *, force: bool = False) -> None:
    write_file(path, b"new", force=force)


def cannot(one: Path, other: Path) -> bool:
    """As on a system that cannot exchange two folders."""
    return False


WAYS: list[Callable[..., None]] = [write, fill]


def gone() -> int:
    """The number of a process that has ended."""
    return int(subprocess.run(["sh", "-c", "echo $$"], capture_output=True, check=True).stdout)


@pytest.mark.parametrize("way", WAYS)
def test_parent_folders_are_made_and_nothing_else_is_left(tmp_path: Path, way: Callable[..., None]) -> None:
    way(tmp_path / "a" / "b" / "x")
    assert sorted(tree(tmp_path)) in (["a", "a/b", "a/b/x"], ["a", "a/b", "a/b/x", "a/b/x/mark"])


@pytest.mark.parametrize("way", WAYS)
def test_what_exists_is_refused_without_force(tmp_path: Path, way: Callable[..., None]) -> None:
    for name in ("file", "folder", "broken link"):
        path = tmp_path / name
        {"file": path.touch, "folder": path.mkdir, "broken link": lambda: path.symlink_to("nowhere")}[name]()  # noqa: B023
        before = tree(tmp_path)
        with pytest.raises(OutputError, match="already exists"):
            way(path)
        assert tree(tmp_path) == before


def test_force_replaces_a_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"old")
    write_file(tmp_path / "x", b"new", force=True)
    assert tree(tmp_path) == {"x": b"new"}


def test_force_replaces_a_folder_that_zoo_wrote_whole(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "mark").write_bytes(b"old")
    (tmp_path / "x" / "stray").touch()
    fill(tmp_path / "x", force=True)
    assert tree(tmp_path) == {"x": None, "x/mark": b"new"}


def test_force_does_not_replace_a_folder_that_zoo_did_not_write(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "thesis.txt").write_bytes(b"years")
    (tmp_path / "y").write_bytes(b"a file")
    before = tree(tmp_path)
    for name in ("x", "y"):
        with pytest.raises(OutputError, match="was not written by zoo"):
            fill(tmp_path / name, force=True)
    with pytest.raises(OutputError), new_folder(tmp_path / "x", force=True):
        pass
    assert tree(tmp_path) == before


@pytest.mark.parametrize("error", [RuntimeError("bug"), KeyboardInterrupt(), SystemExit(143)])
@pytest.mark.parametrize("force", [True, False])
def test_what_fails_half_way_leaves_what_was_there(tmp_path: Path, error: BaseException, force: bool) -> None:
    path = tmp_path / "made" / "on" / "the way" / "x"
    if force:
        path.mkdir(parents=True)
        (path / "mark").write_bytes(b"old")
    before = tree(tmp_path)
    with pytest.raises(type(error)):
        fill(path, force=force, error=error)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("call", ["fsync", "replace", "rename"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("force", [True, False])
def test_os_error_is_explained_and_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: Callable[..., None], call: str, force: bool
) -> None:
    path = tmp_path / "x"
    if force:
        way(path)
    before = tree(tmp_path)

    def full(*arguments: object, **more: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, full)
    monkeypatch.setattr(atomic, "exchange", cannot)
    called = {"fsync": WAYS, "replace": [write], "rename": [fill]}[call]
    if way not in called:
        return
    with pytest.raises(OutputError, match="x could not be written: No space left on device"):
        way(path, force=force)
    monkeypatch.undo()
    assert tree(tmp_path) == before


def test_a_swap_that_fails_half_way_puts_the_old_folder_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "x")
    (tmp_path / "x" / "mark").write_bytes(b"old")
    rename, calls = os.rename, []

    def second_fails(*arguments: object, **more: object) -> None:
        calls.append(arguments)
        if len(calls) == 2:
            raise OSError(errno.EIO, "Input/output error")
        rename(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "rename", second_fails)
    monkeypatch.setattr(atomic, "exchange", cannot)
    with pytest.raises(OutputError, match="Input/output error"):
        fill(tmp_path / "x", force=True)
    assert len(calls) == 3
    assert tree(tmp_path) == {"x": None, "x/mark": b"old"}


def test_a_disk_that_fills_up_half_way_leaves_what_was_there(tmp_path: Path) -> None:
    """In a process that may write no file over 1,000 bytes."""
    (tmp_path / "x").write_bytes(b"old")
    script = """
import resource, signal
from pathlib import Path
from zoo.files.atomic import new_folder, write_file
from zoo.contract.errors import OutputError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_file(Path("x"), bytes(5000), force=True)
except OutputError as error:
    print(error.cause)
try:
    with new_folder(Path("new/folder")) as folder:
        (folder / "big").write_bytes(bytes(5000))
except OutputError as error:
    print(error.cause)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "x could not be written: File too large.\nnew/folder could not be written: File too large.\n"
    assert tree(tmp_path) == {"x": b"old"}


@pytest.mark.parametrize("way", WAYS)
def test_a_place_that_cannot_be_written_is_explained(tmp_path: Path, way: Callable[..., None]) -> None:
    (tmp_path / "file").touch()
    places = [
        tmp_path / "file" / "x",
        tmp_path / ("n" * 300),
        tmp_path / ("n" * 300) / "x",
        tmp_path / "a" / ("n" * 300),
    ]
    for path in [*places, Path("/proc/x"), Path("/proc/no/x")]:
        with pytest.raises(OutputError, match="could not be written"):
            way(path)
    with pytest.raises(OutputError):
        way(Path(), force=True)
    assert tree(tmp_path) == {"file": b""}


def test_force_does_not_write_a_file_over_a_folder(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(OutputError):
        write(tmp_path / "x", force=True)
    assert tree(tmp_path) == {"x": None}


@pytest.mark.parametrize("way", WAYS)
def test_only_leftovers_of_dead_processes_are_removed(tmp_path: Path, way: Callable[..., None]) -> None:
    dead, living = gone(), os.getppid()
    (tmp_path / f".x.{dead}.partial").mkdir()
    (tmp_path / f".x.{dead}.partial" / "half").touch()
    (tmp_path / f".x.old.{dead}.partial").touch()
    kept = [f".x.{living}.partial", f".y.{dead}.partial", ".x.notes.partial"]
    for name in kept:
        (tmp_path / name).touch()
    way(tmp_path / "x")
    assert sorted(set(tree(tmp_path)) - {"x", "x/mark"}) == sorted(kept)


@pytest.mark.parametrize("way", WAYS)
def test_leftovers_of_a_reused_pid_are_removed(tmp_path: Path, way: Callable[..., None]) -> None:
    """In a container each run often has the same process number."""
    (tmp_path / f".x.{os.getpid()}.partial").touch()
    (tmp_path / f".x.{10**30}.partial").touch()
    way(tmp_path / "x")
    assert set(tree(tmp_path)) <= {"x", "x/mark"}


def test_replaced_folder_is_removed_after_a_kill(tmp_path: Path) -> None:
    """Killed between the swap and the removal of the old folder."""
    fill(tmp_path / "x")
    script = """
import os
from pathlib import Path
from zoo.files import atomic
atomic._remove = lambda path: os._exit(9)
with atomic.new_folder(Path("x"), force=True, replaceable=lambda path: True) as folder:
    (folder / "mark").write_bytes(b"second")
"""
    assert subprocess.run([sys.executable, "-c", script], cwd=tmp_path).returncode == 9
    assert (tmp_path / "x" / "mark").read_bytes() == b"second"
    assert len(list(tmp_path.iterdir())) == 2
    fill(tmp_path / "x", force=True)
    assert tree(tmp_path) == {"x": None, "x/mark": b"new"}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux exchanges two folders")
def test_two_folders_change_names_in_one_step(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").write_bytes(b"b")
    assert exchange(tmp_path / "a", tmp_path / "b")
    assert tree(tmp_path) == {"a": b"b", "b": None}
    assert not exchange(tmp_path / "a", tmp_path / "none")
    assert tree(tmp_path) == {"a": b"b", "b": None}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux exchanges two folders")
def test_a_folder_that_is_replaced_is_never_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "x")
    monkeypatch.setattr(os, "rename", lambda *arguments, **more: pytest.fail("there is a moment without it"))
    fill(tmp_path / "x", force=True)
    assert tree(tmp_path) == {"x": None, "x/mark": b"new"}


@pytest.mark.parametrize("force", [True, False])
def test_a_folder_set_aside_by_a_killed_process_is_put_back(tmp_path: Path, force: bool) -> None:
    """Killed between the two renames, where two folders cannot be exchanged."""
    fill(tmp_path / "x")
    (tmp_path / "x" / "mark").write_bytes(b"old")
    script = """
import os
from pathlib import Path
from zoo.files import atomic
atomic.exchange = lambda one, other: False
rename = os.rename
os.rename = lambda *names: os._exit(9) if not os.path.lexists("x") else rename(*names)
with atomic.new_folder(Path("x"), force=True, replaceable=lambda path: True) as folder:
    (folder / "mark").write_bytes(b"second")
"""
    assert subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=False).returncode == 9
    assert not (tmp_path / "x").exists()
    if force:
        fill(tmp_path / "x", force=True)
        assert tree(tmp_path) == {"x": None, "x/mark": b"new"}
        return
    with pytest.raises(OutputError, match="already exists"):
        fill(tmp_path / "x")
    assert (tmp_path / "x" / "mark").read_bytes() == b"old"


@pytest.mark.parametrize("error", [FileNotFoundError(errno.ENOENT, "No such file", "/data/none"), ConnectionError("x")])
def test_an_error_that_is_not_of_writing_is_passed_on(tmp_path: Path, error: OSError) -> None:
    with pytest.raises(type(error)) as caught:
        fill(tmp_path / "x", error=error)
    assert caught.value is error
    assert tree(tmp_path) == {}


def test_unwritable_file_in_a_folder_is_explained(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="x could not be written: No such file"), new_folder(tmp_path / "x") as folder:
        (folder / "none" / "file").write_bytes(b"")
    assert tree(tmp_path) == {}


def test_a_link_is_replaced_and_what_it_points_at_is_kept(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "x").symlink_to("real")
    write(tmp_path / "x", force=True)
    assert not (tmp_path / "x").is_symlink()
    assert tree(tmp_path) == {"real": b"old", "x": b"new"}


def test_work_can_be_refused_before_it_starts(tmp_path: Path) -> None:
    refuse_existing(tmp_path / "x", force=False)
    refuse_existing(tmp_path, force=True)
    with pytest.raises(OutputError) as caught:
        refuse_existing(tmp_path, force=False)
    assert "--force" in caught.value.next_step


TOGETHER = """
import sys, time
from pathlib import Path
from zoo.files.atomic import new_folder, refuse_unwritable, write_file
root, number, at = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
for turn in range(200):
    folder = root / str(turn) / "new"
    while time.time() < at + turn / 100:
        pass
    refuse_unwritable(folder / f"{number}.bin")
    write_file(folder / f"{number}.bin", b"1") if turn % 2 else new_folder(folder / str(number)).__enter__()
"""


def test_concurrent_writers_create_a_missing_folder(
    tmp_path: Path,
) -> None:
    begin = str(time.time() + 1.5)
    started = [
        subprocess.Popen(
            [sys.executable, "-c", TOGETHER, str(tmp_path), str(number), begin], stderr=subprocess.PIPE, text=True
        )
        for number in range(3)
    ]
    assert [process.communicate(timeout=120)[1] for process in started] == [""] * 3


def test_whether_a_file_can_be_written_is_seen_without_a_trace(tmp_path: Path) -> None:
    refuse_unwritable(tmp_path / "a" / "b" / "x")
    assert tree(tmp_path) == {}
    with pytest.raises(OutputError, match="too long"):
        refuse_unwritable(tmp_path / ("n" * 300) / "x")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="Not a directory"):
        refuse_unwritable(tmp_path / "file" / "a" / "x")
    assert list(tree(tmp_path)) == ["file"]
