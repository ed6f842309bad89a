"""A weights file from anywhere, however made, is used as it is meant or refused in two lines."""

import hashlib
import io
import json
import pickle
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from PIL import Image
from torch import Tensor

from zoo.files.card import KEY
from zoo.files.metadata import CHECKSUM_KEY, canonical_digest
from zoo.files.weights import Weights, load_weights, tensors_digest
from zoo.version import __version__

Run = Callable[..., Any]
Explained = Callable[..., str]


def commands(path: Path) -> list[tuple[str, ...]]:
    """What a person does with a weights file."""
    return [
        ("summary", str(path)),
        ("evaluate", str(path)),
        ("export", str(path), "-f", "torchscript", "-o", "out"),
        ("predict", str(path), "image.png"),
    ]


@pytest.fixture
def weights(trained: Path) -> Weights:
    return load_weights(trained)


@pytest.fixture(autouse=True)
def _image(here: Path) -> None:
    Image.new("L", (9, 9), 90).save(here / "image.png")


@pytest.fixture
def seal(tmp_path: Path, weights: Weights) -> Callable[..., Path]:
    """Write a file whose digest and seal are right, whatever its tensors and card are."""

    def write(tensors: Mapping[str, Tensor] | None = None, **card: Any) -> Path:
        tensors = dict(weights.tensors) if tensors is None else dict(tensors)
        data = {**weights.card.to_dict(), "digest": tensors_digest(tensors), **card}
        data["card_digest"] = canonical_digest({key: value for key, value in data.items() if key != "card_digest"})
        text = json.dumps(data)
        metadata = {KEY: text, CHECKSUM_KEY: hashlib.sha256(text.encode()).hexdigest()}
        path = tmp_path / "made.safetensors"
        path.write_bytes(safetensors.torch.save(tensors, metadata))
        return path

    return write


def refused(run_zoo: Run, explained: Explained, here: Path, path: Path, named: str) -> None:
    for arguments in commands(path):
        message = explained(run_zoo(*arguments), 1)
        assert named in message, message
    assert [entry.name for entry in here.iterdir()] == ["image.png"]


def _pickle(content: bytes) -> bytes:
    return pickle.dumps({"weight": [1.0]}, protocol=4)


def _torch(content: bytes) -> bytes:
    file = io.BytesIO()
    torch.save({"weight": torch.ones(1)}, file)
    return file.getvalue()


DAMAGE: list[tuple[str, Callable[[bytes], bytes], str]] = [
    ("empty", lambda content: b"", "empty"),
    ("eight bytes", lambda content: content[:8], "truncated"),
    ("half a header", lambda content: content[:500], "truncated"),
    ("a byte short", lambda content: content[:-1], "bytes"),
    ("a byte long", lambda content: content + b"x", "bytes"),
    ("header of 2^63", lambda content: struct.pack("<Q", 2**63) + content[8:], "header"),
    ("header that is no JSON", lambda content: content[:8] + b"[" + content[9:], "malformed"),
    ("a bit flipped", lambda content: content[:-1] + bytes([content[-1] ^ 1]), "digest"),
    ("pickle", _pickle, "pickle"),
    ("torch.save", _torch, "pickle"),
]


@pytest.mark.parametrize(
    ("how", "named"), [(how, named) for _, how, named in DAMAGE], ids=[name for name, *_ in DAMAGE]
)
def test_a_damaged_file(
    run_zoo: Run,
    explained: Explained,
    here: Path,
    trained: Path,
    tmp_path: Path,
    how: Callable[[bytes], bytes],
    named: str,
) -> None:
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(how(trained.read_bytes()))
    refused(run_zoo, explained, here, path, named)
    ran = run_zoo("weights", "verify", str(path))
    assert "damaged.safetensors" in explained(ran, 3, out=True) and named in ran.out


def test_values_that_are_not_finite(
    run_zoo: Run, explained: Explained, here: Path, weights: Weights, seal: Callable[..., Path]
) -> None:
    tensors = {name: tensor.clone() for name, tensor in weights.tensors.items()}
    tensors["features.0.bias"][2] = float("nan")
    path = seal(tensors)
    refused(run_zoo, explained, here, path, "features.0.bias has 1 of 6")
    explained(run_zoo("weights", "verify", str(path)), 3, out=True)


def _without(tensors: dict[str, Tensor]) -> None:
    del tensors["features.0.bias"]


def _with(tensors: dict[str, Tensor]) -> None:
    tensors["surplus"] = torch.ones(2)


def _shape(tensors: dict[str, Tensor]) -> None:
    tensors["features.0.bias"] = torch.ones(7)


def _half(tensors: dict[str, Tensor]) -> None:
    tensors["features.0.bias"] = tensors["features.0.bias"].half()


