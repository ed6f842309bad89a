"""An export folder that somebody changed and sealed again: claims, numbers, names and files that do not belong."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import zoo_runtime
from zoo.cli.main import run
from zoo.files.card import CARD_DIGEST
from zoo.files.metadata import canonical_digest

MODEL = "lenet5.digits"
Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export."""
    folder = tmp_path_factory.mktemp("forged") / MODEL
    assert run(["export", MODEL, "-f", "onnx", "-o", str(folder)]) == 0
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy to be changed."""
    return Path(shutil.copytree(made, tmp_path / "copy"))


def sealed(folder: Path, change: Change = lambda manifest: None) -> None:
    """Change the manifest, and make its hashes and digest right again."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    change(manifest)
    card = {key: value for key, value in manifest["card"].items() if key != CARD_DIGEST}
    manifest["card"] = {**card, CARD_DIGEST: canonical_digest(card)}
    for name, record in manifest["files"].items():
        content = (folder / name).read_bytes()
        record.update(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))
        for artifact in manifest["certificate"]["artifacts"].values():
            artifact["sha256"] |= {name: record["sha256"]} if name in artifact["sha256"] else {}
    manifest["digest"] = zoo_runtime.manifest_digest(manifest)
    path.write_text(json.dumps(manifest), encoding="utf-8")


def forge_labels(folder: Path, *, in_file: bool) -> None:
    if in_file:
        model = onnx.load(folder / "model.onnx")
        entry = next(each for each in model.metadata_props if each.key == "zoo.labels")
        entry.value = json.dumps(json.loads(entry.value)[::-1])
        onnx.save(model, folder / "model.onnx")
        sealed(folder)
        return

    def reverse(manifest: dict[str, Any]) -> None:
        manifest["labels"].reverse()
        manifest["card"]["classes"].reverse()

    sealed(folder, reverse)


@pytest.mark.parametrize("in_file", [True, False])
def test_reversed_labels_are_named(run_zoo, folder: Path, in_file: bool) -> None:
    forge_labels(folder, in_file=in_file)
    for more in ([], ["--strict"], ["--against", MODEL]):
        ran = run_zoo("verify", str(folder), *more)
        assert ran.code == 3 and "label" in ran.err and "class 0" in ran.err, more


def test_consistently_reversed_labels_need_the_model(run_zoo, folder: Path) -> None:
    forge_labels(folder, in_file=True)
    forge_labels(folder, in_file=False)
    ran = run_zoo("verify", str(folder), "--against", MODEL)
    assert ran.code == 3 and "class 0" in ran.err and MODEL in ran.err


def test_a_wrong_mean_is_named(run_zoo, folder: Path) -> None:
    def change(manifest: dict[str, Any]) -> None:
        manifest["preprocess"]["mean"] = manifest["card"]["preprocess"]["mean"] = [0.9]

    model = onnx.load(folder / "model.onnx")
    entry = next(each for each in model.metadata_props if each.key == "zoo.preprocess")
    entry.value = json.dumps({**json.loads(entry.value), "mean": [0.9]})
    onnx.save(model, folder / "model.onnx")
    sealed(folder, change)
    ran = run_zoo("verify", str(folder), "--against", MODEL)
    assert ran.code == 3 and "mean" in ran.err and "0.9" in ran.err


def test_a_graph_that_ignores_its_input_and_its_probes(run_zoo, folder: Path) -> None:
    """The folder's own probes are all one image, for which a constant is right."""
    with np.load(folder / "golden.npz") as golden:
        arrays = dict(golden)
    image, truth = arrays["bright-1.input"][0], arrays["bright-1.truth"][0]
    for name, values in arrays.items():
        if name.endswith((".pixels", ".tensor")):
            continue
        arrays[name] = np.broadcast_to(image if name.endswith("input") else truth, values.shape).copy()
    np.savez(folder / "golden.npz", **arrays)
    model = onnx.load(folder / "model.onnx")
    last = next(node for node in model.graph.node if node.output[0] == "logits")
    last.output[0] = "honest"
    zero, constant = (numpy_helper.from_array(np.float32(each), name) for each, name in ((0, "zero"), (truth, "right")))
    model.graph.initializer.extend([zero, constant])
    model.graph.node.append(onnx.helper.make_node("Mul", ["honest", "zero"], ["nothing"]))
    model.graph.node.append(onnx.helper.make_node("Add", ["nothing", "right"], ["logits"]))
    onnx.save(model, folder / "model.onnx")

    def change(manifest: dict[str, Any]) -> None:
        for probe in manifest["certificate"]["probes"]:
            probe["sha256"] = hashlib.sha256(arrays[f"{probe['name']}.input"].tobytes()).hexdigest()

    sealed(folder, change)
    assert run_zoo("verify", str(folder)).code == 0  # the folder alone proves nothing against its maker
    ran = run_zoo("verify", str(folder), "--strict", "--against", MODEL)
    assert ran.code == 3 and "does not compute" in ran.err and "seed" in ran.err


