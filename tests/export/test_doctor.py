"""`zoo doctor` says what is here and what of it works, and does not take a library's word for it."""

import json
from importlib.metadata import version
from typing import Any

import onnxruntime
import pytest
import torch

CPU, CUDA, ONNX = "cpu", "cuda", "zoo-kit:onnx"


@pytest.fixture
def report(run_zoo) -> dict[str, Any]:
    ran = run_zoo("doctor", "--json")
    assert ran.code == 0, ran.err
    return dict(json.loads(ran.out))


def test_it_names_the_versions_that_are_installed(report: dict[str, Any]) -> None:
    for package in ("torch", "torchvision", "numpy", "onnx", "zoo-kit"):
        assert report["versions"][package] == version(package)
    assert report["versions"]["python"]
    assert report["versions"]["onnxruntime"] == onnxruntime.__version__


def test_it_names_the_devices_that_are_here(report: dict[str, Any]) -> None:
    assert "cpu" in report["devices"]
    assert ("cuda" in report["devices"]) == torch.cuda.is_available()


def test_the_cpu_provider_works(report: dict[str, Any]) -> None:
    assert report["formats"][ONNX][CPU] == "works"


def test_every_provider_is_told_of(report: dict[str, Any]) -> None:
    names = {name.removesuffix("ExecutionProvider").lower() for name in onnxruntime.get_available_providers()}
    assert report["formats"][ONNX].keys() >= names
    assert report["formats"]["zoo-kit:torchscript"].keys() == {CPU, CUDA}


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_silent_fallback_of_a_provider_is_reported(report: dict[str, Any]) -> None:
    told = report["formats"][ONNX].get(CUDA)
    assert told.startswith(("does not load", "is not built into"))


def test_dropped_provider_is_detected(run_zoo, monkeypatch) -> None:
    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: ["MadeUpExecutionProvider", "CPUExecutionProvider"]
    )
    told = json.loads(run_zoo("doctor", "--json").out)["formats"][ONNX]
    assert told["madeup"].startswith("does not load")
    assert told[CPU] == "works"


def test_it_names_folders_and_broken_plugins(report: dict[str, Any]) -> None:
    folders = report["folders"]
    assert folders.keys() == {"data", "weights"}
    assert all(folder.keys() == {"path", "exists"} for folder in (folders["data"], *folders["weights"]))
    assert report["plugins_left_out"] == {}


def test_without_json_the_same_is_readable(run_zoo, report: dict[str, Any]) -> None:
    out = run_zoo("doctor").out
    assert f"{ONNX} on {CPU}" in out and report["versions"]["torch"] in out
