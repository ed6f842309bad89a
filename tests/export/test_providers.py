"""An artifact is judged on the providers asked for, and on no other that one of them falls back to."""

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from zoo.contract.callback import Callback
from zoo.contract.errors import DeviceError, ExportError
from zoo.contract.exporting.artifact import Paths
from zoo.contract.formats import ExportFormat
from zoo_export.capture import Capture
from zoo_export.devices import check_devices
from zoo_export.formats.onnx import providers
from zoo_export.formats.onnx.runner import runner
from zoo_export.formats.torchscript import format as torchscript_format
from zoo_export.parity.check import make_checks
from zoo_export.precisions.fp16 import FP16
from zoo_export.precisions.in_use import PrecisionInUse
from zoo_export.probes.probes import make_probes
from zoo_export.truth.backend import CPU, TF32_EPSILON, Backend
from zoo_export.truth.reference import EPS32, _Noise, at_backend, make_references
from zoo_export.verify import verify_folder

GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
NO_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")


@NO_GPU
@pytest.mark.parametrize(
    ("provider", "named"),
    [
        ("cuda", "does not load"),
        ("cpu,cuda", "does not load"),
        ("tensorrt", "does not load"),
        ("coreml", "not built into"),
        ("quantum", "'quantum'"),
        ("cuda-tf32", "'cuda-tf32'"),
    ],
)
def test_a_provider_that_cannot_be_used_is_refused_early(run_zoo, tmp_path: Path, provider: str, named: str) -> None:
    out = tmp_path / "made" / "out"
    ran = run_zoo("export", "lenet5", "-o", str(out), "--provider", provider)
    assert ran.code == 1 and not ran.out
    assert named in ran.err and "next:" in ran.err and "Traceback" not in ran.err
    assert "evaluating" not in ran.err and "exporting" not in ran.err
    assert list(tmp_path.iterdir()) == []


def test_no_provider_at_all_is_wrong_usage(run_zoo, tmp_path: Path) -> None:
    assert run_zoo("export", "lenet5", "-o", str(tmp_path / "out"), "--provider", " , ").code == 2


@NO_GPU
def test_verify_refuses_a_device_that_does_not_work(run_zoo, exported) -> None:
    for device in ("cuda", "quantum"):
        ran = run_zoo("verify", str(exported.path), "--device", device)
        assert ran.code == 1 and device in ran.err and "Traceback" not in ran.err


def test_the_cpu_is_checked_like_any_other(monkeypatch, registry) -> None:
    entries = [registry.find(ExportFormat, "onnx")]
    check_devices(entries, ["cpu"])
    monkeypatch.setattr(onnxruntime, "get_available_providers", list)
    with pytest.raises(DeviceError, match="not built into"):
        check_devices(entries, ["cpu"])


class Fallen:
    """A session that onnxruntime has put on the CPU, as it does where the GPU is not there."""

    def __init__(self, *given: Any, **more: Any) -> None:
        self.given = given

    def disable_fallback(self) -> None:
        pass

    def get_providers(self) -> list[str]:
        return ["CPUExecutionProvider"]


def test_a_session_that_fell_back_is_never_run(exported, monkeypatch) -> None:
    monkeypatch.setattr(onnxruntime, "InferenceSession", Fallen)
    with pytest.raises(DeviceError, match="gets CPUExecutionProvider"):
        runner(Paths({"model": exported.path / "model.onnx"}), Backend("cuda"))
    assert "gets CPUExecutionProvider" in providers.why_not("CUDAExecutionProvider")


def test_a_session_that_leaves_every_node_to_the_cpu_is_refused(exported, monkeypatch) -> None:
    monkeypatch.setattr("zoo_export.formats.onnx.runner.full_name", lambda provider: "CPUExecutionProvider")
    with pytest.raises(DeviceError, match=r"no part of model\.onnx on cuda"):
        runner(Paths({"model": exported.path / "model.onnx"}), Backend("cuda"))


def test_running_falls_back_to_nothing_either(exported, monkeypatch) -> None:
    opened = []
    real = onnxruntime.InferenceSession

    def opening(*given: Any, **more: Any) -> Any:
        opened.append(real(*given, **more))
        return opened[-1]

    monkeypatch.setattr(onnxruntime, "InferenceSession", opening)
    runner(Paths({"model": exported.path / "model.onnx"}))
    assert len(opened) == 3 and not any(session._enable_fallback for session in opened)


