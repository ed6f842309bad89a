"""What the tests of the Python API share: a folder of their own, and weights trained through the API."""

from pathlib import Path

import pytest

import zoo


@pytest.fixture(autouse=True)
def in_an_empty_folder(here: Path) -> None:
    """Every test is in a folder of its own."""


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
