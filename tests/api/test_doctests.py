"""The examples in the docstrings of the Python API are right."""

import doctest
from importlib import import_module
from pathlib import Path

import pytest

import zoo.api

MODULES = sorted(path.stem for path in Path(zoo.api.__file__).parent.glob("*.py") if path.stem != "__init__")


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_the_api_are_right(name: str) -> None:
    assert doctest.testmod(import_module(f"zoo.api.{name}")).failed == 0
