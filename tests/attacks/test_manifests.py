"""Manifests that are malformed and yet have the right digest: one sentence that names the field, never a traceback."""

import copy
import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

import zoo.contract.evidence
import zoo_runtime
from zoo.contract.errors import DifferenceError
from zoo.contract.evidence.format1 import upgraded
from zoo.contract.reading import MAX_JSON, Malformed, parse_json
from zoo_export.bundle.folder import parse_manifest, read_folder
from zoo_export.bundle.golden import read_golden

Run = Callable[..., Any]
Refused = Callable[..., str]
Reseal = Callable[..., None]
SCHEMAS = Path(zoo.contract.evidence.__file__).parent / "schemas"
OLD = Path(__file__).parents[1] / "fixtures" / "release_0_1_0" / "exports" / "lenet5.old"
HUGE = 10**400

# What is changed, and the field that the error names.
CHANGES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "card of a newer format": (lambda data: data["card"].update(format=3), "card has format 3"),
    "card of no format": (lambda data: data["card"].update(format="2"), "card.format"),
    "card of a format 1": (lambda data: data["card"].update(format=1), "card_digest"),
    "card changed": (lambda data: data["card"].update(licence="MIT"), "its own digest"),
    "card deep": (lambda data: data["card"].update(recipe=nested(40)), "card"),
    "no artifacts": (lambda data: (data.update(artifacts={}), data["certificate"].update(artifacts={})), "artifacts"),
    "artifacts a list": (lambda data: data.update(artifacts=[]), "artifacts"),
    "empty override": (lambda data: data["certificate"].update(override={}), "override"),
    "override of text": (lambda data: override(data, "1"), "atol"),
    "override negative": (lambda data: override(data, -1), "override"),
    "override true": (lambda data: override(data, True), "atol"),
    "no probe": (lambda data: data["certificate"].update(probes=[]), "probe"),
    "empty probe": (lambda data: probe(data).update(n=0), "probe"),
    "probe of nothing": (lambda data: data["certificate"].update(probes=[{}]), "probe"),
    "probe of too many": (lambda data: probe(data).update(n=2**40), "probe"),
    "huge rounding error": (lambda data: probe(data).update(rounding_error=HUGE), "probe"),
    "tolerance of its own": (lambda data: probe(data).update(tolerance=1e6), "tolerance"),
    "sha256 of a probe": (lambda data: probe(data).update(sha256="00"), "sha256"),
    "image names": (lambda data: probe(data).update(image_names=["a"] * 100_000), "image_names"),
    "image of 65536²": (lambda data: data["preprocess"].update(size=[65536, 65536]), "preprocess"),
    "image of 1.5": (lambda data: data["preprocess"].update(size=[1.5, 32]), "preprocess"),
    "channels": (lambda data: data["preprocess"].update(mean=[0.5] * 10**5, std=[0.5] * 10**5), "preprocess"),
    "shorter side": (lambda data: data["preprocess"].update(shorter_side=65536), "preprocess"),
    "input of another size": (lambda data: data["input"].update(shape=["batch", 1, 64, 64]), "input.shape"),
    "input of rank 3": (lambda data: data["input"].update(shape=["batch", 1, 32]), "input"),
    "half a character": (lambda data: data.update(name="\ud800"), "surrogates"),
    "labels": (lambda data: data.update(labels=["x"] * 200_000), "labels"),
    "label of 10^5 characters": (lambda data: data["labels"].__setitem__(0, "x" * 10**5), "labels[0]"),
    "labels of others": (lambda data: data["labels"].reverse(), "labels"),
    "unknown field": (lambda data: data["certificate"].update(more=1), "more"),
    "unknown verdict": (lambda data: data.update(verdict="fail"), "verdict"),
    "verdict of text list": (lambda data: data["certificate"].update(verdict=["pass"]), "verdict"),
    "files a list": (lambda data: data.update(files=[]), "files"),
    "file outside": (lambda data: data["files"].update({"../x": {"bytes": 0, "sha256": "0" * 64}}), "'../x'"),
    "bytes negative": (lambda data: data["files"]["README.md"].update(bytes=-1), "README.md"),
    "certificate of other bytes": (
        lambda data: data["certificate"]["artifacts"]["onnx"]["sha256"].update({"model.onnx": "0" * 64}),
        "artifacts['onnx']",
    ),
    "comparison that says passed": (
        lambda data: data["certificate"]["artifacts"]["onnx"]["comparisons"][0].update(error=1e9),
        "passed",
    ),
    "coverage of more than all": (
        lambda data: data["certificate"]["coverage"].update(uncovered=["w"] * 1000, tensors=3),
        "uncovered",
    ),
    "seed": (lambda data: data["certificate"].update(seed=-1), "seed"),
    "null": (lambda data: data.update(certificate=None), "certificate"),
}


