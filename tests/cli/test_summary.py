"""`zoo summary` tells layers, output shapes and parameters, and its totals are the real ones."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zoo.models.load import BuildArgs, open_model
from zoo.registry.registry import Registry

Run = Callable[..., Any]


def summary(run_zoo: Run, *arguments: str) -> Any:
    ran = run_zoo("summary", *arguments, "--json")
    assert (ran.code, ran.err) == (0, "")
    return json.loads(ran.out)


def test_lenet5_layer_by_layer(run_zoo: Run) -> None:
    told = summary(run_zoo, "lenet5")
    assert told["parameters"] == told["trainable"] == 61_706
    assert told["parameter_bytes"] == 4 * 61_706
    leaves = [layer for layer in told["layers"] if layer["type"] in ("Conv2d", "Linear")]
    assert [(layer["type"], layer["output_shape"], layer["parameters"]) for layer in leaves] == [
        ("Conv2d", [1, 6, 28, 28], 156),
        ("Conv2d", [1, 16, 10, 10], 2_416),
        ("Linear", [1, 120], 48_120),
        ("Linear", [1, 84], 10_164),
        ("Linear", [1, 10], 850),
    ]
    assert told["mult_adds"] == 156 * 784 + 2_416 * 100 + 48_120 + 10_164 + 850


def test_people_get_a_table(run_zoo: Run) -> None:
    text = run_zoo("summary", "lenet5").out
    for part in ("Conv2d", "[1, 6, 28, 28]", "2,416", "Linear", "Total params: 61,706"):
        assert part in text


@pytest.mark.parametrize("name", ["resnet20", "alexnet_cifar", "mobilenet_v3_small"])
def test_the_totals_are_those_of_the_module(run_zoo: Run, registry: Registry, name: str) -> None:
    module = open_model(registry, name, BuildArgs(num_classes=7)).module
    told = summary(run_zoo, name, "--num-classes", "7")
    assert told["parameters"] == sum(parameter.numel() for parameter in module.parameters())
    assert told["layers"][0]["output_shape"] == [1, 7]


def test_options_decide_a_fresh_model(run_zoo: Run) -> None:
    told = summary(run_zoo, "resnet20", "--channels", "1", "--img-size", "48", "-b", "3", "--num-classes", "4")
    assert told["layers"][0]["output_shape"] == [3, 4]
    assert next(layer for layer in told["layers"] if layer["type"] == "Conv2d")["output_shape"] == [3, 16, 48, 48]
    relu = summary(run_zoo, "lenet5", "-p", "activation=relu")
    assert "ReLU" in {layer["type"] for layer in relu["layers"]}
    assert max(layer["depth"] for layer in summary(run_zoo, "resnet20", "--depth", "1")["layers"]) == 1


def test_a_weights_file_has_decided_already(run_zoo: Run, trained: Path, explained: Callable[..., str]) -> None:
    assert summary(run_zoo, str(trained))["parameters"] == 61_706
    assert "weights file" in explained(run_zoo("summary", str(trained), "--channels", "3"), 2)


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (("train", "--lr"), "zoo train --help"),
        (("summary", "lenet5", "-b"), "zoo summary --help"),
        (("weights", "verify", "--nothing"), "zoo weights verify --help"),
        (("--nothing",), "zoo --help"),
    ],
)
def test_wrong_options_name_the_help_of_their_command(run_zoo: Run, words: tuple[str, ...], command: str) -> None:
    ran = run_zoo(*words)
    assert ran.code == 2 and f"`{command}`" in ran.err