def test_only_cuda_is_judged_with_and_without_tf32() -> None:
    backends = PrecisionInUse().backends(["cpu", "cuda", "openvino"])
    assert [backend.label for backend in backends] == ["cpu", "cuda", "cuda-tf32", "openvino"]
    assert [backend.torch_device.type for backend in backends] == ["cpu", "cuda", "cuda", "cpu"]
    assert PrecisionInUse().backends(["cpu"]) == [CPU]
    assert [backend.label for backend in PrecisionInUse("fp16", FP16).backends(["cuda"])] == ["cuda"]
    options = [providers.provider_options(backend) for backend in backends]
    assert options == [{}, {"use_tf32": "0"}, {"use_tf32": "1"}, {}]


@pytest.mark.parametrize("tf32", [False, True])
@pytest.mark.parametrize("before", [(False, True), (True, False)])
def test_tf32_setting_is_applied_and_restored(tf32: bool, before: Any) -> None:
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    kept = matmul.allow_tf32, cudnn.allow_tf32
    try:
        matmul.allow_tf32, cudnn.allow_tf32 = before
        with pytest.raises(KeyError), Backend("cuda", tf32=tf32).active():
            assert matmul.allow_tf32 == cudnn.allow_tf32 == tf32
            raise KeyError
        assert (matmul.allow_tf32, cudnn.allow_tf32) == before
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = kept


def test_jitter_is_as_large_as_the_settings_own_rounding() -> None:
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        factors = _Noise(1, Backend(dtype=dtype)).like(torch.ones(1000, dtype=dtype))
        epsilon = torch.finfo(dtype).eps
        assert factors.dtype == dtype
        assert 0.4 * epsilon < float((factors.double() - 1).abs().max()) <= 1.001 * epsilon
    assert EPS32 == CPU.epsilon < Backend("cuda", tf32=True).epsilon == TF32_EPSILON


def test_backend_changes_rounding_error_not_truth(make_model) -> None:
    """Half precision on the CPU: a setting other than the usual that any machine has."""
    model = make_model()
    before = {name: value.clone() for name, value in model.module.state_dict().items()}
    usual = make_references(model.module, make_probes(model.card.preprocess))
    half = at_backend(model.module, usual, Backend(dtype=torch.float16))
    for one, other in zip(usual, half, strict=True):
        assert one.truth is other.truth and one.images is other.images
        assert other.rounding_error >= 2.0**-10 * other.peak and other.rounding_error > 100 * one.rounding_error
    assert all(torch.equal(value, before[name]) for name, value in model.module.state_dict().items())


def test_what_does_not_run_at_a_setting_is_explained(make_model) -> None:
    model = make_model(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 4)))
    usual = make_references(model.module, make_probes(model.card.preprocess))
    with torch.no_grad():
        model.module[1].weight.mul_(1e6)
    with pytest.raises(ExportError, match=r"not finite on the probe .* in float16 on the CPU"):
        at_backend(model.module, usual, Backend(dtype=torch.float16))
    model.module[0].forward = lambda images: images.flatten(1).float()
    with pytest.raises(ExportError, match="does not run on its own probes in float16 on the CPU"):
        at_backend(model.module, usual, Backend(dtype=torch.float16))


class Messages(Callback):
    """Keeps every message."""

    def __init__(self, messages: list[str]) -> None:
        self.messages = messages

    def on_message(self, text: str, *, warning: bool = False) -> None:
        self.messages.append(text)


def elsewhere_is_here(monkeypatch) -> None:
    """Have a provider that computes as the CPU does stand for one that this machine lacks."""
    monkeypatch.setattr("zoo_export.formats.onnx.providers.why_not", lambda name: "")
    monkeypatch.setattr("zoo_export.formats.onnx.runner.left_to_cpu", lambda session: (1, 3))
    monkeypatch.setattr("zoo_export.formats.onnx.runner.full_name", lambda provider: "CPUExecutionProvider")


def test_certificate_has_each_providers_rounding_error(make_model, registry, try_export, monkeypatch) -> None:
    elsewhere_is_here(monkeypatch)
    told: list[str] = []
    made = try_export(make_model(), "onnx", "torchscript", devices=("cpu", "dnnl"), callback=Messages(told))
    assert "checking model.onnx on cpu, dnnl" in told
    names = {one.runner for one in made.comparisons["onnx"]}
    assert "onnxruntime, no optimizations" in names
    assert "onnxruntime, no optimizations on dnnl, 1 of 3 nodes on the CPU" in names
    assert len(names) == 6
    manifest = json.loads((made.path / "manifest.json").read_text())
    for probe in manifest["certificate"]["probes"]:
        assert probe["rounding_errors"]["dnnl"] > 0
    verified = verify_folder(registry, made.path, devices=("cpu", "dnnl"), trust=True)  # a child knows no such device
    assert {one.runner for one in verified.comparisons["onnx"]} == names
    with pytest.raises(ExportError, match="openvino"):
        verify_folder(registry, made.path, devices=("openvino",))