def nested(depth: int) -> Any:
    data: Any = 1
    for _ in range(depth):
        data = {"a": data}
    return data


def probe(data: dict[str, Any]) -> dict[str, Any]:
    return data["certificate"]["probes"][0]


def override(data: dict[str, Any], atol: Any) -> None:
    data["verdict"] = data["certificate"]["verdict"] = "overridden"
    data["certificate"]["override"] = {"atol": atol, "rtol": 0}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.usefixtures("in_time")
def test_malformed_with_a_right_digest(
    run_zoo: Run, refused: Refused, reseal: Reseal, here: Path, export_copy: Path, change: str
) -> None:
    edit, field = CHANGES[change]
    reseal(export_copy, edit)
    before = {path: path.read_bytes() for path in export_copy.iterdir()}
    image = str(here / "image.png")
    for arguments in (("verify", "."), ("verify", ".", "--strict"), ("predict", ".", image), ("evaluate", ".")):
        message = refused(run_zoo(*[str(export_copy) if word == "." else word for word in arguments]), 3)
        assert field in message and len(message) < 2000, message
    assert {path: path.read_bytes() for path in export_copy.iterdir()} == before
    assert not list(here.iterdir())


FORMAT_1: dict[str, Callable[[dict[str, Any]], object]] = {
    "formats a list": lambda data: data.update(formats=[]),
    "formats of numbers": lambda data: data.update(formats={"onnx": 1}),
    "precision a list": lambda data: data.update(precision=[]),
    "precision": lambda data: data.update(precision="float8"),
    "files a list": lambda data: data.update(files=[]),
    "artifact a number": lambda data: data.update(artifacts={"onnx": 1}),
    "artifacts of none": lambda data: data.update(artifacts={}),
    "certificate null": lambda data: data.update(certificate=None),
    "probes a number": lambda data: data["certificate"].update(probes=1),
    "probes of numbers": lambda data: data["certificate"].update(probes=[1]),
    "sensitivity a list": lambda data: data["certificate"].update(sensitivity=[]),
    "share of 2": lambda data: data["certificate"]["sensitivity"].update(share=2, unwatched=["w"]),
    "share of 1": lambda data: data["certificate"]["sensitivity"].update(share=1, unwatched=[1]),
    "comparisons a number": lambda data: data["certificate"]["artifacts"]["onnx"].update(comparisons=1),
    "weights a number": lambda data: data["certificate"]["artifacts"]["onnx"]["comparisons"][0].update(weights=1),
    "card": lambda data: data["card"].update(format=[]),
}


@pytest.mark.parametrize("change", FORMAT_1)
def test_malformed_of_release_0_1_0(reseal: Reseal, tmp_path: Path, change: str) -> None:
    folder = tmp_path / "old"
    folder.mkdir()
    for path in OLD.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    read_folder(folder)
    reseal(folder, FORMAT_1[change])
    with pytest.raises(DifferenceError) as caught:
        read_folder(folder)
    assert "object has no attribute" not in caught.value.cause and "unhashable" not in caught.value.cause