def _none(tensors: dict[str, Tensor]) -> None:
    tensors.clear()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_without, "features.0.bias"),
        (_with, "surplus"),
        (_shape, "features.0.bias (7,)"),
        (_half, "torch.float16"),
        (_none, "and 9 more"),
    ],
)
def test_tensors_that_are_not_the_models(
    run_zoo: Run,
    explained: Explained,
    here: Path,
    weights: Weights,
    seal: Callable[..., Path],
    change: Callable[[dict[str, Tensor]], None],
    named: str,
) -> None:
    tensors = dict(weights.tensors)
    change(tensors)
    refused(run_zoo, explained, here, seal(tensors), named)


GREY = {"size": [32, 32], "mean": [0.5], "std": [0.5], "shorter_side": None, "interpolation": "bilinear"}


@pytest.mark.parametrize(
    ("card", "named"),
    [
        ({"architecture": "nonesuch"}, "nonesuch"),
        ({"architecture": "resnet20"}, "resnet20"),
        ({"plugin": "elsewhere"}, f"elsewhere {__version__}"),
        ({"classes": ["a", "b"]}, "(2, 84)"),
        ({"classes": []}, "card.classes"),
        ({"classes": "abc"}, "not a list"),
        ({"params": {"activation": "evil"}}, "evil"),
        ({"params": {"activation": ["tanh"]}}, "activation"),
        ({"params": {"activation": {"a": 1}}}, "activation"),
        ({"params": {"num_classes": 3}}, "num_classes"),
        ({"params": {"__class__": "x"}}, "__class__"),
        ({"params": ["activation"]}, "not an object"),
        ({"preprocess": {**GREY, "mean": [0.5] * 3, "std": [0.5] * 3}}, "(6, 3, 5, 5)"),
        ({"preprocess": {**GREY, "size": [0, 32]}}, "size"),
        ({"preprocess": {**GREY, "std": [0.0]}}, "std"),
        ({"preprocess": {**GREY, "interpolation": "magic"}}, "interpolation"),
        ({"preprocess": None}, "preprocess"),
        ({"format": 99}, "format 99"),
        ({"digest": "sha256:0"}, "digest"),
    ],
    ids=lambda value: json.dumps(value)[:40] if isinstance(value, dict) else "",
)
def test_a_card_that_lies(
    run_zoo: Run, explained: Explained, here: Path, seal: Callable[..., Path], card: dict[str, Any], named: str
) -> None:
    refused(run_zoo, explained, here, seal(**card), named)


@pytest.mark.parametrize("size", [[64, 64], [32, 31], [4, 4]])
def test_a_size_that_the_model_does_not_take(
    run_zoo: Run, explained: Explained, here: Path, seal: Callable[..., Path], size: list[int]
) -> None:
    refused(run_zoo, explained, here, seal(preprocess={**GREY, "size": size}), "RuntimeError")


def test_a_card_that_someone_changed(
    run_zoo: Run, explained: Explained, here: Path, trained: Path, tmp_path: Path
) -> None:
    content = trained.read_bytes()
    assert content.count(b"A Kaynak") == 0
    changed = content.replace(rb"CC BY 4.0", rb"CC BY 9.9")
    assert changed != content and len(changed) == len(content)
    path = tmp_path / "changed.safetensors"
    path.write_bytes(changed)
    refused(run_zoo, explained, here, path, "changed.safetensors")


def test_a_file_without_a_card(
    run_zoo: Run, explained: Explained, here: Path, weights: Weights, tmp_path: Path
) -> None:
    path = tmp_path / "plain.safetensors"
    path.write_bytes(safetensors.torch.save(dict(weights.tensors)))
    refused(run_zoo, explained, here, path, "plain.safetensors")


def test_evaluate_weights_without_a_data_set(run_zoo: Run, explained: Explained, seal: Callable[..., Path]) -> None:
    assert "--data" in explained(run_zoo("evaluate", str(seal(dataset=""))), 2)
    assert run_zoo("evaluate", str(seal(dataset="")), "--data", "digits").code == 0
    assert "nonesuch" in explained(run_zoo("evaluate", str(seal(dataset="nonesuch"))), 1)


def test_logits_that_overflow_are_no_measurement(
    run_zoo: Run, explained: Explained, here: Path, weights: Weights, seal: Callable[..., Path]
) -> None:
    path = seal({name: torch.full_like(tensor, 3e38) for name, tensor in weights.tensors.items()})
    for arguments in (("evaluate", str(path)), ("evaluate", str(path), "--json"), commands(path)[2]):
        assert "not finite" in explained(run_zoo(*arguments), 1)
    assert not (here / "out").exists()


@pytest.mark.parametrize("name", ["nowhere.safetensors", "./", "image.png", "/dev/null"])
def test_a_path_that_is_no_weights_file(run_zoo: Run, explained: Explained, name: str) -> None:
    for arguments in commands(Path("./nowhere") / name if name.startswith("nowhere") else Path(name)):
        explained(run_zoo(arguments[0], f"./{name}" if not name.startswith("/") else name, *arguments[2:]), 1)