@pytest.mark.parametrize("name", ["numpy.py", "notes.txt", ".hidden", "__pycache__", "link", "pipe"])
def test_what_the_manifest_does_not_list_is_refused(run_zoo, folder: Path, name: str) -> None:
    path = folder / name
    if name == "__pycache__":
        path.mkdir()
    elif name == "link":
        path.symlink_to("README.md")
    elif name == "pipe":
        os.mkfifo(path)
    else:
        path.write_text("raise SystemExit('run')")
    ran = run_zoo("verify", str(folder))
    assert ran.code == 3 and name in ran.err


def test_a_listed_link_is_refused(run_zoo, folder: Path, tmp_path: Path) -> None:
    (folder / "README.md").rename(tmp_path / "README.md")
    (folder / "README.md").symlink_to(tmp_path / "README.md")
    ran = run_zoo("verify", str(folder))
    assert ran.code == 3 and "README.md" in ran.err


def test_another_runtime_is_refused(run_zoo, folder: Path) -> None:
    with (folder / "zoo_runtime.py").open("a") as file:
        file.write("\n# changed\n")
    sealed(folder)
    ran = run_zoo("verify", str(folder))
    assert ran.code == 3 and "zoo_runtime.py" in ran.err


@pytest.mark.parametrize("name", ["numpy.py", "json.py", "argparse.py", "onnxruntime.py"])
def test_the_runtime_imports_nothing_from_its_folder(folder: Path, name: str, tmp_path: Path) -> None:
    (folder / name).write_text(f"open({str(tmp_path / 'run')!r}, 'w')\nraise SystemExit(77)")
    command = [sys.executable, "zoo_runtime.py", "--verify"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["../evil.safetensors", "/tmp/evil.safetensors", "evil.safetensors", "a/b", ".."])
def test_a_name_in_a_manifest_is_no_path(run_zoo, folder: Path, name: str) -> None:
    def change(manifest: dict[str, Any]) -> None:
        manifest["name"] = manifest["certificate"]["weights"]["name"] = name

    sealed(folder, change)
    ran = run_zoo("verify", str(folder), "--strict")
    assert ran.code in (1, 3) and name in ran.err


def loosened(key: str, value: float) -> Change:
    def change(manifest: dict[str, Any]) -> None:
        if key == "tolerance_factor":
            manifest["certificate"][key] = value
        for probe in manifest["certificate"]["probes"]:
            probe[key] = value
            probe["tolerance"] = manifest["certificate"]["tolerance_factor"] * probe["rounding_error"]
            probe.pop("tolerance_factor", None)

    return change


@pytest.mark.parametrize(
    ("key", "value"), [("rounding_error", 1e9), ("rounding_error", 1.0), ("tolerance_factor", 1e6)]
)
@pytest.mark.parametrize("more", [[], ["--strict"]])
def test_loose_numbers_in_a_certificate_are_refused(run_zoo, folder: Path, key: str, value: float, more) -> None:
    sealed(folder, loosened(key, value))
    ran = run_zoo("verify", str(folder), *more)
    assert ran.code == 3 and key.replace("_", " ").split()[0] in ran.err


def test_strict_computes_rounding_errors_again(run_zoo, folder: Path) -> None:
    sealed(folder, loosened("rounding_error", 1e-3))  # a thousand times what it is, and not absurd
    assert run_zoo("verify", str(folder)).code == 0
    ran = run_zoo("verify", str(folder), "--strict")
    assert ran.code == 3 and "rounding error" in ran.err


def test_the_seed_repeats_a_check(run_zoo, folder: Path) -> None:
    first, again = (
        json.loads(run_zoo("verify", str(folder), "--against", MODEL, "--seed", "7", "--json").out) for _ in range(2)
    )
    assert first == again and first["extent"]["seed"] == 7
    seeds = {json.loads(run_zoo("verify", str(folder), "--json").out)["extent"]["seed"] for _ in range(2)}
    assert len(seeds) == 2


def test_what_was_looked_at_is_counted(run_zoo, folder: Path) -> None:
    result = json.loads(run_zoo("verify", str(folder), "--against", MODEL, "--seed", "1", "--json").out)
    extent, graph = result["extent"], result["artifacts"]["onnx"]["graph"]
    assert extent["fresh"] >= 190 and extent["images"] == extent["fresh"] + 12 and len(extent["batch_sizes"]) >= 7
    assert 1 in extent["batch_sizes"] and "10 of 10 classes" in extent["real_images"]
    assert graph["same"] == "identical" and result["coverage"]["fraction"] == 1
    assert re.fullmatch("[0-9a-f]{64}", result["source"]["sha256"]) and result["source"]["path"].endswith(
        ".safetensors"
    )


