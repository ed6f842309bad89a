"""What zoo writes, and what it reads of release 0.1.0, fits the JSON schemas that it ships."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

import zoo.contract.evidence
from zoo_export.bundle.folder import read_folder

SCHEMAS = Path(zoo.contract.evidence.__file__).parent / "schemas"
NAMES = ("manifest-2", "card-2", "certificate-2", "probe-2", "comparison-2")
RELEASE = Path(__file__).parents[1] / "fixtures" / "release_0_1_0" / "exports"


@cache
def validator(name: str) -> Draft202012Validator:
    schemas = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in SCHEMAS.glob("*.json")}
    registry = Registry().with_resources((file, Resource.from_contents(schema)) for file, schema in schemas.items())
    return Draft202012Validator(schemas[f"{name}.json"], registry=registry)


def errors(name: str, data: Any) -> list[str]:
    return [
        f"{error.json_path}: {error.message}" for error in validator(name).iter_errors(json.loads(json.dumps(data)))
    ]


def test_there_is_one_schema_for_each() -> None:
    assert {path.stem for path in SCHEMAS.iterdir()} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_schemas_are_schemas(name: str) -> None:
    Draft202012Validator.check_schema(validator(name).schema)


def test_an_export_fits(exported) -> None:
    assert errors("manifest-2", json.loads((exported.path / "manifest.json").read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "options",
    [("--no-verify",), ("--atol", "0.1", "--rtol", "1e-3"), ("--precision", "fp16"), ("--atol", "9", "--json")],
    ids=" ".join,
)
def test_every_kind_of_export_fits(run_zoo, tmp_path: Path, options: tuple[str, ...]) -> None:
    ran = run_zoo("export", "lenet5.digits", "-f", "onnx", "-o", str(tmp_path / "out"), *options)
    assert ran.code == 0, ran.err
    assert errors("manifest-2", json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("name", sorted(path.name for path in RELEASE.iterdir()))
def test_an_upgraded_manifest_fits(name: str) -> None:
    assert errors("manifest-2", read_folder(RELEASE / name).to_dict()) == []


def test_a_failed_comparison_fits() -> None:
    from zoo.contract.evidence import Comparison

    assert (
        errors("comparison-2", Comparison("noise-2", 2, float("inf"), 1e-6, 2e-5, reason="it raised").to_dict()) == []
    )


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        ("manifest-2", ("format",), 1),
        ("manifest-2", ("verdict",), "fail"),
        ("manifest-2", ("artifacts", "onnx"), "model.onnx"),
        ("manifest-2", ("certificate", "floor"), 1.0),
        ("manifest-2", ("certificate", "probes", 0, "rounding_error"), -1),
        ("manifest-2", ("certificate", "coverage", "own weights"), 0.5),
    ],
)
def test_what_is_wrong_does_not_fit(exported, name: str, path: tuple[Any, ...], value: object) -> None:
    data = json.loads(json.dumps(exported.manifest.to_dict()))
    place = data
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert len(errors(name, data)) == 1