TEXTS = {
    "key twice": lambda text: b'{"name": "x",' + text[1:],
    "key twice inside": lambda text: text.replace(b'"certificate": {', b'"certificate": {"verdict": "pass",', 1),
    "NaN": lambda text: text.replace(b'"seed": 0', b'"seed": NaN', 1),
    "1e999": lambda text: text.replace(b'"seed": 0', b'"seed": 1e999', 1),
    "9999 digits": lambda text: text.replace(b'"seed": 0', b'"seed": ' + b"9" * 9999, 1),
    "deep": lambda text: text.replace(b'"seed": 0', b'"seed": ' + b"[" * 100_000 + b"]" * 100_000, 1),
    "no UTF-8": lambda text: b"\xff" + text,
    "a list": lambda text: b"[" + text + b"]",
    "empty": lambda text: b"",
    "truncated": lambda text: text[:-100],
    "10^6 entries": lambda text: text.replace(b'"files": {', b'"files": {' + entries(10**5), 1),
    "10^7 entries": lambda text: text.replace(b'"files": {', b'"files": {' + entries(10**6) * 2, 1),
}


def entries(n: int) -> bytes:
    return b"".join(b'"%d": 1,' % number for number in range(n))


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.usefixtures("in_time")
def test_text_that_is_no_manifest(run_zoo: Run, export_copy: Path, kind: str) -> None:
    path = export_copy / "manifest.json"
    path.write_bytes(TEXTS[kind](json.dumps(json.loads(path.read_bytes())).encode()))
    ran = run_zoo("verify", str(export_copy))
    assert ran.code in (1, 3) and "Traceback" not in ran.err and len(ran.err) < 2000
    command = [sys.executable, "zoo_runtime.py", "--verify"]
    done = subprocess.run(command, cwd=export_copy, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode in (1, 3) and "Traceback" not in done.stderr


@pytest.mark.usefixtures("in_time")
def test_sparse_gigabytes_are_not_read(run_zoo: Run, refused: Refused, export_copy: Path) -> None:
    os.truncate(export_copy / "manifest.json", 1 << 36)
    assert f"{MAX_JSON:,}" in refused(run_zoo("verify", str(export_copy)), 1)
    with pytest.raises(zoo_runtime.Error, match=f"{MAX_JSON:,}"):
        zoo_runtime.read_manifest(export_copy)


# Any change whatever


@cache
def validator() -> Draft202012Validator:
    schemas = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in SCHEMAS.glob("*.json")}
    registry = Registry().with_resources((file, Resource.from_contents(schema)) for file, schema in schemas.items())
    return Draft202012Validator(schemas["manifest-2.json"], registry=registry)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 70_000)
    | st.sampled_from([HUGE, -HUGE, 2**63, 2**31, 1e308, -1e308, 1e-320, 0.5, float("nan"), float("inf")])
    | st.sampled_from(["", "pass", "unverified", "overridden", "\ud800", "\x00", "x" * 70_000, "../x", "0" * 64])
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)


def places(data: Any) -> list[tuple[Any, Any]]:
    """Every container and key in nested JSON."""
    result = []
    for key in data if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ():
        result += [(data, key), *places(data[key])]
    return result


