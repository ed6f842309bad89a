"""Names from files may hold what a terminal obeys, or what makes text look like another: no command shows it raw."""

import json
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import zoo_runtime
from zoo.contract.pretrained import Metric
from zoo.contract.printable import INVISIBLE, json_text, plain, plain_lines
from zoo.files.weights import load_weights, save_weights
from zoo_export.bundle.folder import read_folder

Run = Callable[..., Any]
pytestmark = pytest.mark.usefixtures("in_time")
WEIGHTS = Path(__file__).parents[2] / "weights" / "lenet5.digits.safetensors"
# Clear the screen, set the title, C1 controls, bidirectional overrides and isolates, zero width, tags, fillers, DEL.
EVIL = "\x1b[2J\x1b]0;owned\x07\x9b31m\x85\x90\u202e\u2066\u200b\u200f\ufeff\U000e0041\u3164\u2028\x7f\x00\x08\r"
NAME = EVIL.replace("\x00", "") + "x"  # for files


def is_safe(text: str) -> bool:
    kinds = {unicodedata.category(mark) for mark in text if mark not in "\n\t"}
    return not kinds & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} and not {ord(mark) for mark in text} & INVISIBLE


@pytest.fixture
def evil_weights(here: Path) -> Path:
    """Weights that work, and whose card is hostile wherever it holds text."""
    weights = load_weights(WEIGHTS)
    card = replace(
        weights.card,
        classes=tuple(f"{EVIL}{index}" for index in range(10)),
        licence=EVIL,
        dataset=EVIL,
        command=EVIL,
        plugin_version=EVIL,
        recipe={EVIL: EVIL},
        versions={EVIL: EVIL},
        metrics=(Metric(name="top1", value=0.5, dataset=EVIL, split=EVIL, n=1),),
    )
    folder = here / NAME
    folder.mkdir()
    save_weights(folder / f"lenet5.{NAME}.safetensors", weights.tensors, card)
    return folder / f"lenet5.{NAME}.safetensors"


def test_every_command_shows_hostile_weights_safely(run_zoo: Run, here: Path, evil_weights: Path) -> None:
    Image.new("L", (8, 8)).save(here / f"{NAME}.png")
    exported = str(here / f"e{NAME}")
    path, image = str(evil_weights), str(here / f"{NAME}.png")
    commands = [
        ("weights", "show", path),
        ("weights", "verify", path),
        ("weights", "verify", path, "--expect-digest", "0" * 64),
        ("weights", "page", str(evil_weights.parent)),
        ("show", path),
        ("summary", path),
        ("predict", path, image),
        ("predict", path, f"missing{NAME}"),
        ("evaluate", path, "--data", "digits"),
        ("evaluate", path, "--data", EVIL.replace("\x00", "")),
        ("export", path, "-f", "onnx", "-o", exported),
        ("export", path, "-f", "onnx", "-o", exported),
        ("verify", exported),
        ("verify", exported, "--against", path),
        ("predict", exported, image),
        ("evaluate", exported, "--data", "digits"),
        ("verify", f"{exported}/model.onnx", "--against", path),
        ("list", NAME),
        ("doctor",),
        (NAME,),
        ("show", f"--{NAME}"),
    ]
    for arguments in commands:
        for extra in ((), ("--json",)):
            ran = run_zoo(*arguments, *(extra if arguments[0] not in ("export",) else ()))
            assert is_safe(ran.out) and is_safe(ran.err), (arguments, ran)
            assert ran.code in (0, 1, 2, 3)
    assert json.loads(run_zoo("weights", "show", path, "--json").out)["classes"][0] == f"{EVIL}0"


def test_the_listing_of_a_hostile_folder(run_zoo: Run, monkeypatch: pytest.MonkeyPatch, evil_weights: Path) -> None:
    monkeypatch.setenv("ZOO_WEIGHTS", str(evil_weights.parent))
    for arguments in (("weights", "list"), ("weights", "verify"), ("doctor",), ("show", "lenet5")):
        for extra in ((), ("--json",)):
            ran = run_zoo(*arguments, *extra)
            assert is_safe(ran.out) and is_safe(ran.err), arguments


