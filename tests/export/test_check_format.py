"""`zoo.testing.check_format` accepts the formats that come with zoo, and notices each way to break the contract."""

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from zoo import ExportFormat
from zoo.contract.exporting.artifact import Backend, Capture, Paths, Stage
from zoo.testing import check_format
from zoo_export.formats import FORMATS
from zoo_export.formats.torchscript import format as torchscript


@pytest.mark.parametrize("name", [spec.name for spec in FORMATS])
def test_our_formats_keep_the_contract(name: str, registry) -> None:
    check_format(name, registry)


def made_up(monkeypatch: pytest.MonkeyPatch, functions: dict[str, Callable[..., Any]], **fields: Any) -> ExportFormat:
    """A format whose functions are those given, `export` and `runner` by default TorchScript's."""
    module = ModuleType("made_up_format")
    for name, function in {"export": torchscript.export, "runner": torchscript.runner, **functions}.items():
        setattr(module, name, function)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    refs = {name: f"made_up_format:{name}" for name in functions}
    refs |= {"export": "made_up_format:export", "runner": "made_up_format:runner"}
    return ExportFormat(**{"name": "made_up", "summary": "Made up", "suffix": ".made", **refs, **fields})


def test_five_fields_make_a_format(monkeypatch, registry) -> None:
    check_format(made_up(monkeypatch, {}), registry)


def second_file(capture: Capture, paths: Paths) -> None:
    torchscript.export(capture, paths)
    paths.main.with_name("left-over").write_text("x")


def other_bytes(capture: Capture, paths: Paths) -> None:
    torchscript.export(capture, paths)
    paths["note"].write_text(str(id(paths)))


def keeps_weights(capture: Capture, paths: Paths) -> None:
    torchscript.export(capture.memo.setdefault("first", capture), paths)


def changes_the_model(capture: Capture, paths: Paths) -> None:
    torchscript.export(capture, paths)
    capture.module.train()


def scaled(paths: Paths, backend: Backend) -> Any:
    run = torchscript.runner(paths, backend)
    return lambda images: run(images) * np.float32(1.001)


def falls_back(paths: Paths, backend: Backend) -> Any:
    return torchscript.runner(paths)


def one_stage(change: float) -> Callable[..., list[Stage]]:
    def stages(capture: Capture, paths: Paths, own: bool) -> list[Stage]:
        return [Stage("the file", lambda images: torchscript.runner(paths)(images) + np.float32(change))]

    return stages


BROKEN: dict[str, tuple[dict[str, Callable[..., Any]], dict[str, Any], str]] = {
    "nothing written": ({"export": lambda capture, paths: None}, {}, "does not write"),
    "a file too many": ({"export": second_file}, {}, "left-over"),
    "other bytes": ({"export": other_bytes}, {"suffix": "", "files": {"m": ".made", "note": ".note"}}, "other bytes"),
    "weights kept": ({"export": keeps_weights}, {}, "other weights"),
    "model changed": ({"export": changes_the_model}, {}, "changes"),
    "wrong numbers": ({"runner": scaled}, {}, "differs"),
    "no function": ({"runner": lambda paths, backend: {}}, {}, "no function"),
    "fallback": ({"runner": falls_back, "devices": lambda: {"cpu": lambda: ""}}, {}, "DeviceError"),
    "another last stage": ({"stages": one_stage(1e-7)}, {}, "last stage"),
    "wrong stage": ({"stages": one_stage(0.1)}, {}, "the file"),
    "no stages": ({"stages": lambda capture, paths, own: []}, {}, "no stage"),
    "readme": ({"readme": lambda paths: "How to run it"}, {}, "heading"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_format_is_noticed(monkeypatch, registry, kind: str) -> None:
    functions, fields, word = BROKEN[kind]
    with pytest.raises(AssertionError, match=word):
        check_format(made_up(monkeypatch, functions, **fields), registry)
