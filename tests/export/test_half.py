"""Half precision: float32 at the edges, judged by half's own rounding, and only after a proof in float32."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn

import zoo_runtime
from zoo.contract.errors import DifferenceError, ExportError
from zoo.contract.exporting.artifact import CPU, Paths
from zoo_export.bundle import golden
from zoo_export.bundle.folder import read_folder
from zoo_export.capture import Capture
from zoo_export.formats.onnx.runner import runner
from zoo_export.formats.torchscript import format as torchscript_format
from zoo_export.parity.check import make_checks
from zoo_export.parity.judge import passed, run_and_judge
from zoo_export.precisions.fp16 import FP16, Half, constant_passes
from zoo_export.probes.probes import make_probes
from zoo_export.verification.folder import verify_folder
from zoo_export.verification.recorded import recorded_precision

HALF, SINGLE = "fp16", "float32"
PRECISIONS = ("fp32", "fp16")


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained lenet5.digits in half precision, in every format."""
    from zoo.cli.main import run

    folder = tmp_path_factory.mktemp("half") / "out"
    assert run(["export", "lenet5.digits", "-o", str(folder), "-f", "onnx,torchscript,pt2", "--precision", "fp16"]) == 0
    return folder


def manifest_of(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "manifest.json").read_text(encoding="utf-8")))


def test_formats_verify_strictly_and_by_the_runtime(registry, digits: Path) -> None:
    for strict in (False, True):
        found = verify_folder(registry, digits, strict=strict).comparisons
        assert set(found) == {"onnx", "torchscript", "pt2"}
    report = zoo_runtime.verify(digits)
    assert report.passed and report.tolerance_factor == 20


