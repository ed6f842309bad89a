"""`zoo.train` and `zoo.evaluate`."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest
import torch

import zoo
from zoo.api.training import RecipeFields
from zoo.cli.main import run as command_line
from zoo.training.recipe.file import to_recipe


def test_the_keyword_fields_are_those_of_a_recipe() -> None:
    hints = get_type_hints(zoo.Recipe)
    assert get_type_hints(RecipeFields) == {k: v for k, v in hints.items() if k not in ("architecture", "data")}


def test_a_run_has_its_model_metrics_and_files(run: zoo.TrainResult) -> None:
    assert run.weights.name == "lenet5.tiny.safetensors" and run.weights.is_file()
    assert (run.path / "history.csv").is_file()
    assert set(run.metrics) == {"top1", "top5", "loss"}
    assert 0 < run.metrics["top1"] <= run.metrics["top5"] <= 1
    assert run.model.name == "lenet5.tiny" and len(run.model.labels) == 10


def test_a_recipe_trains_to_the_same_weights(run: zoo.TrainResult, here: Path) -> None:
    recipe = zoo.Recipe(architecture="lenet5", data="digits", epochs=1, batch_size=256, lr=0.003)
    again = zoo.train(recipe, tag="tiny", device="cpu")
    assert again.model.card.digest == run.model.card.digest
    with pytest.raises(zoo.UsageError, match="Recipe"):
        zoo.train(recipe, epochs=2)


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({}, "architecture"),
        ({"architecture": "lenet5"}, "data"),
        ({"architecture": "lenet5", "data": "digits", "epoch": 2}, "epoch"),
        ({"architecture": "lenet5", "data": "digits", "epochs": "2"}, "epochs"),
        ({"architecture": "lenet5", "data": "digits", "epochs": 0}, "epochs"),
        ({"architecture": "lenet5", "data": "digits", "tag": "a b"}, "a b"),
        ({"architecture": "lenet5", "data": "digits", "name": "a/b"}, "a/b"),
        ({"architecture": "lenet5", "resume": "runs/x"}, "resume"),
    ],
)
def test_wrong_arguments_are_usage_errors(arguments: dict[str, Any], names: str, here: Path) -> None:
    with pytest.raises(zoo.UsageError) as caught:
        zoo.train(**arguments)
    assert names in f"{caught.value.cause} {caught.value.next_step}"
    assert not list(here.iterdir())


class Heard(zoo.Callback):
    """Keeps the names of what it hears."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.stop = False

    def on_dataset(self, dataset: Any) -> None:
        self.names.append("dataset")

    def on_epoch(self, epoch: Any) -> None:
        self.names.append("epoch")
        if self.stop:
            raise KeyboardInterrupt

    def on_interrupt(self, run: Path, step: int, total: int) -> None:
        self.names += [f"{step} of {total}", str(run)]


def test_training_is_silent_and_calls_back(capfd: pytest.CaptureFixture[str]) -> None:
    heard = Heard()
    zoo.train("lenet5", data="digits", epochs=1, batch_size=512, device="cpu", callback=heard)
    assert heard.names == ["dataset", "epoch"]
    assert capfd.readouterr() == ("", "")


def test_progress_writes_to_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    zoo.train("lenet5", data="digits", epochs=1, batch_size=512, device="cpu", progress=True)
    out, err = capfd.readouterr()
    assert out == "" and "train loss" in err and "digits" in err


