"""`--opset`: the operator set of an ONNX file, recorded in the manifest, checked and compared as any other."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

import zoo
import zoo_runtime
from zoo.contract.errors import UsageError
from zoo.contract.evidence import Artifact
from zoo.contract.formats import ExportFormat
from zoo.contract.reading import Malformed
from zoo_export.formats.onnx import ONNX

MODEL = "lenet5.digits"
OLDEST, NEWEST = ONNX.opsets or (0, 0)


def opset(path: Path) -> int:
    return {entry.domain: entry.version for entry in onnx.load(path).opset_import}[""]


def recorded(folder: Path) -> dict[str, Any]:
    return {
        name: artifact.get("opset")
        for name, artifact in json.loads((folder / "manifest.json").read_text("utf-8"))["artifacts"].items()
    }


@pytest.mark.parametrize("number", [OLDEST, 20, NEWEST])
def test_the_opset_is_written_recorded_and_verified(tmp_path: Path, number: int) -> None:
    folder = zoo.export(MODEL, tmp_path / "out", formats=["onnx", "torchscript"], opset=number).path
    assert opset(folder / "model.onnx") == number
    assert recorded(folder) == {"onnx": number, "torchscript": None}
    assert zoo_runtime.verify(folder).passed
    verified = zoo.verify(folder, strict=True, against=MODEL)
    assert verified.verdict == "pass" and verified.graphs["onnx"].proven
    alone = zoo.verify(folder / "model.onnx", strict=True, against=MODEL)
    assert alone.verdict == "pass" and alone.graphs["onnx"].proven


def test_without_it_nothing_is_recorded(tmp_path: Path) -> None:
    folder = zoo.export(MODEL, tmp_path / "out", formats=["onnx"], verify=False).path
    assert opset(folder / "model.onnx") == 18 and recorded(folder) == {"onnx": None}


def test_half_precision_has_the_opset_too(tmp_path: Path) -> None:
    folder = zoo.export(MODEL, tmp_path / "out", formats=["onnx"], precision="fp16", opset=21).path
    assert opset(folder / "model.onnx") == 21 and recorded(folder) == {"onnx": 21}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--opset", str(OLDEST - 1)), (str(OLDEST), str(NEWEST))),
        (("--opset", str(NEWEST + 1)), (str(OLDEST), str(NEWEST))),
        (("--opset", "20", "-f", "torchscript"), ("torchscript", "--format")),
        (("--opset", "0"), ("opset",)),
    ],
)
def test_an_opset_that_is_not_supported_is_refused(
    run_zoo: Callable[..., Any], tmp_path: Path, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    ran = run_zoo("export", MODEL, "-o", str(tmp_path / "out"), *arguments)
    assert ran.code == 2 and "opset" in ran.err and all(word in ran.err for word in words)
    assert not (tmp_path / "out").exists()


def test_an_opset_of_the_api_is_an_integer(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="opset"):
        zoo.export(MODEL, tmp_path / "out", opset="18")  # type: ignore[arg-type]


def test_a_recorded_opset_is_a_number() -> None:
    data: dict[str, Any] = {"files": {"model": "model.onnx"}, "format": "zoo-kit:onnx"}
    assert Artifact.from_dict(data).to_dict() == data
    assert Artifact.from_dict({**data, "opset": 20}).to_dict() == {**data, "opset": 20}
    for wrong in (0, "18", 1.5, None, 10**9):
        with pytest.raises(Malformed):
            Artifact.from_dict({**data, "opset": wrong})


@pytest.mark.parametrize("opsets", [(3, 2), (0, 1)])
def test_a_format_declares_a_range(opsets: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="opsets"):
        ExportFormat(name="x", summary="X", export="a:b", runner="a:b", suffix=".x", opsets=opsets)
