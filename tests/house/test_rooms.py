"""Rooms stay small and say what they are; nothing that ships can run code out of a data file."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from statistics import median

import pytest

import zoo

ROOT = Path(__file__).parents[2]
SHIPPED = {
    path.relative_to(ROOT).as_posix(): path
    for folder in ("zoo", "plugins", "export")
    for path in sorted((ROOT / folder).rglob("*.py"))
}
DOCUMENTED = [name for name in SHIPPED if not name.startswith("plugins/")]
VAGUE = {"utils", "util", "common", "base", "helpers", "helper", "manager", "misc"}
# The runtime is one file that is copied into every export folder, and has to be readable there.
LONGER = {"export/zoo_runtime/__init__.py": 950}
MOST_FILES = 12  # in a folder, besides `__init__.py`
FORBIDDEN_CALLS = {"eval", "exec"}
WEIGHTS_ONLY = "zoo/models/importing/unpickle.py"  # may call `torch.load(…, weights_only=True)`, in a child
FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "joblib", "shelve", "marshal"}


def lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def test_no_file_is_over_400_lines_and_half_are_under_120() -> None:
    counts = {name: lines(path) for name, path in SHIPPED.items()}
    assert {name: count for name, count in counts.items() if count > LONGER.get(name, 400)} == {}
    assert median(counts.values()) < 120


def test_no_folder_has_more_than_12_files() -> None:
    counts = Counter(path.parent.relative_to(ROOT).as_posix() for path in SHIPPED.values() if path.stem != "__init__")
    assert {folder: count for folder, count in counts.items() if count > MOST_FILES} == {}


def test_no_file_has_a_name_that_says_nothing() -> None:
    assert [name for name, path in SHIPPED.items() if {path.stem, path.parent.name} & VAGUE] == []


@pytest.mark.parametrize("name", SHIPPED)
def test_every_file_opens_with_what_it_is(name: str) -> None:
    assert len(ast.get_docstring(ast.parse(SHIPPED[name].read_text())) or "") > 10


@pytest.mark.parametrize("name", DOCUMENTED)
def test_every_public_function_and_class_says_what_it_does(name: str) -> None:
    assert list(_undocumented(ast.parse(SHIPPED[name].read_text()))) == []


@pytest.mark.parametrize("name", SHIPPED)
def test_no_shipped_file_can_run_code_out_of_data(name: str) -> None:
    dangerous = list(_dangerous(ast.parse(SHIPPED[name].read_text())))
    assert dangerous == (["torch.load weights_only"] if name == WEIGHTS_ONLY else [])


def test_a_file_that_unpickles_or_evaluates_would_be_noticed() -> None:
    source = (
        "import torch, pickle\nfrom pickle import loads\ntorch.load('x')\neval('1')\nexec('1')\nfrom torch import load"
        "\ntorch.load('x', weights_only=False)"
    )
    assert len(list(_dangerous(ast.parse(source)))) == 7


def test_the_changelog_has_an_entry_for_this_version() -> None:
    assert version("zoo-kit") == zoo.__version__
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert re.search(rf"^## {re.escape(zoo.__version__)}\b", changelog, re.MULTILINE)


def _undocumented(module: ast.Module) -> Iterator[str]:
    for node in module.body:
        public = isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
        if public and not ast.get_docstring(node) and node.name != "zoo_specs":  # the hook's own docstring says it
            yield node.name


def _dangerous(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.partition(".")[0] in FORBIDDEN_MODULES)
        elif isinstance(node, ast.ImportFrom):
            if str(node.module).partition(".")[0] in FORBIDDEN_MODULES:
                yield str(node.module)
            elif node.module == "torch" and any(alias.name == "load" for alias in node.names):
                yield "torch.load"
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called == "torch.load" and _is_true(node, "weights_only"):
                yield "torch.load weights_only"
            elif called in FORBIDDEN_CALLS or called in ("torch.load", "torch.hub.load", "torch.serialization.load"):
                yield called
            if any(
                word.arg == "allow_pickle" and getattr(word.value, "value", None) is not False for word in node.keywords
            ):
                yield "allow_pickle"


def _is_true(call: ast.Call, argument: str) -> bool:
    return any(word.arg == argument and getattr(word.value, "value", None) is True for word in call.keywords)
