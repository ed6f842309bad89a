"""The documents say what is so: every block runs, every command parses, every flag and file named is there."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import click
import pytest

from zoo.cli.main import cli

ROOT = Path(__file__).parents[2]


def load(name: str) -> ModuleType:
    """A module of `docs/`, which is no package."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", ROOT / "docs" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


pages, generate, screens = load("pages"), load("generate"), load("screens")
GUIDES = {
    path.relative_to(ROOT).as_posix(): path
    for path in (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")), ROOT / "weights" / "README.md")
}
RUN = {name: path for name, path in GUIDES.items() if any(block.language != "text" for block in pages.blocks(path))}
ALONE = {"docs/plugins.md"}  # it installs plugins, which a process looks for once
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
FLAG = re.compile(r"(?<![\w-])(--[a-z][a-z-]+)")
# Flags of other programs: torchrun, pip, pytest, docker, unshare, zoo_runtime.py, the scripts of docs/ and benchmarks/.
OTHERS = {
    "--cifar",  # 10
    "--checkpoint",
    "--nproc-per-node",
    "--nnodes",
    "--rdzv-backend",
    "--rdzv-endpoint",
    "--verify",
    "--check",
    "--exports",
    "--at-once",
    "--data-root",
    "--report",
    "--network",
    "--read-only",
    "--benchmark",
    "--csv",
    "--threads",
}


@pytest.mark.parametrize("name", RUN)
def test_every_block_of_a_page_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    if name in ALONE:
        command = [sys.executable, str(ROOT / "docs" / "pages.py"), str(RUN[name])]
        ran = subprocess.run(command, capture_output=True, text=True, env={**os.environ}, timeout=300)
        assert ran.returncode == 0, ran.stderr
    else:
        pages.run(RUN[name])


@pytest.mark.parametrize("name", GUIDES)
def test_every_zoo_command_of_a_page_parses(name: str) -> None:
    for arguments in pages.zoo_commands(GUIDES[name]):
        try:
            pages.parse(arguments)
        except Exception as error:
            pytest.fail(f"{name}: zoo {' '.join(arguments)}: {error}")


def options(command: click.Command) -> set[str]:
    """The visible options of a command and of those below it."""
    flags = {
        flag
        for each in command.params
        if not (isinstance(each, click.Option) and each.hidden)
        for flag in (*each.opts, *each.secondary_opts)
    }
    if isinstance(command, click.Group):
        context = click.Context(command, **cli.context_settings)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            flags |= options(inner)
    return flags


@pytest.mark.parametrize("name", sorted(set(GUIDES) - {"CHANGELOG.md"}))  # it names former flags
def test_every_flag_on_a_page_exists(name: str) -> None:
    text = GUIDES[name].read_text(encoding="utf-8")
    assert set(FLAG.findall(text)) - options(cli) - OTHERS - {"--help", "--version"} == set()


def anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("name", GUIDES)
def test_every_link_leads_somewhere(name: str) -> None:
    page = GUIDES[name]
    for match in LINK.finditer(page.read_text(encoding="utf-8")):
        target, _, part = (match[1] or match[2]).partition("#")
        assert not target.startswith(("http:", "https:")), target
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), f"{name} links to {target}"
        if part:
            assert part in map(anchor, HEADING.findall(path.read_text(encoding="utf-8"))), f"{name}: #{part}"


def test_the_generated_parts_are_up_to_date() -> None:
    stale = [page.relative_to(ROOT).as_posix() for page in generate.stale()]
    assert stale == [], "run `python docs/generate.py`"


def test_the_screens_are_up_to_date() -> None:
    assert not screens.is_stale(), "run `python docs/screens.py`"


def test_every_page_is_reached_from_the_readme() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in sorted((ROOT / "docs").glob("*.md")) if f"docs/{path.name}" not in text] == []


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 200


PATH = re.compile(r"`((?:zoo|export|plugins|tests|docs|benchmarks|examples)/[\w./*-]+)`")


@pytest.mark.parametrize("name", ["ARCHITECTURE.md", "CONTRIBUTING.md", "README.md"])
def test_every_file_named_exists(name: str) -> None:
    named = PATH.findall((ROOT / name).read_text(encoding="utf-8"))
    assert [path for path in named if not list(ROOT.glob(path.rstrip("/")))] == []


def test_tasks_touch_as_many_files_as_the_table_says() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    tasks = {name: int(count) for name, count in re.findall(r"^\| \[[^\]]+\]\(#([\w-]+)\) \| (\d)", text, re.MULTILINE)}
    assert len(tasks) == 9
    parts = {anchor(part.splitlines()[0]): part for part in text.split("\n### ")[1:]}
    assert {name: len(re.findall(r"^\d\. ", parts[name], re.MULTILINE)) for name in tasks} == tasks
    assert sum(count <= 2 for count in tasks.values()) >= 5
