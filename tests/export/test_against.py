"""A file that zoo did not make is judged like one that it did; truth is computed afresh where that is asked for."""

import json
import warnings
from pathlib import Path

import onnx
import onnxslim
import pytest
import torch
from onnx import numpy_helper

from zoo.models.load import open_model
from zoo_export.capture import Capture
from zoo_export.formats.onnx.lowering import lower

MODEL = "lenet5.digits"


@pytest.fixture(scope="module")
def foreign(registry, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LeNet-5 as the older exporter, which traces TorchScript, writes it: other names, other opset."""
    path = tmp_path_factory.mktemp("foreign") / "old.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            open_model(registry, MODEL).module,
            (torch.randn(2, 1, 32, 32),),
            str(path),
            dynamo=False,
            input_names=["pixels"],
            output_names=["scores"],
            dynamic_axes={"pixels": {0: "n"}, "scores": {0: "n"}},
        )
    return path


def test_a_right_file_of_the_older_exporter_is_accepted(run_zoo, foreign: Path) -> None:
    ran = run_zoo("verify", str(foreign), "--against", MODEL)
    assert ran.code == 0, ran.err
    assert "computes what the model computes" in ran.out
    told = json.loads(run_zoo("verify", str(foreign), "--against", MODEL, "--json").out)
    assert told["passed"] and told["coverage"]["fraction"] == 1


@pytest.mark.parametrize("index", range(4))
def test_a_change_of_one_percent_is_found(run_zoo, foreign: Path, tmp_path: Path, index: int) -> None:
    model = onnx.load(foreign)
    weights = [value for value in model.graph.initializer if len(value.dims) > 1]
    weights[index].CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weights[index]) * 1.01, weights[index].name))
    onnx.save(model, tmp_path / "changed.onnx")
    ran = run_zoo("verify", str(tmp_path / "changed.onnx"), "--against", MODEL)
    assert ran.code == 3
    assert "does not compute what lenet5.digits computes" in ran.err


@pytest.fixture(scope="module")
def slim(registry) -> onnx.ModelProto:
    """LeNet-5 as lowering leaves it, slimmed by OnnxSlim, which folds, fuses and eliminates."""
    model = open_model(registry, MODEL)
    raw = lower(Capture(model.name, model.module, model.card)).model_proto
    made = onnxslim.slim(raw)
    assert isinstance(made, onnx.ModelProto)
    assert len(made.graph.node) < len(raw.graph.node)
    return made


def test_a_slimmed_file_is_accepted(run_zoo, slim: onnx.ModelProto, tmp_path: Path) -> None:
    onnx.save(slim, tmp_path / "slim.onnx")
    ran = run_zoo("verify", str(tmp_path / "slim.onnx"), "--against", MODEL)
    assert ran.code == 0, ran.err
    assert "computes what the model computes" in ran.out


def test_damage_to_a_slimmed_file_is_found(run_zoo, slim: onnx.ModelProto, tmp_path: Path) -> None:
    damaged = onnx.ModelProto()
    damaged.CopyFrom(slim)
    weight = next(value for value in damaged.graph.initializer if len(value.dims) == 4)
    array = numpy_helper.to_array(weight).copy()
    array[0, 0, 0, 0] += 0.01
    weight.CopyFrom(numpy_helper.from_array(array, weight.name))
    onnx.save(damaged, tmp_path / "damaged.onnx")
    ran = run_zoo("verify", str(tmp_path / "damaged.onnx"), "--against", MODEL)
    assert ran.code == 3
    assert "does not compute what lenet5.digits computes" in ran.err


@pytest.fixture
def baked(registry, tmp_path: Path) -> Path:
    """LeNet-5 for batches of two images."""
    path = tmp_path / "baked.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(open_model(registry, MODEL).module, (torch.randn(2, 1, 32, 32),), str(path), dynamo=False)
    return path


def test_a_fixed_batch_is_probed_with_it(run_zoo, baked: Path) -> None:
    ran = run_zoo("verify", str(baked), "--against", MODEL, "--json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["extent"]["batch_sizes"] == [2]


def test_a_batch_that_is_fixed_and_not_declared_is_found(run_zoo, baked: Path) -> None:
    model = onnx.load(baked)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "n"
    model.graph.node.extend(
        [
            onnx.helper.make_node("Constant", [], ["two"], value_ints=[2, 10]),
            onnx.helper.make_node("Reshape", [model.graph.output[0].name, "two"], ["reshaped"]),
        ]
    )
    model.graph.output[0].name = "reshaped"
    onnx.save(model, baked)
    ran = run_zoo("verify", str(baked), "--against", MODEL)
    assert ran.code == 3
    assert "dark-1" in ran.err or "bright-1" in ran.err  # the batches of one


def test_another_model_is_no_match(run_zoo, foreign: Path) -> None:
    assert run_zoo("verify", str(foreign), "--against", "lenet5").code == 3


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("{file}",), 2),
        (("{file}", "--against", MODEL, "--format", "onnx"), 2),
        (("{file}", "--against", MODEL, "--seed", "-1"), 2),
        (("{file}", "--against", f"sha256:{0:064}"), 1),
        (("{file}", "--against", "nosuch.model"), 1),
        (("{missing}", "--against", MODEL), 1),
        (("{text}", "--against", MODEL), 1),
    ],
)
def test_what_cannot_be_judged_is_explained(run_zoo, foreign: Path, tmp_path: Path, arguments, code: int) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("nothing")
    places = {"file": foreign, "missing": tmp_path / "none.onnx", "text": text}
    ran = run_zoo("verify", *(argument.format(**places) for argument in arguments))
    assert ran.code == code
    assert ran.err.count("error: ") == 1 and ran.err.count("  next: ") == 1


def test_strict_computes_truth_afresh(run_zoo, tmp_path: Path) -> None:
    folder = tmp_path / "made"
    assert run_zoo("export", MODEL, "-o", str(folder), "-f", "onnx").code == 0
    ran = run_zoo("verify", str(folder), "--strict")
    assert ran.code == 0, ran.err
    assert "Truth" in ran.out
    assert run_zoo("verify", str(folder), "--strict", "--against", "lenet5").code == 3


def test_strict_finds_a_stored_truth_that_no_model_computes(run_zoo, tmp_path: Path) -> None:
    """A proof whose golden vectors, rounding errors and hashes were all made up to fit each other."""
    import hashlib

    import numpy as np

    import zoo_runtime

    folder = tmp_path / "made"
    assert run_zoo("export", MODEL, "-o", str(folder), "-f", "onnx").code == 0
    with np.load(folder / "golden.npz") as golden:
        arrays = {name: array + (0.01 if name.endswith("truth") else 0) for name, array in golden.items()}
    np.savez(folder / "golden.npz", **arrays)
    content = (folder / "golden.npz").read_bytes()
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["golden.npz"] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    for probe in manifest["certificate"]["probes"]:
        probe["rounding_error"], probe["tolerance"] = 0.001, 0.02
    manifest["digest"] = zoo_runtime.manifest_digest(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert run_zoo("verify", str(folder)).code == 0
    strict = run_zoo("verify", str(folder), "--strict")
    assert strict.code == 3
    assert "truth" in strict.err and "noise-2" in strict.err


NORMALISED = "resnet20.fashion_mnist"


class WithDropout(torch.nn.Module):
    """A model with dropout behind it, whose mode is an attribute of its own."""

    def __init__(self, model: torch.nn.Module, noisy: bool) -> None:
        super().__init__()
        self.model, self.noisy = model, noisy

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.dropout(self.model(images), 0.5, training=self.noisy)


@pytest.mark.parametrize(("noisy", "accepted"), [(None, True), (False, True), (True, False)])
def test_a_scripted_model_is_judged_in_evaluation_mode(
    run_zoo, registry, tmp_path: Path, noisy: bool | None, accepted: bool
) -> None:
    """The text of a script names the mode and not its value."""
    model = open_model(registry, NORMALISED).module
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        script = torch.jit.script(model if noisy is None else WithDropout(model, noisy).eval())
    script.save(str(tmp_path / "script.torchscript"))
    ran = run_zoo("verify", str(tmp_path / "script.torchscript"), "--against", NORMALISED)
    assert (ran.code == 0) == accepted and (accepted or "dropout" in ran.err), ran.err
