"""Adversarial export folders: the manifest is changed, and its hashes and digests are made right again."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

import zoo_runtime
from adversary.forging import Forgery
from zoo.files.card import CARD_DIGEST
from zoo.files.metadata import canonical_digest

Forge = Callable[[Path, dict[str, Any]], None]
GARBAGE = b"no program"


def lists_a_module_of_python(folder: Path, manifest: dict[str, Any]) -> None:
    """Python imports it where a program beside it imports numpy."""
    (folder / "numpy.py").write_text("print('ran')\n", encoding="utf-8")
    manifest["files"]["numpy.py"] = {}


def lists_an_artifact_that_is_not_checked(folder: Path, manifest: dict[str, Any]) -> None:
    """A backdoored file, under a name that an export writes, beside the honest one."""
    (folder / "model.pt2").write_bytes(GARBAGE)
    manifest["files"]["model.pt2"] = {}


def has_a_card_that_lies(folder: Path, manifest: dict[str, Any]) -> None:
    for metric in manifest["card"]["metrics"]:
        metric.update(value=1.0, n=1_000_000)
    manifest["card"]["licence"] = "Public domain"


def has_the_card_of_another_model(folder: Path, manifest: dict[str, Any]) -> None:
    manifest["name"] = "resnet50.imagenet"
    manifest["card"].update(architecture="resnet50", digest=f"sha256:{'0' * 64}")


def has_another_readme(folder: Path, manifest: dict[str, Any]) -> None:
    """With other preprocessing, and a package to install."""
    text = "# Read me\n\nDivide pixels by 127.5 and subtract 1.\n\n    pip install zoo-runtime-helper\n"
    (folder / "README.md").write_text(text, encoding="utf-8")


def has_another_runtime(folder: Path, manifest: dict[str, Any]) -> None:
    with (folder / "zoo_runtime.py").open("a", encoding="utf-8") as file:
        file.write("\nprint('ran')\n")


def states_large_rounding_errors(folder: Path, manifest: dict[str, Any]) -> None:
    """So large that any logits would pass."""
    for probe in manifest["certificate"]["probes"]:
        probe["rounding_error"] = 1e3
        probe["tolerance"] = manifest["certificate"]["tolerance_factor"] * 1e3


def ignores_its_input_beside_its_own_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Without `--against`, such a folder is compared with what it says itself."""
    path = folder / "model.onnx"
    model = onnx.load(path)
    forgery = Forgery(model, None, None)  # type: ignore[arg-type]
    forgery.give(forgery.node("Mul", forgery.honest(), forgery.const(0)))
    onnx.save(model, path)


@dataclass(frozen=True)
class Folder:
    """A forged export folder; see `adversary.kinds.Kind`."""

    forge: Forge
    trigger: str = ""


FOLDERS = {
    f"folder_{forge.__name__}": Folder(forge)
    for forge in (
        lists_a_module_of_python,
        lists_an_artifact_that_is_not_checked,
        has_a_card_that_lies,
        has_the_card_of_another_model,
        has_another_readme,
        has_another_runtime,
        states_large_rounding_errors,
        ignores_its_input_beside_its_own_manifest,
    )
}


def seal(folder: Path, forge: Forge) -> None:
    """Forge a copy of an export folder in place, and make its hashes and digests right again."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    forge(folder, manifest)
    card = {key: value for key, value in manifest["card"].items() if key != CARD_DIGEST}
    manifest["card"] = {**card, CARD_DIGEST: canonical_digest(card)}
    for name, record in manifest["files"].items():
        content = (folder / name).read_bytes()
        record.update(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))
        for artifact in manifest["certificate"]["artifacts"].values():
            artifact["sha256"] |= {name: record["sha256"]} if name in artifact["sha256"] else {}
    manifest["digest"] = zoo_runtime.manifest_digest(manifest)
    path.write_text(json.dumps(manifest), encoding="utf-8")
