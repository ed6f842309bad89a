"""A run that release 0.1.0 started is refused with the release that can resume it; nothing in its folder changes."""

import shutil
from pathlib import Path

import pytest

from zoo.cli.main import run as main
from zoo.contract.errors import TrainingError
from zoo.training.checkpoint.file import read_checkpoint
from zoo.training.resume import find_run

RUN = Path(__file__).parents[1] / "fixtures" / "release_0_1_0" / "runs" / "lenet5.going"


def test_its_run_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "lenet5.going"
    shutil.copytree(RUN, run)
    before = {path: path.read_bytes() for path in run.iterdir()}
    with pytest.raises(TrainingError, match=r"zoo 0\.1\.0") as raised:
        find_run(str(run))
    assert "zoo-kit==0.1.0" in raised.value.next_step and "train again" in raised.value.next_step
    assert main(["train", "--resume", str(run)]) == 1
    assert "zoo-kit==0.1.0" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in run.iterdir()} == before


def test_its_checkpoint_is_refused() -> None:
    with pytest.raises(TrainingError, match="format"):
        read_checkpoint(RUN / "checkpoint.safetensors")