@settings(max_examples=400)
@given(st.data())
def test_any_change_is_refused_or_fits_the_schema(sound_export: Path, data: st.DataObject) -> None:
    changed = json.loads((sound_export / "manifest.json").read_bytes())
    for _ in range(data.draw(st.integers(1, 2))):
        every = places(changed)
        container, key = every[data.draw(st.integers(0, len(every) - 1))]
        action = data.draw(st.sampled_from(["replace", "delete", "double", "add"]))
        if action == "replace":
            container[key] = data.draw(VALUES)
        elif action == "delete":
            del container[key]
        elif action == "add" and isinstance(container, dict):
            container[data.draw(st.text(max_size=3))] = data.draw(VALUES)
        elif isinstance(container, list):
            container.extend(copy.deepcopy(container))
    try:
        manifest = parse_manifest(changed)
    except Malformed as error:
        assert len(str(error)) < 1000
        str(error).encode()
        return
    assert [error.message for error in validator().iter_errors(changed)] == []
    again = json.loads(json.dumps(manifest.to_dict(), allow_nan=False))
    assert parse_manifest(again).to_dict() == manifest.to_dict()


@settings(max_examples=200)
@given(st.data())
def test_any_change_to_format_1_is_refused_or_read(data: st.DataObject) -> None:
    changed = json.loads((OLD / "manifest.json").read_bytes())
    every = places(changed)
    container, key = every[data.draw(st.integers(0, len(every) - 1))]
    container[key] = data.draw(VALUES)
    try:
        parse_manifest(upgraded(changed))
    except Malformed as error:
        assert len(str(error)) < 1000


@given(st.binary(max_size=40) | st.text(max_size=40).map(str.encode))
def test_any_bytes_are_json_or_malformed(text: bytes) -> None:
    try:
        data = parse_json(text)
    except Malformed:
        return
    assert json.loads(text) == data


# Golden vectors


def golden(folder: Path, content: bytes, reseal: Reseal) -> None:
    import hashlib

    (folder / "golden.npz").write_bytes(content)
    entry = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    reseal(folder, lambda data: data["files"].update({"golden.npz": entry}))


def archive(folder: Path, **changed: bytes | int) -> bytes:
    """The golden vectors of a folder, with other bytes for some arrays, or compressed."""
    made = io.BytesIO()
    with zipfile.ZipFile(folder / "golden.npz") as old, zipfile.ZipFile(made, "w") as new:
        for name in old.namelist():
            content = changed.get("content", old.read(name))
            assert isinstance(content, bytes)
            new.writestr(name, content, compress_type=int(changed.get("compression", 0)))
    return made.getvalue()


def array_header(shape: tuple[int, ...]) -> bytes:
    made = io.BytesIO()
    np.lib.format.write_array_header_1_0(made, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return made.getvalue()


@pytest.mark.parametrize(
    "changed",
    [
        {"compression": zipfile.ZIP_DEFLATED},
        {"content": array_header((1 << 40, 1, 32, 32))},
        {"content": array_header((2, 1, 1 << 20, 1 << 20)) + b"x" * 100},
        {"content": b"\x93NUMPY\x01\x00\xff\xff" + b"{" * 65535},
        {"content": b""},
    ],
    ids=["compressed", "huge", "long", "header", "empty"],
)
@pytest.mark.usefixtures("in_time")
def test_golden_vectors_that_unpack_to_more(
    run_zoo: Run, refused: Refused, reseal: Reseal, export_copy: Path, changed: dict[str, Any]
) -> None:
    golden(export_copy, archive(export_copy, **changed), reseal)
    with pytest.raises(DifferenceError, match=r"golden\.npz"):
        read_golden(export_copy / "golden.npz", read_folder(export_copy).certificate.probes)
    assert "golden.npz" in refused(run_zoo("verify", str(export_copy)), 3)
    with pytest.raises(zoo_runtime.Difference, match=r"golden\.npz"):
        zoo_runtime.verify(export_copy)


def test_golden_vectors_of_other_images(run_zoo: Run, refused: Refused, reseal: Reseal, export_copy: Path) -> None:
    with np.load(export_copy / "golden.npz") as arrays:
        changed = {name: array + (array.dtype == np.float32) for name, array in arrays.items()}
    made = io.BytesIO()
    np.savez(made, **changed)
    golden(export_copy, made.getvalue(), reseal)
    assert "sha256" in refused(run_zoo("verify", str(export_copy)), 3)
