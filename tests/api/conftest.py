"""What the tests of the Python API share: a folder of their own, and weights trained through the API."""

from pathlib import Path

import pytest

import zoo


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to be in, without this machine's data and weights."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("ZOO_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("ZOO_WEIGHTS", raising=False)
    return folder


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> "zoo.TrainResult":
    """A LeNet-5 that saw the digits once."""
    folder = tmp_path_factory.mktemp("run")
    return zoo.train(
        "lenet5",
        data="digits",
        tag="tiny",
        output=folder,
        runs=folder / "runs",
        device="cpu",
        epochs=1,
        batch_size=256,
        lr=0.003,
    )
