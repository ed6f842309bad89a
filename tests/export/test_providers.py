"""An artifact is judged on the providers asked for, and on no other that one of them falls back to."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from zoo.contract.errors import DeviceError, ExportError
from zoo_export.capture import Capture
from zoo_export.formats.onnx import providers
from zoo_export.formats.onnx.format import runner
from zoo_export.formats.torchscript import format as torchscript_format
from zoo_export.parity.backend import CPU, CUDA_TF32, TF32_EPSILON, Backend, settings_of
from zoo_export.parity.check import make_checks
from zoo_export.parity.reference import EPS32, _Noise, at_backend, make_references
from zoo_export.probes.probes import make_probes
from zoo_export.verify import verify_folder

GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
NO_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")


@NO_GPU
@pytest.mark.parametrize(
    ("provider", "said"),
    [
        ("cuda", "does not load"),
        ("cpu,cuda", "does not load"),
        ("tensorrt", "does not load"),
        ("coreml", "not built into"),
        ("quantum", "knows no provider 'quantum'"),
        ("cuda-tf32", "knows no provider 'cuda-tf32'"),
    ],
)
def test_a_provider_that_cannot_be_used_ends_it_before_any_work(
    run_zoo, tmp_path: Path, provider: str, said: str
) -> None:
    """Not even the model is opened: there is none of that name."""
    out = tmp_path / "made" / "out"
    ran = run_zoo("export", "no_such_model", "-o", str(out), "--provider", provider)
    assert ran.code == 1 and not ran.out
    assert said in ran.err and "next:" in ran.err and "Traceback" not in ran.err
    assert list(tmp_path.iterdir()) == []
    assert run_zoo("verify", str(tmp_path), "--provider", provider).err == ran.err


def test_no_provider_at_all_is_wrong_usage(run_zoo, tmp_path: Path) -> None:
    assert run_zoo("export", "lenet5", "-o", str(tmp_path / "out"), "--provider", " , ").code == 2


def test_the_cpu_is_checked_like_any_other(monkeypatch) -> None:
    providers.check_providers(["cpu"])
    monkeypatch.setattr(onnxruntime, "get_available_providers", list)
    with pytest.raises(DeviceError, match="not built into"):
        providers.check_providers(["cpu"])


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
        runner(exported.path / "model.onnx", provider="cuda")
    assert "gets CPUExecutionProvider" in providers.why_not("CUDAExecutionProvider")


def test_a_session_that_leaves_every_node_to_the_cpu_is_refused(exported, monkeypatch) -> None:
    monkeypatch.setattr("zoo_export.formats.onnx.format.full_name", lambda provider: "CPUExecutionProvider")
    with pytest.raises(DeviceError, match=r"no part of model\.onnx on cuda"):
        runner(exported.path / "model.onnx", provider="cuda")


def test_running_falls_back_to_nothing_either(exported, monkeypatch) -> None:
    opened = []
    real = onnxruntime.InferenceSession

    def opening(*given: Any, **more: Any) -> Any:
        opened.append(real(*given, **more))
        return opened[-1]

    monkeypatch.setattr(onnxruntime, "InferenceSession", opening)
    runner(exported.path / "model.onnx")
    assert len(opened) == 3 and not any(session._enable_fallback for session in opened)


def test_cuda_is_judged_without_and_with_tf32_and_nothing_else_is() -> None:
    assert [setting.provider for setting in settings_of(["cpu", "cuda"])] == ["cpu", "cuda", "cuda-tf32"]
    assert settings_of(["cpu"]) == [CPU]
    assert [setting.device.type for setting in settings_of(["cpu", "cuda", "openvino"])] == [
        "cpu",
        "cuda",
        "cuda",
        "cpu",
    ]
    assert providers.TF32["cuda"] == {"use_tf32": "0"} and providers.TF32[CUDA_TF32] == {"use_tf32": "1"}


@pytest.mark.parametrize("provider", ["cuda", CUDA_TF32])
@pytest.mark.parametrize("before", [(False, True), (True, False)])
def test_pytorch_rounds_to_tf32_as_the_setting_says_and_afterwards_as_before(provider: str, before: Any) -> None:
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    kept = matmul.allow_tf32, cudnn.allow_tf32
    try:
        matmul.allow_tf32, cudnn.allow_tf32 = before
        with pytest.raises(KeyError), Backend(provider).active():
            assert matmul.allow_tf32 == cudnn.allow_tf32 == (provider == CUDA_TF32)
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
    assert EPS32 == CPU.epsilon < Backend(CUDA_TF32).epsilon == TF32_EPSILON


def test_another_setting_has_the_same_truth_and_a_rounding_error_of_its_own(make_model) -> None:
    """Half precision on the CPU: a setting other than the usual that any machine has."""
    model = make_model()
    before = {name: value.clone() for name, value in model.module.state_dict().items()}
    usual = make_references(model.module, make_probes(model.card.preprocess))
    half = at_backend(model.module, usual, Backend(dtype=torch.float16))
    for one, other in zip(usual, half, strict=True):
        assert one.truth is other.truth and one.probe is other.probe
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


def elsewhere_is_here(monkeypatch) -> None:
    """Have a provider that computes as the CPU does stand for one that this machine lacks."""
    monkeypatch.setattr("zoo_export.pipeline.check_providers", lambda names: None)
    monkeypatch.setattr("zoo_export.verify.check_providers", lambda names: None)
    monkeypatch.setattr("zoo_export.formats.onnx.format.left_to_cpu", lambda session: (1, 3))
    monkeypatch.setattr("zoo_export.formats.onnx.format.full_name", lambda provider: "CPUExecutionProvider")


def test_each_provider_is_judged_and_the_certificate_has_its_rounding_error(
    make_model, registry, try_export, monkeypatch
) -> None:
    elsewhere_is_here(monkeypatch)
    told: list[str] = []
    made = try_export(make_model(), "onnx", "torchscript", providers=("cpu", "dnnl"), on_stage=told.append)
    assert "checking model.onnx on cpu, dnnl" in told
    names = {one.runner for one in made.comparisons["onnx"]}
    assert "onnxruntime, no optimizations" in names
    assert "onnxruntime, no optimizations on dnnl, 1 of 3 nodes on the CPU" in names
    assert len(names) == 6
    manifest = json.loads((made.path / "manifest.json").read_text())
    for probe in manifest["certificate"]["probes"]:
        assert probe["rounding_errors"]["dnnl"] > 0
    verified = verify_folder(registry, made.path, providers=("cpu", "dnnl"))
    assert {one.runner for one in verified.comparisons["onnx"]} == names
    with pytest.raises(ExportError, match="openvino"):
        verify_folder(registry, made.path, providers=("openvino",))


def test_a_format_that_knows_no_provider_is_judged_on_the_cpu(
    make_model, make_registry, try_export, monkeypatch
) -> None:
    elsewhere_is_here(monkeypatch)

    def plain(path: Path) -> Any:
        return torchscript_format.runner(path)

    told: list[str] = []
    registry = make_registry(torchscript_format.export, plain)
    made = try_export(make_model(), "planted", registry=registry, providers=("dnnl",), on_stage=told.append)
    assert any("on the CPU, the only place" in text for text in told)
    assert {one.runner for one in made.comparisons["planted"]} == {""}


def test_an_artifact_that_is_wrong_on_one_provider_alone_is_not_published(
    make_model, make_registry, try_export, monkeypatch, tmp_path: Path
) -> None:
    elsewhere_is_here(monkeypatch)
    asked: list[str] = []

    def wrong_on_one(path: Path, *, provider: str = "cpu") -> Any:
        asked.append(provider)
        run = torchscript_format.runner(path)
        return run if provider == "cpu" else lambda images: run(images) * np.float32(1.001)

    registry = make_registry(torchscript_format.export, wrong_on_one)
    with pytest.raises(Exception, match=r"does not compute.*\(dnnl\)"):
        try_export(make_model(), "planted", registry=registry, providers=("cpu", "dnnl"))
    assert asked == ["cpu", "dnnl"] and not list(tmp_path.iterdir())


def test_the_same_bytes_are_written_whether_a_provider_is_named_or_not(make_model, try_export, exported) -> None:
    manifest = try_export(make_model(), "onnx", providers=("cpu",)).manifest.to_dict()
    assert manifest["certificate"]["probes"] == exported.manifest.to_dict()["certificate"]["probes"]


@pytest.mark.gpu
@GPU
def test_every_format_is_judged_on_the_gpu_with_and_without_tf32(make_model, try_export) -> None:
    found = try_export(make_model(), "onnx", "torchscript", "pt2", providers=("cpu", "cuda")).comparisons
    for name, n in (("onnx", 9), ("torchscript", 3), ("pt2", 3)):
        runners = {one.runner for one in found[name]}
        assert len(runners) == n
        assert sum("cuda-tf32" in runner for runner in runners) == n // 3


@pytest.mark.gpu
@GPU
def test_damage_that_tf32_would_hide_is_found_without_it(make_model, make_registry, try_export) -> None:
    def damaged(capture: Capture, path: Path) -> None:
        wrong = make_model().module
        with torch.no_grad():
            wrong.head.weight.mul_(1 + 5e-4)
        torchscript_format.export(Capture(capture.name, wrong, capture.card), path)

    registry = make_registry(damaged, torchscript_format.runner)
    with pytest.raises(Exception, match="does not compute"):
        try_export(make_model(), "planted", registry=registry, providers=("cuda",))


@pytest.mark.gpu
@GPU
def test_rounding_errors_on_the_gpu_are_of_the_size_of_its_rounding(make_model) -> None:
    model = make_model()
    (check,) = make_checks(model.module, make_probes(model.card.preprocess), settings_of(["cpu", "cuda"]))[:1]
    for usual, there, coarse in zip(check.probes, check.at(Backend("cuda")), check.at(Backend(CUDA_TF32)), strict=True):
        assert there.rounding_error < 20 * usual.rounding_error and usual.rounding_error < 20 * there.rounding_error
        assert TF32_EPSILON * coarse.peak <= coarse.rounding_error < 100 * TF32_EPSILON * coarse.peak
    assert next(model.module.parameters()).device.type == "cpu"


@pytest.mark.gpu
@GPU
def test_a_folder_is_verified_on_the_gpu(make_model, try_export, registry) -> None:
    made = try_export(make_model(), "onnx", "torchscript", "pt2", providers=("cuda",))
    assert verify_folder(registry, made.path, providers=("cpu", "cuda")).comparisons