def test_a_format_that_knows_no_provider_is_judged_on_the_cpu(
    make_model, make_registry, try_export, monkeypatch
) -> None:
    elsewhere_is_here(monkeypatch)

    told: list[str] = []
    registry = make_registry(torchscript_format.export, torchscript_format.runner)
    made = try_export(make_model(), "onnx", "planted", registry=registry, devices=("dnnl",), callback=Messages(told))
    assert {"checking model.onnx on dnnl", "checking model.planted on cpu"} <= set(told)
    assert {one.runner for one in made.comparisons["planted"]} == {""}


def test_wrong_result_on_one_provider_is_not_published(
    make_model, make_registry, try_export, monkeypatch, tmp_path: Path
) -> None:
    loaded: list[str] = []

    def wrong_on_one(paths: Paths, backend: Backend) -> Any:
        loaded.append(backend.device)
        run = torchscript_format.runner(paths)
        return run if backend.device == "cpu" else lambda images: run(images) * np.float32(1.001)

    devices = ModuleType("planted_devices")
    devices.devices = lambda: {"cpu": lambda: "", "dnnl": lambda: ""}  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, devices.__name__, devices)
    registry = make_registry(torchscript_format.export, wrong_on_one, devices="planted_devices:devices")
    with pytest.raises(Exception, match=r"does not compute.*\(dnnl\)"):
        try_export(make_model(), "planted", registry=registry, devices=("cpu", "dnnl"))
    assert loaded == ["cpu", "dnnl"] and not list(tmp_path.iterdir())


def test_provider_option_does_not_change_the_bytes(make_model, try_export, exported) -> None:
    manifest = try_export(make_model(), "onnx", devices=("cpu",)).manifest.to_dict()
    assert manifest["certificate"]["probes"] == exported.manifest.to_dict()["certificate"]["probes"]


@pytest.mark.gpu
@GPU
def test_formats_are_judged_on_the_gpu_with_and_without_tf32(make_model, try_export) -> None:
    found = try_export(make_model(), "onnx", "torchscript", "pt2", devices=("cpu", "cuda")).comparisons
    for name, n in (("onnx", 9), ("torchscript", 3), ("pt2", 3)):
        runners = {one.runner for one in found[name]}
        assert len(runners) == n
        assert sum("cuda-tf32" in runner for runner in runners) == n // 3


@pytest.mark.gpu
@GPU
def test_damage_that_tf32_would_hide_is_found_without_it(make_model, make_registry, try_export) -> None:
    def damaged(capture: Capture, paths: Paths) -> None:
        wrong = make_model().module
        with torch.no_grad():
            wrong.head.weight.mul_(1 + 5e-4)
        torchscript_format.export(Capture(capture.name, wrong, capture.card), paths)

    registry = make_registry(damaged, torchscript_format.runner, devices="zoo_export.formats.torch_runner:devices")
    with pytest.raises(Exception, match="does not compute"):
        try_export(make_model(), "planted", registry=registry, devices=("cuda",))


@pytest.mark.gpu
@GPU
def test_gpu_rounding_errors_have_the_expected_size(make_model) -> None:
    model = make_model()
    (check,) = make_checks(
        model.module, make_probes(model.card.preprocess), PrecisionInUse().backends(["cpu", "cuda"])
    )[:1]
    for usual, there, coarse in zip(
        check.probes, check.at(Backend("cuda")), check.at(Backend("cuda", tf32=True)), strict=True
    ):
        assert there.rounding_error < 20 * usual.rounding_error and usual.rounding_error < 20 * there.rounding_error
        assert TF32_EPSILON * coarse.peak <= coarse.rounding_error < 100 * TF32_EPSILON * coarse.peak
    assert next(model.module.parameters()).device.type == "cpu"


@pytest.mark.gpu
@GPU
def test_a_folder_is_verified_on_the_gpu(make_model, try_export, registry) -> None:
    made = try_export(make_model(), "onnx", "torchscript", "pt2", devices=("cuda",))
    assert verify_folder(registry, made.path, devices=("cpu", "cuda")).comparisons
