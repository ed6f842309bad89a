"""The certificate says from what an export was made, in words that make the probes again, and nothing private."""

import hashlib
import json
import os
import platform
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from zoo.contract.errors import ExportError
from zoo.contract.evidence import Probe
from zoo.contract.preprocess import Preprocess
from zoo.contract.specs import Dataset
from zoo.data.batches import read_item
from zoo.data.datasets import load_dataset
from zoo.data.images import fit_image, normalise_array
from zoo.files.card import read_card
from zoo_export.probes.probe_recipe import described, input_digest, make_image
from zoo_export.probes.probes import make_probes

ROOT = Path(__file__).parents[2]


def manifest(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return found


def test_the_weights_the_artifacts_and_their_plugins_are_named(lenet) -> None:
    told = manifest(lenet["both"])
    certificate = told["certificate"]
    card, _ = read_card(lenet["weights"])
    assert certificate["weights"] == {
        "digest": card.digest,
        "file_sha256": hashlib.sha256(lenet["weights"].read_bytes()).hexdigest(),
        "name": lenet["weights"].name.removesuffix(".safetensors"),
    }
    assert certificate["architecture"] == {
        "distribution": card.plugin,
        "version": card.plugin_version,
        "name": "lenet5",
    }
    for name, entry in told["artifacts"].items():
        artifact, file = certificate["artifacts"][name], entry["files"]["model"]
        assert entry == {"files": {"model": file}, "format": f"zoo-kit:{name}"}
        assert artifact["sha256"] == {file: hashlib.sha256((lenet["both"] / file).read_bytes()).hexdigest()}
        assert artifact["format"] == {"distribution": "zoo-kit", "version": told["versions"]["zoo-kit"], "name": name}


def test_fresh_weights_have_a_digest_too(exported) -> None:
    weights = exported.manifest.to_dict()["certificate"]["weights"]
    assert weights["digest"].startswith("sha256:") and weights["file_sha256"] is None


def test_the_environment_is_what_decides_rounding(exported) -> None:
    assert exported.manifest.to_dict()["certificate"]["environment"] == {
        "system": platform.system(),
        "machine": platform.machine(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }


def test_the_probes_are_made_again_from_the_manifest_alone(registry, lenet, tmp_path: Path) -> None:
    told = manifest(lenet["both"])
    preprocess, seed = Preprocess.from_dict(told["preprocess"]), told["certificate"]["seed"]
    with np.load(lenet["both"] / "golden.npz") as golden:
        for probe in told["certificate"]["probes"]:
            images = []
            for words in probe["image_names"]:
                if " test " in words:
                    name, _, index = words.split()
                    dataset = load_dataset(registry.find(Dataset, name), tmp_path, "test")
                    fitted = fit_image(read_item(dataset, int(index))[0], preprocess)
                    images.append(normalise_array(fitted[None], preprocess))
                else:
                    images.append(make_image(words, preprocess, seed))
            again, stored = np.concatenate(images), golden[f"{probe['name']}.input"]
            assert again.dtype == stored.dtype and again.tobytes() == stored.tobytes()
            assert hashlib.sha256(stored.tobytes()).hexdigest() == probe["sha256"]
            assert len(probe["image_names"]) == probe["n"]


def test_noise_is_what_the_manifest_says_it_is(exported) -> None:
    """By the words of `probe_recipe` alone, without zoo's code."""
    told = exported.manifest.to_dict()
    shape = tuple(told["input"]["shape"][1:])
    drawn = np.random.default_rng(told["certificate"]["seed"]).integers(0, 256, (2, *shape), dtype=np.uint8)
    mean, std = (np.array(told["preprocess"][key], np.float32)[:, None, None] for key in ("mean", "std"))
    images = (drawn.astype(np.float32) / np.float32(255) - mean) / std
    with np.load(exported.path / "golden.npz") as golden:
        assert golden["noise-2.input"].tobytes() == images.tobytes()


def test_an_image_without_words_is_not_described_wrongly() -> None:
    preprocess = Preprocess(size=(8, 8), mean=(0.5,), std=(0.25,))
    with pytest.raises(ExportError, match="other-1"):
        described(Probe("other-1", np.full((1, 1, 8, 8), 0.123, np.float32)), preprocess)
    with pytest.raises(ExportError, match="plaid"):
        make_image("plaid", preprocess)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (8, 8)])
def test_every_seeded_probe_has_words_that_make_it(size: tuple[int, int]) -> None:
    preprocess = Preprocess(size=size, mean=(0.5, 0.4, 0.3), std=(0.25, 0.2, 0.1))
    for probe in make_probes(preprocess):
        named = described(probe, preprocess)
        again = Probe(probe.name, np.concatenate([make_image(name, preprocess) for name in named.image_names]))
        assert input_digest(again) == input_digest(probe) == named.sha256


def test_the_words_of_another_recipe_are_not_taken_for_ours(run_zoo, tmp_path: Path) -> None:
    import zoo_runtime

    folder = tmp_path / "out"
    assert run_zoo("export", "lenet5.digits", "-f", "torchscript", "-o", str(folder), "--no-verify").code == 0
    told = manifest(folder)
    told["certificate"]["probes"][0]["sha256"] = "0" * 64
    told["digest"] = zoo_runtime.manifest_digest(told)
    (folder / "manifest.json").write_text(json.dumps(told), encoding="utf-8")
    ran = run_zoo("verify", str(folder), "--strict")
    assert ran.code == 1 and "probes" in ran.err


@pytest.mark.parametrize("more", [(), ("--no-verify",), ("--atol", "0.1")], ids=["pass", "unverified", "overridden"])
def test_manifest_is_reproducible_and_has_no_local_path(tmp_path: Path, more: tuple[str, ...]) -> None:
    made = []
    for name in ("first", "second"):
        home = tmp_path / name
        home.mkdir()
        code = "from zoo.cli.main import main; main()"
        arguments = ("export", "lenet5.digits", "-f", "onnx,torchscript", "-o", str(home / "out"), *more)
        environment = {**os.environ, "USER": "jane-roe", "HOME": str(home), "HOSTNAME": "secret-host"}
        environment["ZOO_WEIGHTS"] = str(ROOT / "weights")
        subprocess.run([sys.executable, "-c", code, *arguments], cwd=home, env=environment, check=True)
        made.append({path.name: path.read_bytes() for path in (home / "out").iterdir()})
    assert made[0] == made[1]
    private = [str(tmp_path), str(Path.home()), str(ROOT), sys.prefix, "jane-roe", "secret-host", socket.gethostname()]
    for content in (made[0]["manifest.json"], made[0]["README.md"]):
        assert not [word for word in private if len(word) > 5 and word.encode() in content]