@pytest.mark.parametrize("name", ["model.onnx", "model.torchscript", "model.pt2"])
def test_a_single_file_is_judged_in_its_precision(run_zoo, digits: Path, tmp_path: Path, name: str) -> None:
    file = str(digits / name)
    ran = run_zoo("verify", file, "--against", "lenet5.digits", "--json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["precision"] == HALF
    assert run_zoo("verify", file, "--against", "lenet5.digits", "--precision", "fp32").code == 3
    alone = tmp_path / name
    shutil.copyfile(file, alone)
    assert run_zoo("verify", str(alone), "--against", "lenet5.digits").code == 3
    assert run_zoo("verify", str(alone), "--against", "lenet5.digits", "--precision", HALF).code == 0


def test_a_manifest_says_nothing_of_a_changed_file(run_zoo, digits: Path, tmp_path: Path) -> None:
    shutil.copyfile(digits / "manifest.json", tmp_path / "manifest.json")
    model = onnx.load(digits / "model.onnx")
    model.graph.initializer[0].CopyFrom(
        numpy_helper.from_array(
            numpy_helper.to_array(model.graph.initializer[0]) * np.float16(1.01), model.graph.initializer[0].name
        )
    )
    onnx.save(model, tmp_path / "model.onnx")
    assert recorded_precision(digits / "model.onnx") == HALF
    assert recorded_precision(tmp_path / "model.onnx") == "fp32"
    ran = run_zoo("verify", str(tmp_path / "model.onnx"), "--against", "lenet5.digits", "--precision", HALF)
    assert ran.code == 3 and "inconclusive" in ran.err  # within float16's rounding, and other tensors
    folder = run_zoo("verify", str(digits), "--precision", HALF)
    assert folder.code == 2 and "--precision" in folder.err


def test_the_certificate_states_both_proofs(digits: Path) -> None:
    manifest = manifest_of(digits)
    assert manifest["precision"] == HALF
    assert manifest["input"]["dtype"] == manifest["output"]["dtype"] == SINGLE
    certificate = manifest["certificate"]
    prior = certificate["prior_check"]
    assert prior["precision"] == "fp32"
    for half, (name, single) in zip(certificate["probes"], prior["rounding_errors"].items(), strict=True):
        assert half["name"] == name and half["rounding_error"] > 100 * single
        assert half["rounding_error"] >= 2.0**-10 * half["peak"]
    for name, found in prior["comparisons"].items():
        assert len(found) > len(certificate["artifacts"][name]["comparisons"]) > 0  # with probe weights too
        rounding_errors = {one["rounding_error"] for one in found if one["weights"] == "own_weights"}
        assert rounding_errors == set(prior["rounding_errors"].values())


def test_weights_are_half_and_the_edges_are_not(digits: Path) -> None:
    graph = onnx.load(digits / "model.onnx").graph
    weights = [value for value in graph.initializer if value.data_type != onnx.TensorProto.INT64]
    assert weights and {value.data_type for value in weights} == {onnx.TensorProto.FLOAT16}
    for (value,) in (graph.input, graph.output):
        assert value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT


def test_the_command_line_says_so(run_zoo, tmp_path: Path) -> None:
    ran = run_zoo("export", "lenet5.digits", "-o", str(tmp_path / "a"), "-f", "torchscript", "--precision", "fp16")
    assert ran.code == 0, ran.err
    assert "float16" in ran.out and "float32" in ran.out
    assert "float16 evaluations" in (tmp_path / "a" / "README.md").read_text(encoding="utf-8")


def zeroed(weights: np.ndarray) -> np.ndarray:
    weights[len(weights) // 2] = 0
    return weights


def swapped(weights: np.ndarray) -> np.ndarray:
    weights[[1, -1]] = weights[[-1, 1]]
    return weights


@pytest.mark.parametrize("change", [zeroed, swapped])
@pytest.mark.parametrize("layer", ["features.0", "features.3", "classifier.1", "classifier.3", "classifier.5"])
def test_damage_to_the_half_artifact_is_noticed(
    digits: Path, tmp_path: Path, layer: str, change: Callable[[np.ndarray], np.ndarray]
) -> None:
    probes = golden.read_golden(digits / golden.NAME, read_folder(digits).certificate.probes)
    model = onnx.load(digits / "model.onnx")
    assert passed(run_and_judge(runner(Paths({"model": digits / "model.onnx"})), probes))
    (weights,) = [value for value in model.graph.initializer if value.name.endswith(f"{layer}.weight")]
    changed = change(numpy_helper.to_array(weights).copy())
    weights.CopyFrom(numpy_helper.from_array(changed, weights.name))
    onnx.save(model, tmp_path / "model.onnx")
    found = run_and_judge(runner(Paths({"model": tmp_path / "model.onnx"})), probes)
    assert {one.runner for one in found if not one.passed} == {one.runner for one in found}


class Says(nn.Module):
    """What the given function makes of the features of an image, and of the layers."""

    def __init__(self, says: Callable[["Says", Tensor], Tensor]) -> None:
        super().__init__()
        self.flat, self.first, self.second, self.says = nn.Flatten(), nn.Linear(192, 16), nn.Linear(16, 4), says
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            for layer in (self.first, self.second):
                nn.init.normal_(layer.weight, std=layer.in_features**-0.5)
                nn.init.normal_(layer.bias, std=0.1)

    def forward(self, images: Tensor) -> Tensor:
        return self.says(self, images)


def overflowing(net: Says, images: Tensor) -> Tensor:
    return net.second(net.first(net.flat(images) * 1e5) * 1e-5)


def branching(net: Says, images: Tensor) -> Tensor:
    features = net.first(net.flat(images))
    return net.second(features.tanh() if features.dtype == torch.float16 else features)


def fixed(net: Says, images: Tensor) -> Tensor:
    features = net.flat(images)
    return net.second(net.first(features.float() if features.dtype == torch.float16 else features))


def faint(net: Says, images: Tensor) -> Tensor:
    return net.second(net.first(net.flat(images)) * 1e-5) * 1e-5


def unlucky(net: Says, images: Tensor) -> Tensor:
    return net.second(net.first(net.flat(images)) * 1e3) * 1e2


@pytest.mark.parametrize(
    ("says", "said"),
    [
        (overflowing, "overflows in float16.* first gives values that are not finite on the probe noise-2"),
        (unlucky, "overflows in float16.* its own forward gives values that are not finite"),
        (fixed, "does not run in float16: "),
        (faint, "too coarse"),
    ],
)
def test_a_model_that_half_precision_cannot_hold_is_refused(make_model, says, said) -> None:
    model = make_model(Says(says))
    check = make_checks(model.module, make_probes(model.card.preprocess))[0]
    with pytest.raises(ExportError, match=said) as caught:
        FP16.rounding_errors("net", check.module, check.probes, CPU)
    assert "float32" in caught.value.next_step


def test_model_that_differs_in_half_precision_is_refused(make_model) -> None:
    model = make_model(Says(branching))
    with pytest.raises(ExportError, match=r"other operators in float16 than in float32 .*tanh"):
        FP16.prepare(Capture(model.name, model.module, model.card, "fp16"))


def test_a_model_that_is_refused_leaves_nothing(make_model, try_export, tmp_path) -> None:
    model = make_model()
    with torch.no_grad():
        model.module.head.weight.mul_(1e6)
    with pytest.raises(ExportError, match="overflows in float16"):
        try_export(model, "torchscript", precision=HALF)
    assert not list(tmp_path.iterdir())


def test_failed_float32_check_ends_a_half_export(make_model, make_registry, try_export, tmp_path) -> None:
    """One percent: nothing that the check in half precision would notice."""
    written: list[type] = []

    def slightly_wrong(capture: Capture, paths: Paths) -> None:
        written.append(type(capture.module))
        wrong = Capture(capture.name, capture.module, capture.card)
        with torch.no_grad():
            kept = wrong.module.head.weight.clone()
            wrong.module.head.weight[0] *= 1.01
            torchscript_format.export(wrong, paths)
            wrong.module.head.weight.copy_(kept)

    with pytest.raises(DifferenceError):
        try_export(
            make_model(),
            "planted",
            registry=make_registry(slightly_wrong, torchscript_format.runner, precisions=PRECISIONS),
            precision=HALF,
        )
    assert written and Half not in written
    assert not list(tmp_path.iterdir())


def test_a_half_artifact_that_is_wrong_is_not_published(make_model, make_registry, try_export, tmp_path) -> None:
    def wrong_in_half(capture: Capture, paths: Paths) -> None:
        module = capture.module
        if isinstance(module, Half):
            module = Half(make_model().module)
            with torch.no_grad():
                module.model.head.weight.copy_(module.model.head.weight.flip(0))
        torchscript_format.export(Capture(capture.name, module.eval(), capture.card), paths)

    with pytest.raises(DifferenceError, match="does not compute"):
        try_export(
            make_model(),
            "planted",
            registry=make_registry(wrong_in_half, torchscript_format.runner, precisions=PRECISIONS),
            precision=HALF,
        )
    assert not list(tmp_path.iterdir())


def test_a_format_that_cannot_hold_half_precision_is_refused(make_model, make_registry, try_export, tmp_path) -> None:
    def only_single(capture: Capture, paths: Paths) -> None:
        if any(value.dtype == torch.float16 for value in capture.module.parameters()):
            raise TypeError("no such number type")
        torchscript_format.export(capture, paths)

    registry = make_registry(only_single, torchscript_format.runner, precisions=PRECISIONS)
    with pytest.raises(ExportError, match=r"planted .*no such number type"):
        try_export(make_model(), "planted", registry=registry, precision=HALF)
    assert not list(tmp_path.iterdir())


def test_the_model_itself_stays_in_float32(make_model) -> None:
    model = make_model()
    half = FP16.prepare(Capture(model.name, model.module, model.card, "fp16"))
    assert {value.dtype for value in model.module.parameters()} == {torch.float32}
    assert {value.dtype for value in half.module.parameters()} == {torch.float16}
    with torch.no_grad():
        assert half.module(half.example).dtype == torch.float32


def test_one_answer_for_all_images_is_found_to_pass_or_not(digits: Path) -> None:
    probes = golden.read_golden(digits / golden.NAME, read_folder(digits).certificate.probes)
    assert not constant_passes(probes, [each.rounding_error for each in probes])
    spread = max(float(np.ptp(each.truth)) for each in probes)
    assert constant_passes(probes, [spread] * len(probes))


def test_an_ordinary_export_says_that_it_is_float32(exported) -> None:
    assert exported.manifest.to_dict()["precision"] == "fp32"
    assert exported.certificate.prior_check is None
    session = onnxruntime.InferenceSession(exported.path / "model.onnx", providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].type == "tensor(float)"
