"""What a MODEL can be is the same in every command: a folder of the hub's layout, with and without `local-dir:`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import zoo
from zoo.files.weights import save_weights
from zoo.models.load import open_model
from zoo.registry.model_kind import ModelKind, model_kind
from zoo.registry.registry import Registry

RunZoo = Callable[..., Any]


@pytest.fixture
def folder(here: Path, registry: Registry) -> Path:
    """A LeNet-5 for digits in the hub's layout, in the current folder, and an image."""
    pytest.importorskip("huggingface_hub")
    digits = registry.find(zoo.Dataset, "digits").spec
    fresh = open_model(registry, "lenet5", zoo_build(len(digits.classes)))
    card = type(fresh.card)(**{**vars(fresh.card), "classes": digits.classes, "dataset": "digits"})
    path = here / "w" / "lenet5.made.safetensors"
    save_weights(path, fresh.module.state_dict(), card)
    zoo.push(path, "local-dir:ours", registry=registry)
    Image.fromarray(np.zeros((28, 28), np.uint8)).save("black.png")
    return here / "ours"


def zoo_build(num_classes: int) -> Any:
    from zoo.models.load import BuildArgs

    return BuildArgs(num_classes=num_classes, channels=1)


NAMES = ["ours", "./ours", "local-dir:ours", "{absolute}", "local-dir:{absolute}"]
COMMANDS = {
    "show": ["show", "MODEL"],
    "summary": ["summary", "MODEL"],
    "predict": ["predict", "MODEL", "black.png"],
    "evaluate": ["evaluate", "MODEL"],
    "export": ["export", "MODEL", "-f", "torchscript", "-o", "x"],
    "weights show": ["weights", "show", "MODEL"],
    "weights verify": ["weights", "verify", "MODEL"],
    "weights upgrade": ["weights", "upgrade", "MODEL"],
    "push": ["push", "MODEL", "local-dir:again"],
    "train --initial-checkpoint": [
        *("train", "lenet5", "--data", "digits", "--epochs", "1", "--initial-checkpoint", "MODEL"),
    ],
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("command", [key for key in COMMANDS if key not in ("export", "train --initial-checkpoint")])
def test_every_command_takes_a_hub_folder(run_zoo: RunZoo, folder: Path, command: str, name: str) -> None:
    _runs(run_zoo, folder, command, name)


@pytest.mark.parametrize("command", ["export", "train --initial-checkpoint"])
def test_export_and_train_take_a_hub_folder(run_zoo: RunZoo, folder: Path, command: str) -> None:
    _runs(run_zoo, folder, command, "local-dir:ours")
    if command == "export":
        assert json.loads(Path("x/manifest.json").read_text())["name"] == "ours"
        for name in ("ours", "local-dir:ours"):
            ran = run_zoo("verify", "x", "--against", name)
            assert ran.code == 0, ran.err
    else:
        (stored,) = Path("weights").glob("*.safetensors")
        recipe = zoo.load(stored).card.recipe
        assert recipe["initial_checkpoint"].startswith("local-dir:ours@")
        ran = run_zoo("train", "lenet5", "--like", str(stored), "--tag", "again")
        assert ran.code == 0, ran.err


def _runs(run_zoo: RunZoo, folder: Path, command: str, name: str) -> None:
    name = name.format(absolute=folder)
    ran = run_zoo(*(name if word == "MODEL" else word for word in COMMANDS[command]))
    assert ran.code == 0, ran.err


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", ["local-dir:nowhere", "local-dir:w", "local-dir:", "local-dir:black.png"])
def test_a_folder_that_is_none_is_refused(run_zoo: RunZoo, folder: Path, command: str, name: str) -> None:
    ran = run_zoo(*(name if word == "MODEL" else word for word in COMMANDS[command]))
    assert (ran.code, ran.out) == (1, "") and name in ran.err and "\n  next: " in ran.err
    assert not any(Path(each).exists() for each in ("x", "again", "weights", "runs"))


def test_python_takes_a_hub_folder(folder: Path) -> None:
    for name in ("ours", folder, "local-dir:ours"):
        model = zoo.load(name)
        assert (model.name, model.path) == ("ours", Path("ours/model.safetensors")) or model.path == folder / (
            "model.safetensors"
        )
        assert sum(p.numel() for p in zoo.create_model(name, num_classes=7).parameters()) > 0
    assert zoo.evaluate("local-dir:ours").n == 359


def test_an_architecture_comes_before_a_folder(folder: Path, registry: Registry) -> None:
    folder.rename(folder.with_name("resnet18"))
    assert model_kind(registry, "resnet18") is ModelKind.ARCHITECTURE
    assert model_kind(registry, "./resnet18") is model_kind(registry, "local-dir:resnet18") is ModelKind.HUB_FOLDER


def test_each_kind_is_told_apart(folder: Path, registry: Registry) -> None:
    Path("x").mkdir()
    Path("x/manifest.json").write_text("{}")
    Path("model.onnx").write_bytes(b"")
    kinds = {
        ModelKind.EXPORT: ["x", "x/", "model.onnx"],
        ModelKind.HUB_FOLDER: ["ours", "local-dir:ours", "local-dir:nowhere"],
        ModelKind.FACTORY: ["my_net:make", "my/net.py:make"],
        ModelKind.WEIGHTS: ["lenet5.digits", "w/lenet5.made.safetensors", "some/where/else", "ours/model.safetensors"],
        ModelKind.ARCHITECTURE: ["lenet5", "classic:lenet5", "zoo-kit:lenet5", "timm/resnet18", "nothing"],
    }
    assert {
        kind: [name for name in names if model_kind(registry, name) is kind] for kind, names in kinds.items()
    } == kinds


@pytest.mark.parametrize("command", [["sign", "ours", "--key", "k.pem"], ["verify", "ours"]])
def test_what_needs_an_export_refuses_a_hub_folder(run_zoo: RunZoo, folder: Path, command: list[str]) -> None:
    Path("k.pem").write_text("a key, which is read later")
    ran = run_zoo(*command)
    assert ran.code == 1 and "ours" in ran.err and "model.safetensors" in ran.err


def test_an_export_is_no_weights_file(run_zoo: RunZoo, folder: Path) -> None:
    Path("x").mkdir()
    Path("x/manifest.json").write_text("{}")
    for command in ("show", "weights show", "weights verify", "summary"):
        ran = run_zoo(*(("x" if word == "MODEL" else word) for word in COMMANDS[command]))
        assert ran.code in (1, 2) and "x" in ran.err, ran.err
