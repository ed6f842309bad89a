"""What an export is worth is said in one word, wherever a reader may look."""

import copy
import json
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import zoo
import zoo_runtime
from zoo.contract.errors import DifferenceError, UsageError
from zoo.contract.evidence import Override, Probe
from zoo.contract.exporting.options import ExportOptions
from zoo_export.parity.judge import judge
from zoo_export.verify import verify_folder

MODEL = "lenet5.digits"
Run = Callable[..., Any]
values = st.floats(-1e3, 1e3, width=32)
tolerances = st.one_of(st.just(0.0), st.floats(1e-6, 10))


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "zoo_runtime.py", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One export for each verdict that is published."""
    from zoo.cli.main import run

    root = tmp_path_factory.mktemp("verdicts")
    options = {"pass": [], "overridden": ["--atol", "1e-4"], "unverified": ["--no-verify"]}
    for name, more in options.items():
        assert run(["export", MODEL, "-f", "onnx", "-o", str(root / name), *more]) == 0
    return {name: root / name for name in options}


def manifest(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return found


@given(st.lists(st.tuples(values, st.floats(-5, 5)), min_size=1, max_size=6), tolerances, tolerances)
def test_an_override_means_what_numpy_allclose_means(
    cases: list[tuple[float, float]], atol: float, rtol: float
) -> None:
    truth = np.array([[value for value, _ in cases]], np.float64)
    output = np.add(truth, [[by for _, by in cases]]).astype(np.float32)
    probe = Probe("noise-1", np.zeros((1, 1, 2, 2), np.float32), truth, 1e-6)
    found = judge(probe, output, Override(atol, rtol))
    off = np.abs(output.astype(np.float64) - truth)
    assert found.passed == np.allclose(output.astype(np.float64), truth, rtol=rtol, atol=atol)
    assert found.error == off.max() and found.ratio == found.error / 1e-6
    assert found.where is not None and found.excess == (off - (atol + rtol * np.abs(truth))).max()
    assert found.tolerance == atol + rtol * abs(truth[found.where])


def test_worst_logit_exceeds_its_tolerance_most() -> None:
    probe = Probe("noise-1", np.zeros((1, 1, 2, 2), np.float32), np.array([[1000.0, 1.0]]), 1e-6)
    found = judge(probe, np.array([[1001.0, 1.5]], np.float32), Override(rtol=0.01))
    assert not found.passed and found.where == (0, 1) and found.error == 1.0


@pytest.mark.parametrize("bad", [-1e-9, float("nan"), float("inf"), -float("inf"), 1e40])
@pytest.mark.parametrize("name", ["atol", "rtol"])
def test_a_tolerance_that_is_none_is_wrong_usage(run_zoo: Run, tmp_path: Path, name: str, bad: float) -> None:
    with pytest.raises(UsageError, match=name):
        Override(**{name: bad})
    ran = run_zoo("export", MODEL, "-o", str(tmp_path / "out"), f"--{name}={bad}")
    assert ran.code == 2 and f"--{name}" in ran.err and not list(tmp_path.iterdir())


@pytest.mark.parametrize("more", [("--atol", "1"), ("--rtol", "0"), ("--save-failure", "x")])
def test_no_verify_goes_with_nothing_that_judges(run_zoo: Run, tmp_path: Path, more: tuple[str, ...]) -> None:
    ran = run_zoo("export", MODEL, "-o", str(tmp_path / "out"), "--no-verify", *more)
    assert ran.code == 2 and "--no-verify" in ran.err and not list(tmp_path.iterdir())


@pytest.mark.parametrize("verdict", ["pass", "overridden", "unverified"])
def test_manifest_has_overall_and_artifact_verdicts(folders, verdict: str) -> None:
    told = manifest(folders[verdict])
    assert told["verdict"] == told["certificate"]["verdict"] == verdict
    assert [one["verdict"] for one in told["certificate"]["artifacts"].values()] == [verdict]
    assert ("golden.npz" in told["files"]) == (verdict != "unverified")
    override = {"atol": 1e-4, "rtol": 0.0} if verdict == "overridden" else None
    assert told["certificate"]["override"] == override


def test_the_readme_begins_with_what_is_not_proven(folders) -> None:
    texts = {name: (folder / "README.md").read_text(encoding="utf-8") for name, folder in folders.items()}
    first = {name: text.splitlines()[0] for name, text in texts.items()}
    assert "UNVERIFIED" in first["unverified"] and "OVERRIDDEN" in first["overridden"]
    assert "0.0001" in texts["overridden"].partition("# ")[0]
    assert first["pass"] == f"# {MODEL}"


@pytest.mark.parametrize(("option", "word"), [(("--no-verify",), "unverified"), (("--atol", "0.1"), "overridden")])
def test_the_command_says_it_before_after_and_in_json(run_zoo: Run, tmp_path: Path, option, word: str) -> None:
    ran = run_zoo("export", MODEL, "-f", "torchscript", "-o", str(tmp_path / "one"), *option)
    assert ran.code == 0 and word.upper() in ran.err.splitlines()[0]
    assert ran.out.startswith(f"{word.upper()}: ")
    assert "PASS" not in ran.out
    told = json.loads(run_zoo("export", MODEL, "-f", "torchscript", "-o", str(tmp_path / "two"), *option, "--json").out)
    artifact = told["artifacts"]["torchscript"]
    assert told["verdict"] == artifact["verdict"] == word and artifact["passed"] is False
    assert any(word.upper() in text for text in told["warnings"])


def test_inconclusive_override_warns_and_is_published(run_zoo: Run, tmp_path: Path) -> None:
    ran = run_zoo("export", MODEL, "-f", "torchscript", "-o", str(tmp_path / "out"), "--atol", "1e6")
    assert ran.code == 0 and "INCONCLUSIVE" in ran.err and "INCONCLUSIVE" in ran.out and " 0 % of" in ran.out
    assert "inconclusive" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert manifest(tmp_path / "out")["certificate"]["coverage"]["fraction"] == 0
    assert "INCONCLUSIVE" in run_zoo("verify", str(tmp_path / "out")).err


def test_zoo_verify_says_overridden_and_judges_by_the_override(run_zoo: Run, folders) -> None:
    ran = run_zoo("verify", str(folders["overridden"]))
    assert ran.code == 0 and "overridden" in ran.out and "OVERRIDDEN" in ran.err
    assert "PASS" not in ran.out
    told = json.loads(run_zoo("verify", str(folders["overridden"]), "--json").out)
    assert told["verdict"] == told["artifacts"]["onnx"]["verdict"] == "overridden"
    assert told["artifacts"]["onnx"]["comparisons"][0]["tolerance"] == 1e-4
    strict = run_zoo("verify", str(folders["overridden"]), "--strict")
    assert strict.code == 0 and "computes what the model computes" in strict.out


def test_wrong_artifact_is_published_only_within_override(make_model, make_registry, try_export) -> None:
    from zoo.contract.exporting.artifact import Paths
    from zoo_export.capture import Capture
    from zoo_export.formats.torchscript import format as made

    def wrong(capture: Capture, paths: Paths) -> None:
        module = copy.deepcopy(capture.module)
        with torch.no_grad():
            module.head.bias.add_(1e-3)
        made.export(Capture(capture.name, module, capture.card), paths)

    planted = make_registry(wrong, made.runner)
    with pytest.raises(DifferenceError):
        try_export(make_model(), "planted", registry=planted)
    exported = try_export(
        make_model(), "planted", registry=planted, options=ExportOptions(override=Override(atol=1e-2))
    )
    assert verify_folder(planted, exported.path, trust=True).verdict == "overridden"
    with pytest.raises(DifferenceError):
        try_export(
            make_model(), "planted", registry=planted, options=ExportOptions(override=Override(atol=1e-4), force=True)
        )


def test_unverified_folder_exits_with_3(run_zoo: Run, folders) -> None:
    ran = run_zoo("verify", str(folders["unverified"]))
    assert ran.code == 3 and "UNVERIFIED" in ran.err and "--strict" in ran.err and ran.out == ""
    told = run_zoo("verify", str(folders["unverified"]), "--json")
    assert told.code == 3 and json.loads(told.out)["verdict"] == "unverified"
    strict = run_zoo("verify", str(folders["unverified"]), "--strict")
    assert strict.code == 0 and "computes what the model computes" in strict.out


@pytest.mark.parametrize("verdict", ["unverified", "overridden"])
def test_strict_finds_the_damage_whatever_was_said_at_export(
    run_zoo: Run, folders, tmp_path: Path, verdict: str
) -> None:
    import hashlib

    import onnx
    from onnx import numpy_helper

    folder = Path(shutil.copytree(folders[verdict], tmp_path / "copy"))
    model = onnx.load(folder / "model.onnx")
    weight = next(value for value in model.graph.initializer if len(value.dims) > 1)
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * np.float32(1.01), weight.name))
    onnx.save(model, folder / "model.onnx")
    told, content = manifest(folder), (folder / "model.onnx").read_bytes()
    told["files"]["model.onnx"] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    told["certificate"]["artifacts"]["onnx"]["sha256"]["model.onnx"] = hashlib.sha256(content).hexdigest()
    if verdict == "overridden":
        readme, override = folder / "README.md", told["certificate"]["override"]
        readme.write_text(readme.read_text().replace(f"> {override['atol']:g} + ", f"> {1e6:g} + "))
        override["atol"] = 1e6
        text = readme.read_bytes()
        told["files"]["README.md"] = {"sha256": hashlib.sha256(text).hexdigest(), "bytes": len(text)}
    told["digest"] = zoo_runtime.manifest_digest(told)
    (folder / "manifest.json").write_text(json.dumps(told), encoding="utf-8")
    assert run_zoo("verify", str(folder)).code == (0 if verdict == "overridden" else 3)
    ran = run_zoo("verify", str(folder), "--strict", "--json")
    assert ran.code == 3 and json.loads(ran.out)["verdict"] == "fail"


def test_strict_on_an_unverified_folder_may_be_inconclusive(run_zoo: Run, tmp_path: Path) -> None:
    assert run_zoo("export", "resnet20", "-f", "torchscript", "-o", str(tmp_path / "out"), "--no-verify").code == 0
    ran = run_zoo("verify", str(tmp_path / "out"), "--strict", "--json")
    assert ran.code == 3 and json.loads(ran.out)["verdict"] == "inconclusive" and "--no-verify" in ran.err


def test_the_runtime_warns_verifies_and_refuses(folders) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        zoo_runtime.Model(folders["pass"])
    for word in ("overridden", "unverified"):
        with pytest.warns(UserWarning, match=word.upper()):
            zoo_runtime.Model(folders[word])
    done = python(folders["overridden"], "--verify", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["verdict"] == "overridden"
    assert "overridden" in python(folders["overridden"], "--verify").stdout
    assert done.stderr.startswith("warning: ") and "OVERRIDDEN" in done.stderr
    refused = python(folders["unverified"], "--verify")
    assert refused.returncode == 3 and "UNVERIFIED" in refused.stderr and "--strict" in refused.stderr


def test_the_runtime_judges_by_the_override(folders, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(folders["overridden"], tmp_path / "copy"))
    for atol, passed in ((1e-12, False), (1.0, True)):
        told = manifest(folder)
        told["certificate"]["override"]["atol"] = atol
        told["digest"] = zoo_runtime.manifest_digest(told)
        (folder / "manifest.json").write_text(json.dumps(told), encoding="utf-8")
        with pytest.warns(UserWarning, match="OVERRIDDEN"):
            assert zoo_runtime.verify(folder).passed is passed


@pytest.mark.parametrize("change", [{"verdict": "pass"}, {"verdict": "fine"}, {"verdict": None}])
def test_contradictory_verdicts_are_refused(folders, tmp_path: Path, change) -> None:
    folder = Path(shutil.copytree(folders["unverified"], tmp_path / "copy"))
    told = {**manifest(folder), **change}
    told["digest"] = zoo_runtime.manifest_digest(told)
    (folder / "manifest.json").write_text(json.dumps(told), encoding="utf-8")
    with pytest.raises(zoo_runtime.Difference, match="verdict"):
        zoo_runtime.read_manifest(folder)


def test_predict_warns_once(run_zoo: Run, folders) -> None:
    picture = Path(__file__).parents[2] / "examples" / "seven.png"
    ran = run_zoo("predict", str(folders["unverified"]), str(picture))
    assert ran.code == 0 and ran.err.count("UNVERIFIED") == 1


def test_low_coverage_is_inconclusive_and_exits_with_3(make_model, try_export, tmp_path: Path) -> None:
    class Forgetful(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head, self.unused = nn.Linear(192, 4), nn.Linear(192, 4)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.head(images.flatten(1))

    torch.manual_seed(0)
    with pytest.raises(DifferenceError, match="inconclusive") as caught:
        try_export(make_model(Forgetful()), "torchscript")
    assert caught.value.exit_code == 3 and caught.value.details["verdict"] == "inconclusive"
    assert "50 %" in caught.value.cause and caught.value.next_step and not list(tmp_path.iterdir())


@pytest.mark.parametrize("more", [["--strict"], ["--min-coverage", "0.9"]])
def test_agreeing_file_with_low_coverage_says_so(run_zoo: Run, tmp_path: Path, more: list[str]) -> None:
    path = tmp_path / "traced.torchscript"
    module = zoo.create_model("resnet20").eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(module, torch.rand(2, 3, 32, 32)), path)
    ran = run_zoo("verify", str(path), "--against", "resnet20", "--json")
    assert ran.code == 0, ran.err
    told = json.loads(ran.out)
    percent = int(100 * told["coverage"]["fraction"])
    assert told["verdict"] == told["artifacts"]["torchscript"]["verdict"] == "agrees" and not told["passed"]
    assert 0 < percent < 90
    ran = run_zoo("verify", str(path), "--against", "resnet20")
    assert ran.code == 0 and ran.out.startswith("AGREES: ")
    assert f"covers {percent} % of the {told['coverage']['tensors']} parameter tensors" in ran.out
    ran = run_zoo("verify", str(path), "--against", "resnet20", "--json", *more)
    assert ran.code == 3 and json.loads(ran.out)["verdict"] == "inconclusive" and f"{percent} %" in ran.err


@pytest.mark.parametrize("more", [[], ["--strict"]])
def test_the_graph_shows_what_low_coverage_does_not(run_zoo: Run, tmp_path: Path, more: list[str]) -> None:
    assert run_zoo("export", "resnet20", "-f", "torchscript", "-o", str(tmp_path / "out")).code == 0
    path = tmp_path / "out" / "model.torchscript"
    ran = run_zoo("verify", str(path), "--against", "resnet20", "--json", *more)
    result = json.loads(ran.out)
    assert ran.code == 0 and not result["warnings"] and result["coverage"]["fraction"] < 0.9
    assert result["artifacts"]["torchscript"]["graph"]["same"] == "identical"
    alone = shutil.copy(path, tmp_path / "alone.torchscript")  # nothing says that probe weights covered the rest
    ran = run_zoo("verify", str(alone), "--against", "resnet20", "--json", *more)
    result = json.loads(ran.out)  # zoo's own export of the model is checked with them instead
    assert ran.code == 0 and result["verdict"] == "pass" and result["coverage"]["fraction"] >= 0.9
