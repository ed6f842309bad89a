"""`zoo train --help` lists its many options in groups, and what is done to images is printed before training."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from zoo.cli.commands.train import command
from zoo.training.recipe.recipe import FIELDS

Run = Callable[..., Any]
GROUPS = (
    *("Recipe and resuming", "Data", "Model", "Loss", "Schedule"),
    *("Optimizer", "Augmentation", "Execution", "Output", "Options"),
)


def test_options_are_in_groups(run_zoo: Run) -> None:
    text = run_zoo("train", "--help").out
    headings = re.findall(r"^([A-Z][^\n]*):$", text, re.MULTILINE)
    assert tuple(headings) == GROUPS
    parts = dict(zip(headings, re.split(r"^[A-Z][^\n]*:$", text, flags=re.MULTILINE)[1:], strict=True))
    assert re.findall(r"--[a-z-]+", parts.pop("Options")) == ["--help"]
    for declaration in FIELDS.values():
        if declaration.name != "architecture":
            assert re.search(rf"{declaration.flag}\b", parts[declaration.group]), declaration.name
    shown = set(re.findall(r"^  (?:-\w, )?(--[a-z-]+)", "".join(parts.values()), re.MULTILINE))
    expected = {
        next(word for word in option.opts if word.startswith("--"))
        for option in command.params
        if option.param_type_name == "option" and not getattr(option, "hidden", False)
    }
    assert shown == expected


@pytest.mark.parametrize(("sides", "printed"), [((40, 30), True), ((30, 30), False)])
def test_what_is_done_to_shapes_is_printed(
    run_zoo: Run, here: Path, tmp_path: Path, sides: tuple[int, int], printed: bool
) -> None:
    for name in ("one", "two"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(5):
            size = (30, 30) if number else sides
            Image.new("RGB", size, (number, 0, 0)).save(tmp_path / "photos" / name / f"{number}.png")
    ran = run_zoo("train", "lenet5", "--data", str(tmp_path / "photos"), "--epochs", "1", "--device", "cpu")
    assert ran.code == 0
    assert ("images that are not square" in ran.err and "32×32" in ran.err) == printed
