"""A ref that leads nowhere is an error that says whose it is, what is missing and what to do."""

from pathlib import Path

import pytest

from zoo.contract.errors import MissingPackage, PluginError
from zoo.contract.specs import Loss
from zoo.registry.discovery import Plugin
from zoo.registry.refs import resolve
from zoo.registry.registry import Entry

ENTRY = Entry(Loss(name="soft", summary="s", build="a:b"), Plugin("x", "zoo-x", "1"))


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A package of one's own, importable under a name that no other test uses."""
    name = f"refs_{abs(hash(request.node.name))}"
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text("class Family:\n    member = 7\n\nlayers = None\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def write(tmp_path: Path, package: str, module: str, text: str) -> str:
    (tmp_path / package / f"{module}.py").write_text(text)
    return f"{package}.{module}:thing"


def test_a_ref_gives_the_object_it_names_nested_ones_too(package: str) -> None:
    assert resolve(ENTRY, f"{package}:Family.member") == 7
    assert resolve(ENTRY, "os.path:join")("a", "b") == "a/b"


def test_a_misspelt_attribute_gets_a_close_match(package: str) -> None:
    with pytest.raises(PluginError) as caught:
        resolve(ENTRY, f"{package}:Famly")
    for part in ("soft", "zoo-x", f"{package}:Famly"):
        assert part in caught.value.cause
    assert caught.value.next_step == f"Did its author mean {package}:Family?"


def test_an_attribute_like_nothing_there_is_the_authors_to_mend(package: str) -> None:
    with pytest.raises(PluginError) as caught:
        resolve(ENTRY, f"{package}:zzzzzz")
    assert "author" in caught.value.next_step


@pytest.mark.parametrize("ref", ["no_such_package_at_all:x", "no_such_package_at_all.model:x"])
def test_a_module_that_is_not_there_is_the_plugins_fault(ref: str) -> None:
    with pytest.raises(PluginError, match="the module no_such_package_at_all"):
        resolve(ENTRY, ref)


def test_a_submodule_that_is_not_there_is_the_plugins_fault(package: str) -> None:
    with pytest.raises(PluginError, match=f"the module {package}.gone"):
        resolve(ENTRY, f"{package}.gone:x")


def test_a_package_that_the_module_needs_gets_the_pip_line(tmp_path: Path, package: str) -> None:
    ref = write(tmp_path, package, "model", "import no_such_engine.core")
    with pytest.raises(MissingPackage) as caught:
        resolve(ENTRY, ref)
    assert caught.value.cause == "The loss soft of zoo-x needs no_such_engine, which is not installed."
    assert caught.value.next_step == "Run: pip install no_such_engine"


def test_missing_own_module_suggests_no_pip_install(tmp_path: Path, package: str) -> None:
    ref = write(tmp_path, package, "model", f"import {package}.lost")
    with pytest.raises(PluginError, match=f"{package}.lost"):
        resolve(ENTRY, ref)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("def (", "SyntaxError"),
        ("raise SystemExit(3)", "SystemExit"),
        ("from os import nothing_there", "ImportError"),
    ],
)
def test_a_module_whose_import_raises_is_named_with_its_error(
    tmp_path: Path, package: str, text: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = write(tmp_path, package, "model", text)
    with pytest.raises(PluginError, match=message) as caught:
        resolve(ENTRY, ref)
    assert "ZOO_RAISE_ERRORS=1 shows the traceback" in caught.value.next_step
    monkeypatch.setenv("ZOO_RAISE_ERRORS", "1")
    with pytest.raises((ZeroDivisionError, SyntaxError, SystemExit, ImportError)):
        resolve(ENTRY, ref)
