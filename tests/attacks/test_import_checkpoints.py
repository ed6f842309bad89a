"""A checkpoint of anybody is read without running what it holds, and what is refused is named."""

import argparse
import os
import pickle
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from zoo.containment.limits import MEMORY, SECONDS
from zoo.contract.errors import WeightsError
from zoo.models.importing import source
from zoo.models.importing.source import read_source

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="the system has no such restrictions")


class Touch:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_does_not_run(tmp_path: Path, zipped: bool) -> None:
    mark = tmp_path / "ran"
    content = {"state_dict": {"w": torch.ones(2)}, "hook": Touch(mark)}
    torch.save(content, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError, match=r"x\.pth holds more than tensors: .* (posix|nt)\.system"):
        read_source(tmp_path / "x.pth")
    assert not mark.exists()


def test_a_plain_pickle_does_not_run(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    (tmp_path / "x.bin").write_bytes(pickle.dumps({"w": Touch(mark)}, protocol=2))
    with pytest.raises(WeightsError, match=r"x\.bin"):
        read_source(tmp_path / "x.bin")
    assert not mark.exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_a_whole_module_is_said_to_be_one(tmp_path: Path, zipped: bool) -> None:
    torch.save(nn.Sequential(nn.Linear(2, 2)), tmp_path / "x.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError, match=r"is a whole pickled module.*torch\.nn\.modules"):
        read_source(tmp_path / "x.pt")


@pytest.mark.parametrize("extra", [argparse.Namespace(lr=1), np.float64(1), Path("x")])
def test_other_objects_are_refused_by_name(tmp_path: Path, extra: object) -> None:
    torch.save({"state_dict": {"w": torch.ones(2)}, "extra": extra}, tmp_path / "x.pth")
    with pytest.raises(WeightsError, match=r"argparse\.Namespace|numpy|pathlib"):
        read_source(tmp_path / "x.pth")


def test_a_class_that_a_library_allows_is_refused_here(tmp_path: Path) -> None:
    torch.save({"w": torch.ones(1), "args": argparse.Namespace()}, tmp_path / "x.pth")
    with torch.serialization.safe_globals([argparse.Namespace]), pytest.raises(WeightsError, match="argparse"):
        read_source(tmp_path / "x.pth")


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_an_archive_of_a_program_is_refused(tmp_path: Path) -> None:
    torch.jit.script(nn.Linear(2, 2)).save(tmp_path / "x.pt")  # type: ignore[no-untyped-call]
    with pytest.raises(WeightsError, match=r"torch\.jit\.save"):
        read_source(tmp_path / "x.pt")
    with zipfile.ZipFile(tmp_path / "y.pt", "w") as archive:
        archive.writestr("y/archive_format", "pt2")
    with pytest.raises(WeightsError, match=r"torch\.export\.save"):
        read_source(tmp_path / "y.pt")


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    torch.save({"w": torch.ones(100)}, path)
    whole = path.read_bytes()
    for content in (
        b"",
        b"\x00",
        b"hello, this is no weights file",
        whole[: len(whole) // 2],
        b"PK\x03\x04" + bytes(99),
    ):
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=r"x\.pth"):
            read_source(path)
    with pytest.raises(WeightsError):
        read_source(tmp_path)
    with pytest.raises(WeightsError):
        read_source(tmp_path / "none.pth")
    os.mkfifo(tmp_path / "fifo.pth")
    with pytest.raises(WeightsError):
        read_source(tmp_path / "fifo.pth")


@LINUX
def test_a_tensor_larger_than_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MEMORY, "1")
    torch.save({"w": torch.zeros(1).expand(2**40)}, tmp_path / "x.pth")
    assert (tmp_path / "x.pth").stat().st_size < 10_000
    with pytest.raises(WeightsError, match="memory"):
        read_source(tmp_path / "x.pth")


def test_time_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECONDS, "0.001")
    torch.save({"w": torch.zeros(1)}, tmp_path / "x.pth")
    with pytest.raises(WeightsError, match=r"0\.001 s") as raised:
        read_source(tmp_path / "x.pth")
    assert "--trust" not in raised.value.next_step


@pytest.mark.parametrize(
    "tensor",
    [torch.ones(2, dtype=torch.complex64), torch.eye(3).to_sparse(), torch.empty(2, device="meta")],
    ids=["complex", "sparse", "meta"],
)
def test_tensors_that_no_file_holds_are_refused(tmp_path: Path, tensor: torch.Tensor) -> None:
    torch.save({"good": torch.ones(1), "bad": tensor}, tmp_path / "x.pth")
    with pytest.raises(WeightsError, match="bad"):
        read_source(tmp_path / "x.pth")


def test_names_cannot_command_the_terminal(tmp_path: Path) -> None:
    torch.save({"\x1b[2J": {"w": torch.ones(1)}, "b": {"v": torch.ones(1)}}, tmp_path / "x.pth")
    with pytest.raises(WeightsError) as raised:
        read_source(tmp_path / "x.pth")
    assert "\x1b" not in str(raised.value) and "u001b" in raised.value.next_step


def test_tensors_come_as_they_are_stored(tmp_path: Path) -> None:
    shared = torch.arange(6.0).reshape(2, 3)
    tensors = {"z": shared.t(), "a": shared[1], "m": torch.ones((), dtype=torch.int64), "p": nn.Parameter(shared)}
    tensors |= {"half": shared.half(), "none": torch.ones(0, 3)}
    torch.save({"epoch": 3, "net": tensors}, tmp_path / "x.pth")
    read = read_source(tmp_path / "x.pth")
    assert list(read.tensors) == list(tensors) and read.key == "net" and read.ordered
    for name, value in tensors.items():
        assert torch.equal(read.tensors[name], value) and read.tensors[name].dtype == value.dtype
    assert len(read.sha256) == 64


def test_a_file_that_changes_meanwhile_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({"w": torch.ones(1)}, tmp_path / "x.pth")
    read = source._read_in_child

    def replaced(path: Path, key: str) -> Any:
        torch.save({"w": torch.zeros(9)}, path)
        return read(path, key)

    monkeypatch.setattr(source, "_read_in_child", replaced)
    with pytest.raises(WeightsError, match="changed"):
        read_source(tmp_path / "x.pth")


def test_safetensors_are_checked(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"w": torch.ones(3)}, tmp_path / "x.safetensors")
    assert not read_source(tmp_path / "x.safetensors").ordered
    with pytest.raises(WeightsError, match=r"--key|keys"):
        read_source(tmp_path / "x.safetensors", "ema")
    content = (tmp_path / "x.safetensors").read_bytes()
    (tmp_path / "x.safetensors").write_bytes(content[:-1])
    with pytest.raises(WeightsError):
        read_source(tmp_path / "x.safetensors")
