"""An export is published whole and proven, or there is nothing where it would have been."""

import copy
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import zoo_runtime
from zoo import ExportFormat
from zoo.contract.errors import DifferenceError, ExportError, OutputError, PluginError, ZooError
from zoo.contract.exporting.artifact import Backend, Paths
from zoo.registry.discovery import Plugin
from zoo.registry.registry import Registry
from zoo_export.capture import Capture
from zoo_export.formats.torchscript import format as torchscript_format
from zoo_export.parity.check import OWN


def good_export(capture: Capture, paths: Paths) -> None:
    """A third-party format that is right: TorchScript under another name."""
    torchscript_format.export(capture, paths)


good_runner = torchscript_format.runner


def raising(*given: Any) -> Any:
    raise KeyError("no such operator")


def writing_nothing(capture: Capture, paths: Paths) -> None:
    pass


def writing_a_folder(capture: Capture, paths: Paths) -> None:
    paths.main.mkdir()
    (paths.main / "part").write_text("x")


def writing_garbage(capture: Capture, paths: Paths) -> None:
    paths.main.write_bytes(b"\x00garbage" * 100)


def writing_half(capture: Capture, paths: Paths) -> None:
    good_export(capture, paths)
    content = paths.main.read_bytes()
    paths.main.write_bytes(content[: len(content) // 2])


def writing_wrong_weights(capture: Capture, paths: Paths) -> None:
    wrong = copy.deepcopy(capture.module)
    with torch.no_grad():
        wrong.head.weight.mul_(1.01)
    good_export(Capture(capture.name, wrong, capture.card), paths)


def writing_training_mode(capture: Capture, paths: Paths) -> None:
    """BatchNorm by the batch's own statistics: right names, shapes and dtypes, wrong numbers."""
    wrong = copy.deepcopy(capture.module).train()
    torch.jit.save(torch.jit.trace(wrong, capture.example, check_trace=False), paths.main)


def running(change: Callable[[np.ndarray], Any]) -> Callable[[Paths, Backend], Callable[[np.ndarray], Any]]:
    """The good runner with its output changed."""

    def load(paths: Paths, backend: Backend) -> Callable[[np.ndarray], Any]:
        run = good_runner(paths, backend)
        return lambda images: change(run(images))

    return load


def not_a_number(logits: np.ndarray) -> np.ndarray:
    logits = logits.copy()
    logits[-1, -1] = np.nan
    return logits


FAILURES: dict[str, tuple[Callable[..., Any], Callable[..., Any], type[ZooError], str]] = {
    "export raises": (raising, good_runner, ExportError, "no such operator"),
    "writes nothing": (writing_nothing, good_runner, ExportError, "did not write model.planted"),
    "writes a folder": (writing_a_folder, good_runner, ExportError, "did not write model.planted"),
    "writes garbage": (writing_garbage, good_runner, ExportError, "does not load"),
    "writes half": (writing_half, good_runner, ExportError, "does not load"),
    "runner raises": (good_export, raising, ExportError, "no such operator"),
    "wrong weights": (writing_wrong_weights, good_runner, DifferenceError, "does not compute"),
    "training mode": (
        writing_training_mode,
        lambda paths, backend: torchscript_run(paths),
        DifferenceError,
        "does not compute",
    ),
    "run raises": (good_export, lambda paths, backend: raising, DifferenceError, "no such operator"),
    "wrong shape": (good_export, running(lambda y: y[:, :-1]), DifferenceError, "shape"),
    "lost batch": (good_export, running(lambda y: y[:1]), DifferenceError, "shape"),
    "float64": (good_export, running(lambda y: y.astype(np.float64)), DifferenceError, "float64"),
    "not a number": (good_export, running(not_a_number), DifferenceError, "not finite"),
    "nothing": (good_export, running(lambda y: None), DifferenceError, "NoneType"),
    "classes swapped": (good_export, running(lambda y: y[:, ::-1].copy()), DifferenceError, "does not compute"),
    "images swapped": (good_export, running(lambda y: y[::-1].copy()), DifferenceError, "does not compute"),
}


def torchscript_run(paths: Paths) -> Callable[[np.ndarray], np.ndarray]:
    module = torch.jit.load(paths.main)
    return lambda images: module(torch.from_numpy(images)).detach().numpy()


@pytest.mark.parametrize("failure", FAILURES)
def test_a_format_that_fails_leaves_nothing_behind(
    make_model, make_registry, try_export, tmp_path, failure: str
) -> None:
    export, runner, kind, said = FAILURES[failure]
    with pytest.raises(kind) as caught:
        try_export(make_model(), "planted", registry=make_registry(export, runner))
    assert type(caught.value) is kind
    assert said in caught.value.cause
    assert caught.value.next_step
    assert not list(tmp_path.iterdir())  # neither a hidden sibling nor the parents that were made


def test_a_good_format_beside_a_failing_one_is_not_published(make_model, make_registry, try_export, tmp_path) -> None:
    with pytest.raises(DifferenceError):
        try_export(make_model(), "torchscript", "planted", registry=make_registry(writing_wrong_weights, good_runner))
    assert not list(tmp_path.iterdir())


def test_one_percent_off_is_found_and_named(make_model, make_registry, try_export) -> None:
    with pytest.raises(DifferenceError) as caught:
        try_export(make_model(), "planted", registry=make_registry(writing_wrong_weights, good_runner))
    assert caught.value.exit_code == 3
    cause = caught.value.cause
    assert "model.planted does not compute what net.tiny computes" in cause
    assert any(f"on the probe {name}" in cause for name in ("noise-2", "dark-1", "bright-1"))
    assert max(probe["ratio"] for probe in caught.value.details["comparisons"]) > 100
    assert "20 is allowed" in cause and "image" in cause and "class" in cause


def test_ctrl_c_leaves_nothing_behind(make_model, make_registry, try_export, tmp_path) -> None:
    def interrupted(capture: Capture, paths: Paths) -> None:
        paths.main.write_bytes(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        try_export(make_model(), "planted", registry=make_registry(interrupted, good_runner))
    assert not list(tmp_path.iterdir())


def test_third_party_format_is_exported_and_verified(make_model, make_registry, try_export) -> None:
    from zoo_export.verify import verify_folder

    registry = make_registry(good_export, good_runner, requires=("torch",))
    made = try_export(make_model(), "torchscript", "planted", registry=registry)
    assert {name: artifact.file for name, artifact in made.manifest.artifacts.items()} == {
        "torchscript": "model.torchscript",
        "planted": "model.planted",
    }
    assert "model.planted" in (made.path / "README.md").read_text()
    assert "model.planted" in made.manifest.to_dict()["files"]
    assert set(verify_folder(registry, made.path, trust=True).comparisons) == {"torchscript", "planted"}
    assert set(verify_folder(registry, made.path, ["planted"], trust=True).comparisons) == {"planted"}


def in_two(capture: Capture, paths: Paths) -> None:
    good_export(capture, paths)
    paths.main.with_name("model.weights").write_bytes(b"tensors")


def test_every_file_of_an_artifact_is_hashed(make_model, make_registry, try_export) -> None:
    registry = make_registry(in_two, good_runner, files={"graph": ".graph", "weights": ".weights"})
    made = try_export(make_model(), "planted", registry=registry)
    assert made.manifest.artifacts["planted"].files == {"graph": "model.graph", "weights": "model.weights"}
    assert made.manifest.artifacts["planted"].file == "model.graph"
    assert made.manifest.to_dict()["files"].keys() >= {"model.graph", "model.weights"}
    assert made.certificate.artifacts["planted"].sha256.keys() == {"model.graph", "model.weights"}


def test_a_file_that_is_not_declared_is_refused(make_model, make_registry, try_export, tmp_path) -> None:
    with pytest.raises(ExportError, match=r"model\.weights"):
        try_export(make_model(), "planted", registry=make_registry(in_two, good_runner))
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_declared_and_missing_is_refused(make_model, make_registry, try_export, tmp_path) -> None:
    registry = make_registry(good_export, good_runner, files={"graph": ".graph", "weights": ".weights"})
    with pytest.raises(ExportError, match=r"model\.weights"):
        try_export(make_model(), "planted", registry=registry)
    assert not list(tmp_path.iterdir())


def test_a_ref_that_points_nowhere_is_the_plugins_error(make_model, registry, try_export, tmp_path) -> None:
    spec = ExportFormat(name="lost", summary="Lost", suffix=".lost", export="nowhere_at_all:export", runner="a:b")
    with pytest.raises(PluginError, match="nowhere_at_all"):
        try_export(make_model(), "lost", registry=Registry([*registry.plugins, Plugin("p", "zoo-p", "1", (spec,))]))
    assert not list(tmp_path.iterdir())


def test_two_formats_that_would_write_one_file_are_refused(make_model, make_registry, try_export, tmp_path) -> None:
    """Else the second would overwrite the first, whose proof would then be of a file that is gone."""
    registry = make_registry(good_export, good_runner, suffix=".torchscript")
    with pytest.raises(ExportError, match=r"model\.torchscript"):
        try_export(make_model(), "torchscript", "planted", registry=registry)
    assert not list(tmp_path.iterdir())


def test_card_with_another_number_of_classes_is_refused(make_model, try_export, tmp_path) -> None:
    with pytest.raises(ExportError, match=r"4 logits .* 5 classes"):
        try_export(make_model(classes=("a", "b", "c", "d", "e")), "torchscript")
    assert not list(tmp_path.iterdir())


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_an_export_is_not_overwritten_unless_told(make_model, try_export) -> None:
    before = contents(try_export(make_model(), "torchscript").path)
    with pytest.raises(OutputError, match="already exists") as caught:
        try_export(make_model(), "torchscript")
    assert "--force" in caught.value.next_step
    assert contents(try_export(make_model(), "torchscript", force=True).path).keys() == before.keys()


@pytest.mark.parametrize("failure", ["export raises", "writes garbage", "wrong weights", "not a number"])
def test_with_force_a_failure_leaves_the_old_export_as_it_was(
    make_model, make_registry, try_export, tmp_path, failure: str
) -> None:
    old = try_export(make_model(), "torchscript").path
    before = contents(old)
    export, runner, kind, _ = FAILURES[failure]
    with pytest.raises(kind):
        try_export(make_model(), "planted", registry=make_registry(export, runner), force=True)
    assert contents(old) == before
    assert [path.name for path in old.parent.iterdir()] == [old.name]


def test_with_force_a_success_replaces_the_old_export_whole(make_model, make_registry, try_export) -> None:
    old = try_export(make_model(), "torchscript").path
    (old / "left-over").write_text("of the old one")
    made = try_export(make_model(), "planted", registry=make_registry(good_export, good_runner), force=True)
    assert made.path == old
    assert "left-over" not in contents(old) and "model.torchscript" not in contents(old)
    assert "model.planted" in contents(old)
    assert [path.name for path in old.parent.iterdir()] == [old.name]


@pytest.mark.parametrize("kind", ["folder", "file", "empty folder"])
def test_what_is_no_export_is_never_replaced(make_model, try_export, tmp_path, kind: str) -> None:
    target = tmp_path / "made" / "out"
    if kind == "file":
        target.parent.mkdir()
        target.write_text("mine")
    else:
        target.mkdir(parents=True)
    if kind == "folder":
        (target / "thesis.tex").write_text("mine")
    with pytest.raises(OutputError):
        try_export(make_model(), "torchscript", force=True)
    left = [path.read_text() for path in (tmp_path / "made").rglob("*") if path.is_file()]
    assert left == ([] if kind == "empty folder" else ["mine"])


def test_the_manifest_hashes_every_file_and_itself(exported) -> None:
    manifest = json.loads((exported.path / "manifest.json").read_text(encoding="utf-8"))
    files = contents(exported.path)
    del files["manifest.json"]
    assert manifest["files"] == {
        name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)} for name, content in files.items()
    }
    assert manifest["digest"] == zoo_runtime.manifest_digest(manifest)
    artifacts = {"model.onnx", "model.torchscript", "model.pt2"}
    assert files.keys() == {"README.md", "golden.npz", "labels.txt", "zoo_runtime.py"} | artifacts


def test_manifest_equals_the_result_and_the_card(exported, make_model) -> None:
    manifest = json.loads((exported.path / "manifest.json").read_text(encoding="utf-8"))
    assert manifest == json.loads(json.dumps(exported.manifest.to_dict()))
    card = make_model().card
    assert manifest["labels"] == list(card.classes)
    assert manifest["card"] == json.loads(json.dumps(card.to_dict()))
    assert manifest["versions"].keys() >= {"python", "torch", "onnx", "onnxruntime", "zoo-kit"}


def test_certificate_has_every_probe_within_tolerance(exported) -> None:
    certificate = exported.manifest.to_dict()["certificate"]
    probes = [(probe["name"], probe["n"]) for probe in certificate["probes"]]
    assert probes == [("noise-2", 2), ("dark-1", 1), ("bright-1", 1)]
    for probe in certificate["probes"]:
        assert (
            probe["rounding_error"] > 0
            and probe["tolerance"] == certificate["tolerance_factor"] * probe["rounding_error"]
        )
    for artifact in certificate["artifacts"].values():
        found = artifact["comparisons"]
        runners = dict.fromkeys(one["runner"] for one in found)
        for runner in runners:
            own = [one for one in found if one["runner"] == runner and one["weights"] == OWN]
            assert [(one["probe"], one["n"]) for one in own] == probes
        assert all(one["passed"] and one["error"] <= one["tolerance"] and one["ratio"] <= 20 for one in found)


def test_real_images_of_the_cards_data_set_are_among_the_probes(lenet) -> None:
    manifest = json.loads((lenet["both"] / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["certificate"]["real_images"] == "8 of digits test"
    assert manifest["certificate"]["probes"][-1]["name"] == "real-8"


def test_readme_names_exactly_the_artifacts(exported, lenet) -> None:
    both, alone = (
        (folder / "README.md").read_text(encoding="utf-8") for folder in (exported.path, lenet["torchscript"])
    )
    assert "model.onnx" in both and "model.torchscript" in both
    assert "model.torchscript" in alone and "model.onnx" not in alone


def test_the_runtime_is_copied_as_it_is(exported) -> None:
    assert (exported.path / "zoo_runtime.py").read_bytes() == Path(zoo_runtime.__file__).read_bytes()


def test_a_model_is_as_it_was_after_its_export(make_model, try_export) -> None:
    model = make_model()
    before = {name: value.clone() for name, value in model.module.state_dict().items()}
    try_export(model, "onnx", "torchscript")
    assert all(torch.equal(value, before[name]) for name, value in model.module.state_dict().items())
    assert not model.module.training
