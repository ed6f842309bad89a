"""Listing and help are quick because they load nothing heavy: each runs in a process of its own that is looked into."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from zoo.contract.specs import Command
from zoo.files.card import Card
from zoo.registry.discovery import discover
from zoo.registry.refs import resolve
from zoo.registry.registry import Registry

HEAVY = "torch torchvision numpy onnx onnxruntime onnxscript safetensors PIL matplotlib tensorboard"
PROBE = f"""
import sys
from zoo.cli.main import run
try:
    code = run(sys.argv[1:])
except SystemExit as end:
    code = end.code or 0
sys.stderr.write("loaded:" + " ".join(name for name in {HEAVY.split()!r} if name in sys.modules))
sys.exit(code)
"""


def with_help() -> Iterator[tuple[str, ...]]:
    """Every command of every plugin, and every subcommand of a group."""
    registry = Registry(discover())
    for entry in registry.entries(Command):
        yield (entry.spec.name,)
        command = resolve(entry, entry.spec.run)
        if isinstance(command, click.Group):
            yield from ((entry.spec.name, name) for name in command.commands)


def start(arguments: tuple[str, ...], folder: Path, **environment: str) -> str:
    """Run `zoo` with the arguments and give what it wrote, once it is seen to have loaded nothing heavy."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.rpartition("loaded:")[2] == "", f"zoo {' '.join(arguments)} loads heavy packages"
    return done.stdout


@pytest.mark.parametrize("arguments", [("list",), ("list", "--json"), ("--help",), ("--version",), ("plugins",)])
def test_listing_loads_nothing_heavy(arguments: tuple[str, ...], tmp_path: Path) -> None:
    assert start(arguments, tmp_path)


@pytest.mark.parametrize("arguments", [("--help",), ("show", "lenet5"), ("list", "losses")])
def test_what_needs_no_collection_reads_none(arguments: tuple[str, ...], tmp_path: Path) -> None:
    pytest.importorskip("timm")
    probe = PROBE.replace(repr(HEAVY.split()), "['zoo_timm.specs']")
    done = subprocess.run([sys.executable, "-c", probe, *arguments], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "loaded:")


def test_the_line_of_a_collection_makes_no_specs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from zoo.cli.main import run
    from zoo.registry.members import Members

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Members, "architecture", lambda self, name: pytest.fail(name))
    assert run(["list"]) == 0


@pytest.mark.parametrize("arguments", [*with_help()], ids=" ".join)
def test_help_loads_nothing_heavy(arguments: tuple[str, ...], tmp_path: Path) -> None:
    assert "Usage: zoo" in start((*arguments, "--help"), tmp_path)


@pytest.mark.parametrize("arguments", [("weights", "list"), ("weights", "show", "tiny.cats"), ("show", "tiny.cats")])
def test_reading_cards_loads_nothing_heavy(arguments: tuple[str, ...], tmp_path: Path, card: Card) -> None:
    import torch

    from zoo.files.weights import save_weights

    save_weights(tmp_path / "tiny.cats.safetensors", {"w": torch.ones(2, 3)}, card)
    assert "tiny" in start(arguments, tmp_path, ZOO_WEIGHTS=str(tmp_path))


def test_training_and_evaluation_load_what_draws_only_to_draw() -> None:
    loads = "import sys, zoo.training.job, zoo.cli.commands.evaluate"
    look = f"{loads}\nprint({{'matplotlib', 'tensorboard'}} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", look], capture_output=True, text=True).stdout == "set()\n"