def test_against_takes_a_digest(run_zoo, folder: Path) -> None:
    digest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["certificate"]["weights"]["digest"]
    ran = run_zoo("verify", str(folder / "model.onnx"), "--against", digest, "--json")
    assert ran.code == 0 and json.loads(ran.out)["source"]["digest"] == digest


def test_weights_that_hide_others_are_named(run_zoo, folder: Path, tmp_path: Path, monkeypatch) -> None:
    shipped = json.loads(run_zoo("verify", str(folder), "--strict", "--json").out)["source"]["path"]
    shadow = tmp_path / "mine" / Path(shipped).name
    shadow.parent.mkdir()
    content = bytearray(Path(shipped).read_bytes())
    header = int.from_bytes(content[:8], "little")
    padded = content[8 : 8 + header] + b" " * 8
    shadow.write_bytes(len(padded).to_bytes(8, "little") + padded + content[8 + header :])
    monkeypatch.setenv("ZOO_WEIGHTS", str(shadow.parent))
    result = json.loads(run_zoo("verify", str(folder), "--strict", "--json").out)
    assert result["source"]["path"] == str(shadow) and result["source"]["shadows"] == shipped


def claim_fame(card: dict[str, Any]) -> None:
    for metric in card["metrics"]:
        metric.update(value=1.0, n=1_000_000)


CARDS: dict[str, Callable[[dict[str, Any]], object]] = {
    "top1 1": claim_fame,
    "licence": lambda card: card.update(licence="Public domain"),
    "digest": lambda card: card.update(digest="sha256:" + "0" * 64),
    "dataset": lambda card: card.update(dataset="imagenet"),
    "published": lambda card: card.update(
        published=[{"name": "top1", "value": 1.0, "dataset": "imagenet", "split": "val", "n": 50_000}]
    ),
    "source": lambda card: card.update(source="https://example.org/weights"),
    "seed=666": lambda card: card["recipe"].update(seed=666),
}


@pytest.mark.parametrize("named", CARDS)
def test_a_card_that_lies_is_refused_beside_the_model(run_zoo, folder: Path, named: str) -> None:
    sealed(folder, lambda manifest: CARDS[named](manifest["card"]))
    ran = run_zoo("verify", str(folder), "--against", MODEL)
    assert ran.code == 3 and named in ran.err and "Traceback" not in ran.err


def test_another_name_of_the_model_is_said(run_zoo, folder: Path) -> None:
    sealed(folder, lambda manifest: manifest.update(name="resnet50.by_somebody"))
    (folder / "README.md").write_text((folder / "README.md").read_text().replace(MODEL, "resnet50.by_somebody"))
    sealed(folder)
    ran = run_zoo("verify", str(folder), "--against", MODEL)
    assert ran.code == 0 and "resnet50.by_somebody" in ran.err and MODEL in ran.err


@pytest.mark.parametrize("version", [None, "99.9"])
def test_a_readme_that_zoo_did_not_write_is_noticed(run_zoo, folder: Path, version: str | None) -> None:
    text = (folder / "README.md").read_text()
    (folder / "README.md").write_text(text + "\n    pip install helper\n")
    sealed(folder, lambda manifest: manifest["versions"].update({"zoo-kit": version} if version else {}))
    ran = run_zoo("verify", str(folder))
    assert "README.md" in ran.err and ran.code == (0 if version else 3)


def list_file(manifest: dict[str, Any], name: str) -> None:
    manifest["files"][name] = {}


@pytest.mark.parametrize("name", ["numpy.py", "onnxruntime.so", "model.pt2", "MODEL.onnx", "sitecustomize.py", "a.txt"])
def test_a_listed_file_of_no_artifact_is_refused(run_zoo, folder: Path, name: str) -> None:
    """Python imports a `numpy.py` beside `zoo_runtime.py`, and nothing would check an artifact that is only listed."""
    (folder / name).write_text("print('ran')\n")
    sealed(folder, lambda manifest: list_file(manifest, name))
    for command in (["verify"], ["verify", "--strict", "--against", MODEL]):
        ran = run_zoo(command[0], str(folder), *command[1:])
        assert ran.code == 3 and name in ran.err and "ran" not in ran.out.split(), command


@pytest.mark.parametrize("name", ["numpy.py", "other.onnx", "model.py"])
def test_an_artifact_of_a_strange_name_is_refused(run_zoo, folder: Path, name: str) -> None:
    (folder / "model.onnx").rename(folder / name)

    def rename(manifest: dict[str, Any]) -> None:
        manifest["artifacts"]["onnx"]["files"] = {"model": name}
        manifest["files"][name] = manifest["files"].pop("model.onnx")
        record = manifest["certificate"]["artifacts"]["onnx"]
        record["sha256"] = {name: record["sha256"].pop("model.onnx")}

    sealed(folder, rename)
    ran = run_zoo("verify", str(folder))
    assert ran.code == 3 and name in ran.err