def test_an_interrupted_run_resumes_to_the_same_weights(capfd: pytest.CaptureFixture[str]) -> None:
    arguments: dict[str, Any] = {"data": "digits", "epochs": 2, "batch_size": 256, "device": "cpu"}
    whole = zoo.train("lenet5", **arguments, tag="whole")
    heard = Heard()
    heard.stop = True
    with pytest.raises(KeyboardInterrupt):
        zoo.train("lenet5", **arguments, tag="parts", callback=heard, progress=True)
    steps = -(-1438 // 256)
    assert heard.names[-2] == f"{steps} of {2 * steps}"
    last = capfd.readouterr().err.splitlines()[-1]
    assert last == f"Interrupted at step {steps} of {2 * steps}. Resume: zoo train --resume {heard.names[-1]}"
    resumed = zoo.train(resume=heard.names[-1])
    assert resumed.weights.name == "lenet5.parts.safetensors"
    assert resumed.model.card.digest == whole.model.card.digest


def test_evaluate_takes_a_model_a_path_and_a_name(run: zoo.TrainResult, here: Path) -> None:
    (here / "weights").mkdir()
    shutil.copy(run.weights, here / "weights")
    results = [zoo.evaluate(each, device="cpu") for each in (run.model, run.weights, "lenet5.tiny")]
    for measured in results:
        assert measured.top1 == run.metrics["top1"] and measured.loss == pytest.approx(run.metrics["loss"])
        assert (measured.model, measured.dataset, measured.split) == ("lenet5.tiny", "digits", "test")
        assert measured.n == int(np.asarray(measured.confusion).sum()) and measured.skipped == 0
    assert zoo.evaluate(run.model, data="digits", split="train", device="cpu").n > results[0].n


def test_evaluate_reports_every_batch(run: zoo.TrainResult) -> None:
    class Progress(zoo.Callback):
        def on_progress(self, stage: str, done: int, total: int, detail: str = "") -> None:
            steps.append((stage, done, total))

    steps: list[tuple[str, int, int]] = []
    measured = zoo.evaluate(run.model, device="cpu", batch_size=100, callback=Progress())
    done = [done for stage, done, total in steps if "evaluating" in stage and total == measured.n]
    assert done == [*range(100, measured.n, 100), measured.n]


def test_evaluate_refuses_what_it_cannot_measure(run: zoo.TrainResult) -> None:
    with pytest.raises(zoo.UsageError, match="lenet5"):
        zoo.evaluate("lenet5")
    with pytest.raises(zoo.UnknownName):
        zoo.evaluate(run.model, data="nothing")
    with pytest.raises(zoo.UnknownName):
        zoo.evaluate("lenet5.nowhere")


def test_evaluate_leaves_the_module_as_it_was(run: zoo.TrainResult) -> None:
    module = zoo.load(run.weights).module.train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    model = zoo.load(run.weights)
    model.module = module
    zoo.evaluate(model, device="cpu")
    assert module.training
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_names_settled_by_a_preference_are_recorded_in_full(registry: zoo.Registry) -> None:
    twice = [*registry.plugins, *(replace(plugin, distribution="other") for plugin in registry.plugins)]
    names = ("zoo-kit:lenet5", "zoo-kit:digits", "zoo-kit:cross_entropy")
    run = zoo.train(
        "lenet5", data="digits", epochs=1, batch_size=512, device="cpu", registry=zoo.Registry(twice, prefer=names)
    )
    card = run.model.card
    recorded = [card.recipe[name] for name in ("architecture", "data", "loss")]
    assert [name.partition("/")[0] for name in recorded] == ["zoo-kit"] * 3
    assert run.weights.name == "lenet5.digits.safetensors"
    loss_only = zoo.Registry(twice, prefer=names[2:])  # the card itself names the rest
    assert zoo.evaluate(run.weights, device="cpu", registry=loss_only).top1 == run.metrics["top1"]
    assert zoo.train(recipe_of(card), tag="again", device="cpu", registry=loss_only).model.card.digest == card.digest


def recipe_of(card: Any) -> zoo.Recipe:
    """The recipe that a card records."""
    return to_recipe(card.recipe, "the card")


def test_fields_a_recipe_and_the_command_line_give_one_card() -> None:
    start = zoo.train("lenet5", data="digits", epochs=1, batch_size=512, device="cpu", params={"activation": "relu"})
    fields: dict[str, Any] = {
        "initial_checkpoint": str(start.weights.absolute()),
        "loss_params": {"label_smoothing": "0.1"},
        "epochs": 1,
        "batch_size": 512,
    }
    runs = {
        "fields": zoo.train("lenet5", data="digits", **fields, tag="x", output="a", device="cpu"),
        "recipe": zoo.train(
            zoo.Recipe(architecture="lenet5", data="digits", **fields), tag="x", output="b", device="cpu"
        ),
    }
    words = f"lenet5 --data digits --initial-checkpoint {fields['initial_checkpoint']} --epochs 1 -b 512 --tag x -o c"
    assert command_line(["train", *words.split(), "--loss-param", "label_smoothing=0.1", "--device", "cpu"]) == 0
    cards = [each.model.card for each in runs.values()] + [zoo.load("c/lenet5.x.safetensors").card]
    assert cards[0] == cards[1] == cards[2]
    assert cards[0].params == {"activation": "relu"} and cards[0].recipe["loss_params"] == {"label_smoothing": 0.1}
