"""Make the SBOM of zoo-kit from that of the environment: `cyclonedx-py environment` on standard input, the SBOM on
standard output.

The environment holds the tools of development, too, and `cyclonedx-py` does not tell the extras of a package from what
it needs. What is left is what `pip install zoo-kit` brings, and what its extras bring, marked `optional`. Addresses,
paths, times and serial numbers are left out: the same environment gives the same bytes on every machine.
"""

import json
import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
DEVELOPMENT = "dev"  # the extra that no user installs
KEPT = ("type", "name", "version", "bom-ref", "purl", "licenses")


def pinned(text: str) -> dict[str, str]:
    """The versions in a file of lines `NAME==VERSION`."""
    return {canonicalize_name(name): version for name, version in re.findall(r"^([\w.-]+)==([^\s;]+)", text, re.M)}


def requirements_of(name: str) -> list[str]:
    """What an installed distribution requires, with markers."""
    return distribution(name).requires or []


def graph(requirements: Iterable[str], requires: Callable[[str], Iterable[str]]) -> dict[str, set[str]]:
    """Every distribution that requirements bring on this machine, each with those that it needs itself.

    Args:
        requires: what a distribution requires, such as `requirements_of`.
    """
    edges: dict[str, set[str]] = {}
    visited: set[tuple[str, str]] = set()

    def follow(texts: Iterable[str], extra: str) -> set[str]:
        names = set()
        for each in map(Requirement, texts):
            if each.marker is None or each.marker.evaluate({"extra": extra}):
                name = canonicalize_name(each.name)
                names.add(name)
                for inner in ("", *each.extras):
                    if (name, inner) not in visited:
                        visited.add((name, inner))
                        needed = follow(requires(name), inner)
                        edges[name] = edges.get(name, set()) | needed
        return names

    follow(requirements, "")
    return edges


def sbom(
    environment: Mapping[str, Any],
    project: Mapping[str, Any],
    version: str,
    pins: Mapping[str, str],
    requires: Callable[[str], Iterable[str]] = requirements_of,
) -> dict[str, Any]:
    """The SBOM of a project.

    Args:
        environment: the SBOM of the environment, as `cyclonedx-py` writes it.
        project: the table `project` of pyproject.toml.
        version: of the project.
        pins: the version of each distribution that was tested.
        requires: what a distribution requires.

    Raises:
        ValueError: a component is missing or has another version than the one that is pinned.
    """
    extras = [
        each
        for name, texts in project.get("optional-dependencies", {}).items()
        if name != DEVELOPMENT
        for each in texts
    ]
    required = graph(project["dependencies"], requires)
    edges = graph([*project["dependencies"], *extras], requires)
    components = {canonicalize_name(each["name"]): each for each in environment["components"]}
    wrong = [name for name in edges if components.get(name, {}).get("version") != pins.get(name, "")]
    if wrong:
        raise ValueError(f"these are not installed in the versions of constraints.txt: {', '.join(sorted(wrong))}")
    references = {name: f"pkg:pypi/{name}@{pins[name]}" for name in edges}
    root = f"pkg:pypi/{project['name']}@{version}"
    direct = {canonicalize_name(Requirement(each).name) for each in [*project["dependencies"], *extras]} & set(edges)
    return {
        "$schema": environment["$schema"],
        "bomFormat": environment["bomFormat"],
        "specVersion": environment["specVersion"],
        "version": 1,
        "metadata": {
            "component": {
                "type": "library",
                "bom-ref": root,
                "name": project["name"],
                "version": version,
                "purl": root,
                "licenses": [{"license": {"id": project["license"]}}],
            },
            "tools": {
                "components": [
                    {key: each[key] for key in ("type", "name", "version")}
                    for each in environment["metadata"]["tools"]["components"]
                ]
            },
        },
        "components": [
            {
                **{key: components[name][key] for key in KEPT if key in components[name]},
                "bom-ref": references[name],
                "scope": "required" if name in required else "optional",
            }
            for name in sorted(edges)
        ],
        "dependencies": [
            {"ref": root, "dependsOn": sorted(references[name] for name in direct)},
            *(
                {"ref": references[name], "dependsOn": sorted(references[other] for other in edges[name])}
                for name in sorted(edges)
            ),
        ],
    }


def main() -> None:
    """Read the SBOM of the environment, write that of zoo-kit."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    pins = pinned((ROOT / "constraints.txt").read_text("utf-8"))
    version = re.search(r'__version__ = "(.+)"', (ROOT / "zoo" / "version.py").read_text("utf-8"))
    assert version is not None
    json.dump(sbom(json.load(sys.stdin), project, version[1], pins), sys.stdout, indent=2, sort_keys=True)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
