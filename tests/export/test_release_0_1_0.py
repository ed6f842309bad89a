"""Export folders that release 0.1.0 wrote: read, verified, run by their own runtime, and exported again alike."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import zoo_runtime
from zoo.contract.errors import DifferenceError
from zoo.contract.evidence import PASS, Manifest
from zoo.contract.evidence.format1 import upgraded
from zoo_export.bundle.folder import read_folder
from zoo_export.verify import verify_folder

RELEASE = Path(__file__).parents[1] / "fixtures" / "release_0_1_0"
WEIGHTS = RELEASE / "lenet5.old.safetensors"
FOLDERS = {"lenet5.old": "pass", "lenet5.old.fp16": "pass", "lenet5.old.overridden": "overridden"}


@pytest.fixture(params=FOLDERS)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of each export."""
    return Path(shutil.copytree(RELEASE / "exports" / request.param, tmp_path / request.param))


def stored(folder: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return manifest


def test_an_old_folder_is_verified(run_zoo, folder: Path) -> None:
    ran = run_zoo("verify", str(folder), "--json")
    result = json.loads(ran.out)
    assert ran.code == 0 and result["verdict"] == FOLDERS[folder.name]
    assert set(result["artifacts"]) == set(stored(folder)["artifacts"])


def test_an_old_folder_is_verified_strictly(registry, folder: Path) -> None:
    verification = verify_folder(registry, folder, strict=True, against=str(WEIGHTS))
    assert verification.verdict == PASS
    for name, comparisons in verification.comparisons.items():
        old = stored(folder)["certificate"]["artifacts"][name]["comparisons"]
        before = [row for row in old if row["weights"] == "own weights"]
        assert [(each.probe, each.n) for each in comparisons] == [(row["probe"], row["n"]) for row in before]
        for each, row in zip(comparisons, before, strict=True):
            assert each.rounding_error == pytest.approx(row["floor"], rel=0.5)


def test_no_number_of_an_old_manifest_changes(folder: Path) -> None:
    old, new = stored(folder), read_folder(folder)
    certificate = new.certificate
    assert (new.digest, new.name) == (old["digest"], old["name"])
    assert new.precision == {"float32": "fp32", "float16": "fp16"}[old["precision"]]
    assert {name: artifact.files for name, artifact in new.artifacts.items()} == {
        name: {"model": file} for name, file in old["artifacts"].items()
    }
    for probe, row in zip(certificate.probes, old["certificate"]["probes"], strict=True):
        assert (probe.name, probe.n, list(probe.image_names)) == (row["name"], row["n"], row["images"])
        assert (probe.rounding_error, probe.tolerance, probe.peak) == (row["floor"], row["budget"], row["peak"])
    for name, record in certificate.artifacts.items():
        rows = old["certificate"]["artifacts"][name]["comparisons"]
        for each, row in zip(record.comparisons, rows, strict=True):
            assert (each.error, each.rounding_error, each.tolerance) == (row["error"], row["floor"], row["budget"])
            assert (each.ratio, each.passed, each.excess) == (row["ratio"], row["passed"], row["excess"])
            assert each.weights.replace("_", " ") == row["weights"]
    coverage, before = certificate.coverage, old["certificate"]["sensitivity"]
    assert coverage is not None and coverage.fraction == before["share"]
    assert list(coverage.uncovered) == before["unwatched"]
    assert coverage.by_weights == {"own_weights": before["own weights"], "probe_weights": before["probe weights"]}
    assert (certificate.prior_check is not None) == folder.name.endswith("fp16")


def test_an_old_folder_classifies_images(run_zoo, folder: Path) -> None:
    picture = Path(__file__).parents[2] / "examples" / "seven.png"
    ran = run_zoo("predict", str(folder), str(picture), "--json")
    assert ran.code == 0 and len(json.loads(ran.out)[0]["predictions"]) == 5


def test_a_changed_old_manifest_is_found(registry, folder: Path) -> None:
    manifest = stored(folder)
    manifest["certificate"]["k"] = 1e6
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(DifferenceError, match="digest"):
        verify_folder(registry, folder)


@pytest.mark.parametrize("key", ["floor", "made_of", "sensitivity", "probes", "artifacts"])
def test_an_incomplete_old_manifest_is_explained(registry, folder: Path, key: str) -> None:
    manifest = stored(folder)
    del manifest["certificate"][key]
    manifest["digest"] = zoo_runtime.manifest_digest(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(DifferenceError, match=key):
        verify_folder(registry, folder)


def test_the_old_runtime_still_verifies_its_folder(folder: Path) -> None:
    command = [sys.executable, "zoo_runtime.py", "--verify", "--json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and json.loads(done.stdout)["passed"] is True


def test_the_new_runtime_names_the_old_one(folder: Path) -> None:
    with pytest.raises(zoo_runtime.Error, match=r"format 1.*zoo_runtime\.py") as caught:
        zoo_runtime.Model(folder)
    assert not isinstance(caught.value, zoo_runtime.Difference)


def test_format_2_is_not_upgraded(exported) -> None:
    data = json.loads(json.dumps(exported.manifest.to_dict()))
    assert upgraded(data) is data
    assert json.loads(json.dumps(Manifest.from_dict(data).to_dict())) == data


def test_exported_again_the_numbers_are_those_of_0_1_0(run_zoo, tmp_path: Path) -> None:
    """With the same versions and processor all are equal; elsewhere rounding may differ, and truth may not."""
    again, old = tmp_path / "again", RELEASE / "exports" / "lenet5.old"
    assert run_zoo("export", str(WEIGHTS), "-f", "onnx,torchscript,pt2", "-o", str(again)).code == 0
    new, before = read_folder(again), read_folder(old)
    alike = ("torch", "onnxruntime", "numpy", "onnx", "onnxscript", "python")
    same = all(new.versions[name] == before.versions[name] for name in alike)
    same = same and new.certificate.environment == before.certificate.environment
    assert new.certificate.coverage is not None and before.certificate.coverage is not None
    assert new.certificate.coverage.by_weights == before.certificate.coverage.by_weights
    assert [(probe.name, probe.sha256) for probe in new.certificate.probes] == [
        (probe.name, probe.sha256) for probe in before.certificate.probes
    ]
    for probe, was in zip(new.certificate.probes, before.certificate.probes, strict=True):
        assert probe.peak == pytest.approx(was.peak, rel=1e-12)
        assert probe.rounding_error == (was.rounding_error if same else pytest.approx(was.rounding_error, rel=0.9))
    for name, record in new.certificate.artifacts.items():
        rows = before.certificate.artifacts[name].comparisons
        assert [(each.probe, each.weights, each.passed) for each in record.comparisons] == [
            (row.probe, row.weights, row.passed) for row in rows
        ]
        if same:
            assert [replace(each, runner="") for each in record.comparisons] == [
                replace(row, runner="") for row in rows
            ]
