"""What many tests share: the installed plugins' registry, the command line in this process, a card."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from zoo.cli.main import run
from zoo.contract.preprocess import Preprocess
from zoo.files.card import Card
from zoo.registry.discovery import discover
from zoo.registry.registry import Registry

settings.register_profile(
    "zoo", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.load_profile("zoo")


@dataclass(frozen=True)
class Ran:
    """What a command line came to."""

    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where decoded images are kept in this test: not in your cache."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "decoded"


@pytest.fixture(scope="session")
def registry() -> Registry:
    """What the installed plugins provide."""
    return Registry(discover())


@pytest.fixture
def run_zoo(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run `zoo` in this process with the given arguments."""

    def call(*arguments: str) -> Ran:
        capsys.readouterr()
        code = run(list(arguments))
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return call


@pytest.fixture
def card() -> Card:
    """A small, complete card."""
    return Card(
        architecture="tiny",
        plugin="zoo-kit",
        plugin_version="0.1.0",
        classes=("cat", "dög"),
        preprocess=Preprocess(size=(8, 8), mean=(0.5,), std=(0.25,)),
        params={"width": 2},
    )


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to be in; nothing of this machine's data or weights is seen."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("ZOO_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("ZOO_WEIGHTS", raising=False)
    return folder
