"""The claims of the threat model have tests, which exist; the pages name nothing that is not there."""

import ast
import re
from pathlib import Path

import pytest

from zoo_export.commands.sign import PASSWORD

ROOT = Path(__file__).parents[2]
PAGES = {name: (ROOT / name).read_text("utf-8") for name in ("SECURITY.md", "docs/threat-model.md")}
CLAIM = re.compile(r"^\| (?P<claim>[^|]+\.) \| (?P<tests>`tests/[^|]+) \|$", re.MULTILINE)
VARIABLE = re.compile(r"\bZOO_[A-Z_]+")


def claims() -> dict[str, list[str]]:
    """Each claim of the threat model, with the files or tests that show it."""
    section = PAGES["docs/threat-model.md"].partition("## Claims and tests")[2]
    return {match["claim"]: re.findall(r"`([^`]+)`", match["tests"]) for match in CLAIM.finditer(section)}


def test_every_row_of_the_table_is_read() -> None:
    section = PAGES["docs/threat-model.md"].partition("## Claims and tests")[2]
    assert len(claims()) == section.count("\n| ") - 2 > 5


@pytest.mark.parametrize("claim", claims())
def test_a_claim_has_tests(claim: str) -> None:
    for name in claims()[claim]:
        path, _, function = name.partition("::")
        tree = ast.parse((ROOT / path).read_text("utf-8"))
        tests = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert function in tests if function else any(test.startswith("test_") for test in tests), name


@pytest.mark.parametrize("name", PAGES)
def test_every_variable_named_is_read_by_zoo(name: str) -> None:
    sources = [path.read_text("utf-8") for folder in ("zoo", "export") for path in (ROOT / folder).rglob("*.py")]
    assert [each for each in set(VARIABLE.findall(PAGES[name])) if not any(each in text for text in sources)] == []


def test_the_password_variable_is_documented() -> None:
    assert PASSWORD in (ROOT / "docs" / "command-line.md").read_text("utf-8")
