"""`zoo verify` tells whether a folder is what was exported, wherever it now is."""

import hashlib
import json
import random
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import zoo_runtime
from zoo.contract.errors import DifferenceError, ExportError
from zoo_export.bundle.folder import read_folder
from zoo_export.parity.check import OWN
from zoo_export.verify import verify_folder

FILES = (
    *("README.md", "golden.npz", "labels.txt", "manifest.json", "zoo_runtime.py"),
    *("model.onnx", "model.torchscript", "model.pt2"),
)
POSITIONS = 12


@pytest.fixture
def folder(exported, tmp_path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(exported.path, tmp_path / "moved here"))


def resealed(folder: Path, change) -> None:
    """Change the manifest and make hashes and digest right again: what a careful forger, or a bug, would do."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    change(manifest)
    for name in manifest["files"]:
        if (folder / name).is_file():
            manifest["files"][name] = {"sha256": sha256(folder / name), "bytes": (folder / name).stat().st_size}
    for record in manifest["certificate"]["artifacts"].values():
        record["sha256"] = {name: manifest["files"][name]["sha256"] for name in record["sha256"]}
    manifest["digest"] = zoo_runtime.manifest_digest(manifest)
    path.write_text(json.dumps(manifest), encoding="utf-8")


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_fresh_export_is_verified_wherever_it_was_moved(registry, exported, folder) -> None:
    verified = verify_folder(registry, folder)
    assert json.dumps(verified.manifest.to_dict()) == json.dumps(exported.manifest.to_dict())
    for name, found in verified.comparisons.items():
        artifact = verified.manifest.to_dict()["certificate"]["artifacts"][name]
        told = [(one["probe"], one["n"]) for one in artifact["comparisons"] if one["weights"] == OWN]
        assert [(one.probe, one.n) for one in found] == told
    assert set(verified.comparisons) == {"onnx", "torchscript", "pt2"}


def test_the_replay_comes_to_what_the_certificate_says(registry, exported, folder) -> None:
    for name, found in verify_folder(registry, folder).comparisons.items():
        artifact = exported.manifest.to_dict()["certificate"]["artifacts"][name]
        told = [one for one in artifact["comparisons"] if one["weights"] == OWN]
        for one, before in zip(found, told, strict=True):
            assert (one.rounding_error, one.tolerance) == (before["rounding_error"], before["tolerance"])
            assert one.ratio == pytest.approx(before["ratio"], abs=2)


@pytest.mark.parametrize("name", ["onnx", "torchscript", "pt2"])
def test_one_format_alone_can_be_asked_for(registry, folder, name: str) -> None:
    assert set(verify_folder(registry, folder, [name]).comparisons) == {name}


def test_every_file_of_an_export_is_changed_here(exported) -> None:
    assert sorted(path.name for path in exported.path.iterdir()) == sorted(FILES)


@pytest.mark.parametrize("name", FILES)
def test_one_changed_byte_in_any_file_is_found(registry, folder, name: str) -> None:
    path = folder / name
    content = path.read_bytes()
    rng = random.Random(name)
    positions = [0, len(content) - 1, *(rng.randrange(len(content)) for _ in range(POSITIONS))]
    for position in positions:
        changed = bytearray(content)
        changed[position] ^= rng.randrange(1, 256)
        if name == "manifest.json" and same_json(bytes(changed), content):
            continue  # one blank for another says the same
        path.write_bytes(changed)
        with pytest.raises(DifferenceError) as caught:
            verify_folder(registry, folder)
        assert caught.value.exit_code == 3
        assert name in caught.value.cause
    path.write_bytes(content)
    assert verify_folder(registry, folder)


def same_json(one: bytes, other: bytes) -> bool:
    try:
        return bool(json.loads(one) == json.loads(other))
    except ValueError:
        return False


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("cut", [0, 1, 1000])
def test_a_file_cut_short_is_found(registry, folder, name: str, cut: int) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: min(cut, len(content) - 1)])
    with pytest.raises(DifferenceError, match=name):
        verify_folder(registry, folder)


@pytest.mark.parametrize("name", FILES)
def test_a_file_with_something_added_is_found(registry, folder, name: str) -> None:
    with (folder / name).open("ab") as file:
        file.write(b"x")
    with pytest.raises(DifferenceError, match=name):
        verify_folder(registry, folder)


@pytest.mark.parametrize("name", [name for name in FILES if name != "manifest.json"])
def test_a_missing_file_is_named(registry, folder, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(DifferenceError, match=rf"{re.escape(name)}.*missing"):
        verify_folder(registry, folder)


def test_every_changed_file_is_named_at_once(registry, folder) -> None:
    (folder / "README.md").write_text("other")
    (folder / "model.onnx").unlink()
    with pytest.raises(DifferenceError, match=r"README\.md.*model\.onnx"):
        verify_folder(registry, folder)


def test_golden_vectors_of_another_export_are_found(registry, folder, lenet) -> None:
    shutil.copyfile(lenet["both"] / "golden.npz", folder / "golden.npz")
    with pytest.raises(DifferenceError, match=r"golden\.npz"):
        verify_folder(registry, folder)


def replaced(folder: Path, **arrays: np.ndarray) -> None:
    with np.load(folder / "golden.npz") as golden:
        np.savez(folder / "golden.npz", **{**golden, **arrays})


@pytest.mark.parametrize("by", [0.01, float("nan"), float("inf")])
def test_another_truth_is_found_even_under_right_hashes(registry, folder, by: float) -> None:
    with np.load(folder / "golden.npz") as golden:
        truth = golden["noise-2.truth"]
    truth[1, 2] += by
    replaced(folder, **{"noise-2.truth": truth})
    resealed(folder, lambda manifest: None)
    with pytest.raises(DifferenceError, match="noise-2"):
        verify_folder(registry, folder)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive", b"\x93NUMPY", b"\x80\x04N."])
def test_invalid_golden_archive_with_valid_hashes(registry, folder, content: bytes) -> None:
    (folder / "golden.npz").write_bytes(content)
    resealed(folder, lambda manifest: None)
    with pytest.raises(DifferenceError, match=r"golden\.npz"):
        verify_folder(registry, folder)


def test_a_probe_that_is_named_and_not_there_is_found(registry, folder) -> None:
    resealed(folder, lambda manifest: manifest["certificate"]["probes"][0].update(name="noise-7"))
    with pytest.raises(DifferenceError, match="noise-7"):
        verify_folder(registry, folder)


def test_artifact_of_other_weights_with_valid_hashes(registry, folder, make_model, try_export) -> None:
    other = make_model()
    other.module.head.bias.data.add_(0.01)
    made = try_export(other, "torchscript")
    shutil.copyfile(made.path / "model.torchscript", folder / "model.torchscript")
    resealed(folder, lambda manifest: None)
    with pytest.raises(DifferenceError, match=r"model\.torchscript does not compute what net\.tiny computes"):
        verify_folder(registry, folder)
    assert verify_folder(registry, folder, ["onnx"])


def test_an_export_without_artifacts_or_probes_proves_nothing(registry, folder) -> None:
    resealed(folder, lambda manifest: manifest.update(artifacts={}))
    with pytest.raises(DifferenceError):
        verify_folder(registry, folder)
    resealed(folder, lambda manifest: manifest["certificate"].update(probes=[]))
    with pytest.raises(DifferenceError):
        verify_folder(registry, folder)


@pytest.mark.parametrize("what", ["nothing", "empty", "file", "other"])
def test_what_is_no_export_is_an_error_of_its_own(run_zoo, tmp_path, what: str) -> None:
    target = tmp_path / "there"
    if what in ("empty", "other"):
        target.mkdir()
    if what == "file":
        target.write_text("x")
    if what == "other":
        (target / "notes.txt").write_text("x")
    ran = run_zoo("verify", str(target))
    assert ran.code == (2 if what == "file" else 1)  # a file is judged by itself, if one says against what
    assert ran.out == ""
    assert ran.err.startswith("error: ") and "\n  next: " in ran.err and ran.err.count("\n") == 2
    expected = {"file": "--against", "nothing": "There is no"}.get(what, "no export folder")
    assert expected in ran.err


def test_missing_format_lists_those_present(registry, lenet) -> None:
    with pytest.raises(ExportError, match="no onnx artifact") as caught:
        verify_folder(registry, lenet["torchscript"], ["onnx"])
    assert caught.value.exit_code == 1
    assert "torchscript" in caught.value.next_step


def test_the_command_line_says_it_in_one_line_and_in_json(run_zoo, folder) -> None:
    ran = run_zoo("verify", str(folder))
    assert (ran.code, ran.err) == (0, "")
    *lines, extent, digest = ran.out.splitlines()
    assert len(lines) == 3 and all("computes what the model computes" in line for line in lines)
    assert "4 images" in extent and "seed" in extent
    assert read_folder(folder).digest in digest
    told = json.loads(run_zoo("verify", str(folder), "--json", "-f", "torchscript").out)
    assert told["artifacts"].keys() == {"torchscript"}
    assert [one["probe"] for one in told["artifacts"]["torchscript"]["comparisons"]] == [
        "noise-2",
        "dark-1",
        "bright-1",
    ]
    assert told["artifacts"]["torchscript"]["passed"] is True


def test_the_command_line_exits_with_3_where_a_file_was_changed(run_zoo, folder) -> None:
    (folder / "model.onnx").write_bytes(b"")
    ran = run_zoo("verify", str(folder))
    assert (ran.code, ran.out) == (3, "")
    assert "model.onnx" in ran.err and "\n  next: " in ran.err


def test_format_with_a_conflicting_name_is_resolved(make_model, make_registry, try_export) -> None:
    from zoo_export.formats.torchscript import format as torchscript_format
    from zoo_export.verify import verify_folder

    registry = make_registry(torchscript_format.export, torchscript_format.runner, name="onnx")
    made = try_export(make_model(), "zoo-planted:onnx", registry=registry)
    assert made.manifest.artifacts["onnx"].format == "zoo-planted:onnx"
    assert verify_folder(registry, made.path, trust=True).comparisons["onnx"]  # no child could import what was planted


def test_a_path_that_is_not_there_is_called_missing(run_zoo, tmp_path: Path) -> None:
    ran = run_zoo("verify", str(tmp_path / "none.onnx"), "--against", "lenet5.digits")
    assert ran.code != 0 and "There is no" in ran.err
