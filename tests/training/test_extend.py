"""`--extend`: going on with a finished run."""

import json
from pathlib import Path
from typing import Any

import pytest

import zoo
from zoo.cli.main import run as main
from zoo.contract.errors import OutputError, TrainingError, UsageError
from zoo.files.card import read_card

QUICK: dict[str, Any] = {"data": "digits", "epochs": 1, "batch_size": 512, "lr": 0.003, "device": "cpu"}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_finished_run_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    first = zoo.train("lenet5", **QUICK)
    assert main(["train", "--resume", str(first.path), "--extend", "2", "--device", "cpu", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["run"] == "runs/lenet5.digits-2" and Path(result["weights"]) == first.weights
    card, _ = read_card(first.weights)
    before = read_card(first.path / "last.safetensors")[0].digest.removeprefix("sha256:")
    assert card.recipe["initial_checkpoint"] == f"runs/lenet5.digits/last.safetensors@{before[:16]}"
    assert card.recipe["epochs"] == 2 and card.recipe["lr"] == 0.003
    assert result["loss"] < first.metrics["loss"]
    third = zoo.train(resume="lenet5.digits-2", extend=1, device="cpu")
    assert third.path == Path("runs/lenet5.digits-3") and third.epochs == 1


def test_what_cannot_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="resume"):
        zoo.train(extend=2)
    first = zoo.train("lenet5", **QUICK)
    for epochs in (0, 1.5):
        with pytest.raises(UsageError, match=str(epochs)):
            zoo.train(resume=first.path, extend=epochs, device="cpu")  # type: ignore[arg-type]
    with pytest.raises(TrainingError) as finished:
        zoo.train(resume=first.path, device="cpu")
    assert "extend" in finished.value.next_step
    zoo.train("lenet5", **QUICK, seed=1, force=True, name="other")
    with pytest.raises(OutputError, match=r"lenet5\.digits"):
        zoo.train(resume=first.path, extend=1, device="cpu")
    (first.path / "result.json").unlink()
    with pytest.raises(TrainingError, match="not finished") as unfinished:
        zoo.train(resume=first.path, extend=1, device="cpu")
    assert "--resume" in unfinished.value.next_step
