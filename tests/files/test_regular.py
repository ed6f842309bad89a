"""Files are opened without waiting, whatever lies at the path: a regular file, or an OSError that says what it is."""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from zoo.files.regular import UnreadableFile, is_regular, open_regular, read_regular


@pytest.fixture(autouse=True)
def no_hang() -> Iterator[None]:
    """Fail a test that waits: SIGALRM interrupts what blocks."""

    def stop(*_: object) -> None:
        raise AssertionError("it hangs")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(10)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def bind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


SPECIAL: dict[str, Callable[[Path], None]] = {
    "FIFO": os.mkfifo,
    "socket": bind,
    "folder": lambda path: path.mkdir(),
    "device": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("kind", SPECIAL)
def test_special_files_are_refused(monkeypatch, tmp_path: Path, kind: str) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket is short
    SPECIAL[kind](Path("special"))
    for read in (open_regular, lambda path: read_regular(path, 10)):
        with pytest.raises(UnreadableFile) as refused:
            read(Path("special"))
        assert kind in (refused.value.strerror or "") and refused.value.filename == "special"
    assert not is_regular("special")


def test_a_fifo_put_in_place_meanwhile_is_refused(monkeypatch, tmp_path: Path) -> None:
    file, fifo = tmp_path / "file", tmp_path / "fifo"
    file.write_bytes(b"x")
    os.mkfifo(fifo)
    earlier = file.stat()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", lambda path: earlier)
        with pytest.raises(UnreadableFile, match="FIFO"):
            open_regular(fifo)


def test_a_regular_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    (tmp_path / "link").symlink_to(path)
    for name in (path, tmp_path / "link", str(path)):
        assert read_regular(name, 10) == b"0123456789"
        assert is_regular(name)
        with open_regular(name) as file:
            assert file.read() == b"0123456789"


def test_a_file_beyond_the_limit_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    os.truncate(path, 1 << 33)
    for read in (open_regular, read_regular):
        with pytest.raises(UnreadableFile, match="8,589,934,592"):
            read(path, 100)
    assert not read_regular(_with(path, b""), 0)
    with pytest.raises(UnreadableFile):
        read_regular(_with(path, b"1"), 0)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc")
def test_a_file_that_hides_its_size_is_bounded() -> None:
    assert Path("/proc/self/maps").stat().st_size == 0
    with pytest.raises(UnreadableFile, match="more than 10"):
        read_regular("/proc/self/maps", 10)


@pytest.mark.parametrize(
    "name", ["", "a\0b", "a\ud800b", "n" * 5000, "d/" * 5000, "missing", "dangling", "loop", "file/below"]
)
def test_a_bad_name_is_an_os_error(monkeypatch, tmp_path: Path, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("dangling").symlink_to("nowhere")
    Path("loop").symlink_to("loop")
    Path("file").touch()
    for read in (open_regular, lambda path: read_regular(path, 10)):
        with pytest.raises(OSError) as refused:
            read(name)
        assert refused.value.strerror
    assert not is_regular(name)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_an_error_leaves_no_open_descriptor(monkeypatch, tmp_path: Path) -> None:
    file, fifo, descriptors = tmp_path / "file", tmp_path / "fifo", Path("/proc/self/fd")
    file.touch()
    os.mkfifo(fifo)
    earlier, before = file.stat(), len(list(descriptors.iterdir()))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", lambda path: earlier)
        for _ in range(3):
            with pytest.raises(UnreadableFile):
                open_regular(fifo)
    assert len(list(descriptors.iterdir())) == before


def _with(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
