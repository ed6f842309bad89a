"""The place in an author's code that an error comes from."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from zoo.contract.wording.author_code import author_line, describe_error

SOURCE = """
import json, torch
def direct(): raise ValueError("wrong")
def in_torch(): torch.zeros(2) @ torch.zeros(3)
def in_the_library(): json.loads("{")
def in_a_library_of_models(): torch.nn.Module().__getattr__("absent")
def silent(): raise KeyError
"""


@pytest.fixture
def author(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    folder = tmp_path / "someone" / "nets"
    folder.mkdir(parents=True)
    for part in (folder.parent, folder):
        (part / "__init__.py").touch()
    (folder / "deep.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("someone", "someone.nets", "someone.nets.deep"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    from importlib import import_module

    return import_module("someone.nets.deep")


def error_of(function: Callable[[], object]) -> BaseException:
    try:
        function()
    except Exception as error:
        error.__traceback__ = error.__traceback__.tb_next if error.__traceback__ else None  # of this test
        return error
    raise AssertionError


@pytest.mark.parametrize(
    ("name", "line"), [("direct", 3), ("in_torch", 4), ("in_the_library", 5), ("in_a_library_of_models", 6)]
)
def test_the_innermost_line_of_the_author(author: ModuleType, name: str, line: int) -> None:
    error = error_of(getattr(author, name))
    assert author_line(error) == f"someone/nets/deep.py:{line}"
    assert describe_error(error).startswith(type(error).__name__)
    assert describe_error(error).endswith(f"(at someone/nets/deep.py:{line})")


def test_an_error_of_zoo_itself_names_no_line() -> None:
    from zoo.contract.preprocess import Preprocess

    error = error_of(lambda: Preprocess(size=(0, 0), mean=(), std=()))
    error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next
    assert author_line(error) == "" and "(at" not in describe_error(error)


def test_an_error_without_a_text_has_a_type(author: ModuleType) -> None:
    assert describe_error(error_of(author.silent)).startswith("KeyError (at ")
