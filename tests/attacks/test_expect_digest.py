"""Another digest than the expected one is refused with exit code 3, for weights, folders and exports of weights."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zoo_export.bundle.folder import read_folder

RunZoo = Callable[..., Any]
ROOT = Path(__file__).parents[2]
WEIGHTS = ROOT / "weights" / "lenet5.digits.safetensors"
OLD = ROOT / "tests" / "fixtures" / "release_0_1_0" / "exports" / "lenet5.old"
OTHER = "0" * 64


def digest_of(ran: Any) -> str:
    """The digest that a command shows."""
    match = re.search(r"sha256:([0-9a-f]{64})", ran.out)
    assert match is not None, ran.err
    return match[1]


def refused(ran: Any) -> None:
    assert (ran.code, ran.out) == (3, ""), ran.err
    assert OTHER[:8] in ran.err and "Traceback" not in ran.err


def test_weights_of_another_digest_are_refused(run_zoo: RunZoo) -> None:
    digest = digest_of(run_zoo("weights", "verify", str(WEIGHTS)))
    for text in (digest, f"sha256:{digest}"):
        assert run_zoo("weights", "verify", str(WEIGHTS), "--expect-digest", text).code == 0
    ran = run_zoo("weights", "verify", str(WEIGHTS), "--expect-digest", OTHER)
    assert ran.code == 3 and "Traceback" not in ran.err


def test_a_rewritten_card_has_another_digest(run_zoo: RunZoo, tmp_path: Path) -> None:
    """The digest is of the card, too: its classes decide what a prediction is called."""
    from dataclasses import replace

    from zoo.files.card import read_card
    from zoo.files.weights import load_weights, save_weights

    digest = digest_of(run_zoo("weights", "verify", str(WEIGHTS)))
    card, _ = read_card(WEIGHTS)
    forged = replace(card, classes=card.classes[::-1])
    path = tmp_path / WEIGHTS.name
    save_weights(path, load_weights(WEIGHTS).tensors, forged)
    assert run_zoo("weights", "verify", str(path)).code == 0
    assert run_zoo("weights", "verify", str(path), "--expect-digest", digest).code == 3


def test_a_folder_of_another_digest_is_refused(run_zoo: RunZoo, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(OLD, tmp_path / "copy"))
    digest = digest_of(run_zoo("verify", str(folder)))
    assert digest == read_folder(folder).digest.removeprefix("sha256:")
    assert run_zoo("verify", str(folder), "--expect-digest", digest).code == 0
    refused(run_zoo("verify", str(folder), "--expect-digest", OTHER))


def test_a_resealed_manifest_has_another_digest(run_zoo: RunZoo, tmp_path: Path) -> None:
    import zoo_runtime

    folder = Path(shutil.copytree(OLD, tmp_path / "copy"))
    digest = digest_of(run_zoo("verify", str(folder)))
    path = folder / "manifest.json"
    data = json.loads(path.read_text("utf-8"))
    data["labels"] = data["labels"][::-1]
    data["digest"] = zoo_runtime.manifest_digest(data)
    path.write_text(json.dumps(data), "utf-8")
    assert run_zoo("verify", str(folder), "--expect-digest", digest).code == 3


def test_an_export_of_other_weights_is_refused(run_zoo: RunZoo, tmp_path: Path) -> None:
    out = tmp_path / "out"
    refused(run_zoo("export", str(WEIGHTS), "-f", "torchscript", "-o", str(out), "--expect-digest", OTHER))
    assert not out.exists()


@pytest.mark.parametrize("text", ["", "00", "g" * 64, f"md5:{OTHER}"])
def test_a_malformed_digest_is_wrong_usage(text: str, run_zoo: RunZoo) -> None:
    assert run_zoo("weights", "verify", str(WEIGHTS), "--expect-digest", text).code == 2
