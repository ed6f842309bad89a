"""`package.module:factory`: a module of one's own is exported without a plugin, and errors are plain."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import zoo
from zoo.registry.model_kind import ModelKind, model_kind
from zoo.registry.registry import Registry

SOURCE = """
import torch
from zoo import Preprocess
from ownparts.head import Head

class Net(torch.nn.Module):
    def __init__(self, classes=4):
        super().__init__()
        self.stem = torch.nn.Conv2d(3, 8, 3, stride=2)
        self.head = Head(8, classes)

    def forward(self, images):
        return self.head(self.stem(images).relu().mean((2, 3)))

def make():
    torch.manual_seed(0)
    return Net()

def described():
    how = Preprocess(size=(24, 24), mean=(0.5,) * 3, std=(0.25,) * 3)
    return make(), {"labels": ["a", "b", "c", "d"], "preprocess": how, "name": "own"}

def needy(classes): return Net(classes)
def nothing(): return None
def unknown(): return make(), {"classes": 4}
def broken(): raise RuntimeError("no such file: weights.pth")
number = 3
"""
HEAD = "import torch\n\nclass Head(torch.nn.Linear):\n    pass\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with a package of its own."""
    folder = tmp_path / "project"
    (folder / "ownparts").mkdir(parents=True)
    (folder / "ownparts" / "__init__.py").touch()
    (folder / "ownparts" / "head.py").write_text(HEAD)
    (folder / "ownparts" / "nets.py").write_text(SOURCE)
    (folder / "ownparts" / "bad.py").write_text("1 / 0")
    monkeypatch.chdir(folder)
    before = set(sys.modules)
    path = list(sys.path)
    yield folder
    assert sys.path == path
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in ("ownparts", "nets"):
            del sys.modules[name]


def test_a_factory_is_exported_and_verified(project: Path, run_zoo: Callable[..., Any]) -> None:
    shape = ("--input-shape", "3,24,24", "--mean", "0.5", "--std", "0.25")
    ran = run_zoo("export", "ownparts.nets:make", "-f", "torchscript", "-o", "out", *shape, "--json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["fresh"] is False
    manifest = json.loads((project / "out" / "manifest.json").read_text())
    assert manifest["card"]["preprocess"]["mean"] == [0.5, 0.5, 0.5] and manifest["labels"] == ["0", "1", "2", "3"]
    assert run_zoo("verify", "out", "--against", "ownparts/nets.py:make", *shape).code == 0
    (project / "labels.txt").write_text("a\nb\nc\n")
    ran = run_zoo("export", "ownparts.nets:make", "-o", "more", *shape, "--labels", "labels.txt")
    assert ran.code == 2 and "3 labels" in ran.err and not (project / "more").exists()


def test_a_factory_describes_its_module(project: Path) -> None:
    out = zoo.export("ownparts.nets:described", formats=("torchscript",))
    assert out.path == Path("exports/own") and out.manifest.labels == ("a", "b", "c", "d")
    assert out.manifest.card["preprocess"]["size"] in ((24, 24), [24, 24])


@pytest.mark.parametrize(
    ("name", "kind", "part"),
    [
        ("ownparts.nets:needy", zoo.UsageError, "classes"),
        ("ownparts.nets:nothing", zoo.ExportError, "NoneType"),
        ("ownparts.nets:unknown", zoo.ExportError, "'classes'"),
        ("ownparts.nets:broken", zoo.ExportError, "RuntimeError: no such file: weights.pth"),
        ("ownparts.nets:number", zoo.ExportError, "int"),
        ("ownparts.nets:mak", zoo.UnknownName, "ownparts.nets:make"),
        ("ownparts.bad:make", zoo.ExportError, "ZeroDivisionError"),
        ("ownparts.none:make", zoo.ExportError, "ownparts.none"),
        ("nosuchpackage.nets:make", zoo.UnknownName, "nosuchpackage"),
        ("ownparts/none.py:make", zoo.UnknownName, "ownparts/none.py"),
        ("ownparts.nets:make", zoo.UsageError, "input_shape"),
    ],
)
def test_errors_name_what_is_wrong(project: Path, name: str, kind: type[zoo.ZooError], part: str) -> None:
    with pytest.raises(kind) as raised:
        zoo.export(name, formats=("torchscript",))
    assert part in f"{raised.value.cause} {raised.value.next_step}"
    assert not (project / "exports").exists()


def test_names_of_plugins_stay_architectures(registry: Registry) -> None:
    for name in ("zoo-kit:lenet5", "classic:lenet5", "zoo_kit:lenet5", "zoo-kit/classic:lenet5", "lenet5", "a.b"):
        assert model_kind(registry, name) is not ModelKind.FACTORY
    for name in ("package.module:make", "module:Net.make", "path/to/file.py:make", "./file.py:make"):
        assert model_kind(registry, name) is ModelKind.FACTORY
