"""What is installed is pinned with hashes, and the SBOM lists what users install, the same on every machine."""

import importlib.util
import json
import re
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCKS = {name: (ROOT / name).read_text("utf-8") for name in ("requirements.lock", ".ci/installer.lock")}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def load(name: str) -> ModuleType:
    """A script of `.ci/`, which is no package."""
    spec = importlib.util.spec_from_file_location(f"ci_{name}", ROOT / ".ci" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ci = load("sbom")
PINS = ci.pinned((ROOT / "constraints.txt").read_text("utf-8"))


def entries(lock: str) -> dict[str, list[str]]:
    """`NAME==VERSION` of each package in a lock file, with its hashes."""
    blocks = re.split(r"\n(?=\S)", re.sub(r"^#.*\n", "", lock, flags=re.MULTILINE))
    return {block.split()[0]: re.findall(r"--hash=sha256:([0-9a-f]{64})\b", block) for block in blocks if block.strip()}


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_has_a_version_and_hashes(name: str) -> None:
    assert [each for each, hashes in entries(LOCKS[name]).items() if "==" not in each or not hashes] == []


@pytest.mark.parametrize("name", LOCKS)
def test_no_lock_names_an_index_or_a_path(name: str) -> None:
    assert re.findall(r"://|--(?:extra-)?index|--find-links|file:|^[./]", LOCKS[name], re.MULTILINE) == []


def test_the_lock_has_the_versions_of_constraints() -> None:
    locked = ci.pinned("\n".join(entries(LOCKS["requirements.lock"])))
    assert {name: version for name, version in locked.items() if PINS.get(name, version) != version} == {}
    assert set(PINS) - set(locked) <= {"pip"}  # which comes with the virtual environment
    assert set(locked) - set(PINS) == {"onnxruntime"}  # of macOS, where this is not tested


def test_the_lock_has_every_dependency() -> None:
    locked = ci.pinned("\n".join(entries(LOCKS["requirements.lock"])))
    needed = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"], "hatchling"]
    requirements = [Requirement(each) for each in needed]
    assert [
        str(each) for each in requirements if locked.get(canonicalize_name(each.name), "") not in each.specifier
    ] == []


def test_development_covers_every_extra() -> None:
    """Otherwise a part of zoo is not tested by `make test`."""
    extras = {name: set(texts) for name, texts in PROJECT["optional-dependencies"].items()}
    assert {name for name, texts in extras.items() if not texts <= extras["dev"]} == set()


REQUIRES = {
    "a": ["b[fast]>=1; python_version >= '3.8'", "tool; extra == 'dev'", "d; python_version < '3'"],
    "b": ["c; extra == 'fast'", "tool; extra == 'test'"],
    "c": ["a"],
    "extra-only": ["c"],
}
SMALL: dict[str, Any] = {
    "name": "small",
    "license": "MIT",
    "dependencies": ["A>=1"],
    "optional-dependencies": {"more": ["extra_only"], "dev": ["tool"]},
}


def environment(*versions: tuple[str, str]) -> dict[str, Any]:
    """What `cyclonedx-py` writes, in short."""
    components = [
        {
            "type": "library",
            "name": name,
            "version": version,
            "bom-ref": f"{name}=={version}",
            "purl": f"pkg:pypi/{name}@{version}",
            "externalReferences": [{"type": "distribution", "url": "file:///home/somebody"}],
        }
        for name, version in versions
    ]
    tool = {"type": "application", "name": "cyclonedx-py", "version": "7", "externalReferences": [{"url": "https://x"}]}
    head = {"$schema": "s", "bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": "urn:uuid:1"}
    return {**head, "metadata": {"timestamp": "now", "tools": {"components": [tool]}}, "components": components}


VERSIONS = [("a", "1"), ("B", "2"), ("c", "3"), ("Extra.Only", "4"), ("tool", "5")]
SMALL_PINS = {"a": "1", "b": "2", "c": "3", "extra-only": "4", "tool": "5"}


def make(versions: list[tuple[str, str]]) -> str:
    bom = ci.sbom(environment(*versions), SMALL, "0.1", SMALL_PINS, lambda name: REQUIRES.get(name, []))
    return json.dumps(bom, sort_keys=True)


def test_the_sbom_lists_what_users_install() -> None:
    bom = json.loads(make(VERSIONS))
    scopes = {each["name"]: each["scope"] for each in bom["components"]}
    assert scopes == {"a": "required", "B": "required", "c": "required", "Extra.Only": "optional"}
    graph = {each["ref"]: each["dependsOn"] for each in bom["dependencies"]}
    assert graph["pkg:pypi/small@0.1"] == ["pkg:pypi/a@1", "pkg:pypi/extra-only@4"]
    assert graph["pkg:pypi/b@2"] == ["pkg:pypi/c@3"]
    assert set(graph) == {"pkg:pypi/small@0.1", *(each["bom-ref"] for each in bom["components"])}


def test_the_sbom_is_the_same_everywhere() -> None:
    assert make(VERSIONS) == make(VERSIONS[::-1])
    assert [word for word in ("serialNumber", "timestamp", "://", "somebody") if word in make(VERSIONS)] == []


@pytest.mark.parametrize("versions", [VERSIONS[1:], [("a", "2"), *VERSIONS[1:]]])
def test_the_sbom_refuses_versions_that_were_not_tested(versions: list[tuple[str, str]]) -> None:
    with pytest.raises(ValueError, match=r"constraints\.txt: a$"):
        make(versions)


def test_the_graph_of_this_environment_has_no_tools() -> None:
    names = set(ci.graph(PROJECT["dependencies"], ci.requirements_of))
    assert names >= {"torch", "onnx", "numpy"}
    assert names & {"pytest", "mypy", "ruff", "model-signing"} == set()