def test_names_of_tensors(run_zoo: Run, here: Path) -> None:
    weights = load_weights(WEIGHTS)
    tensors = {**weights.tensors, EVIL: torch.zeros(1)}
    save_weights(here / "lenet5.a.safetensors", tensors, weights.card)
    save_weights(here / "lenet5.b.safetensors", {EVIL: torch.zeros(1)}, weights.card)
    metadata = weights.card.to_metadata()
    safetensors.torch.save_file({EVIL: torch.full((1,), float("nan"))}, here / "lenet5.c.safetensors", metadata)
    for name in "abc":
        for command in ("verify", "show"):
            ran = run_zoo("weights", command, f"./lenet5.{name}.safetensors")
            assert is_safe(ran.out) and is_safe(ran.err)
        ran = run_zoo("predict", f"./lenet5.{name}.safetensors", "image.png")
        assert is_safe(ran.out) and is_safe(ran.err) and ran.code == 1


EDITS: dict[str, Callable[[dict[str, Any]], object]] = {
    "name": lambda data: data.update(name=EVIL),
    "precision": lambda data: data.update(precision=EVIL),
    "verdict": lambda data: data.update(verdict=EVIL),
    "format": lambda data: data["artifacts"]["onnx"].update(format=EVIL),
    "probe": lambda data: data["certificate"]["probes"][0].update(name=EVIL),
    "reason": lambda data: data["certificate"]["artifacts"]["onnx"]["comparisons"][0].update(reason=EVIL),
    "file": lambda data: data["files"].update({EVIL: {"bytes": 0, "sha256": "0" * 64}}),
    "artifact": lambda data: data["artifacts"].update({EVIL: data["artifacts"]["onnx"]}),
    "versions": lambda data: data.update(versions={EVIL: EVIL}),
    "uncovered": lambda data: data["certificate"]["coverage"].update(uncovered=[EVIL]),
    "key": lambda data: data.update({EVIL: 1}),
    "labels": lambda data: data.update(labels=[EVIL] * 10),
    "digest": lambda data: data["certificate"]["weights"].update(digest=EVIL),
    "environment": lambda data: data["certificate"].update(environment={EVIL: EVIL}),
}


@pytest.mark.parametrize("edit", EDITS)
def test_hostile_manifests(
    run_zoo: Run, here: Path, reseal: Callable[..., None], export_copy: Path, capsys, edit: str
) -> None:
    reseal(export_copy, EDITS[edit])
    folder = str(export_copy)
    for arguments in (("verify", folder), ("verify", folder, "--json"), ("verify", folder, "--strict")):
        ran = run_zoo(*arguments)
        assert is_safe(ran.out) and is_safe(ran.err), ran
        assert ran.code in (0, 1, 3)
    capsys.readouterr()
    for arguments in (["--verify"], ["--verify", "--json"], ["missing.png"]):
        zoo_runtime.main([*arguments, "--folder", folder])
        shown = capsys.readouterr()
        assert is_safe(shown.out.replace("\x7f", "")) and is_safe(shown.err)


def test_warnings_and_tracebacks(start_zoo: Callable[..., Any], here: Path, sound_export: Path) -> None:
    import shutil

    folder = shutil.copytree(sound_export, here / f"e{NAME}")
    assert read_folder(folder)
    process = start_zoo("evaluate", str(folder), "--data", "digits")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert is_safe(out) and is_safe(err)
    from zoo.cli import main

    main._escape_warnings()


@given(st.text())
def test_any_text_is_shown_safely(text: str) -> None:
    assert is_safe(plain(text)) and "\n" not in plain(text)
    assert is_safe(plain_lines(text)) and plain_lines(text).count("\n") == text.count("\n")
    if text.isprintable() and not {ord(mark) for mark in text} & INVISIBLE:
        assert plain(text) == text


@given(st.recursive(st.text() | st.integers(), lambda inner: st.dictionaries(st.text(), inner) | st.lists(inner)))
def test_any_json_is_shown_safely_and_comes_back(data: Any) -> None:
    assert is_safe(json_text(data))
    assert json.loads(json_text(data)) == data


@pytest.mark.parametrize("text", ["dög", "猫", "קָטָן", "café", "T-shirt/top", "naïve (50 %)", "🐈", "❤️"])
def test_ordinary_names_stay(text: str) -> None:
    assert plain(text) == text and json.loads(json_text(text)) == text and text in json_text(text)
