"""Errors name flags on the command line, and arguments in Python."""

import traceback

import pytest

import zoo
from zoo.contract.wording import in_python


@pytest.mark.parametrize(
    ("flags", "arguments"),
    [
        ("Use --opt adamw or --opt sgd.", 'Use opt="adamw" or opt="sgd".'),
        ("`--freeze` requires `--initial-checkpoint`.", "`freeze=True` requires `initial_checkpoint`."),
        ("Leave out --no-verify, or the others.", "Leave out verify=False, or the others."),
        ("Use a smaller --crop, or --crop 0.", "Use a smaller `crop`, or crop=0."),
        ("Use --provider cpu,cuda.", "Use devices=['cpu', 'cuda']."),
        ("--provider names no device.", "`devices` names no device."),
        ("Use --against MODEL; --format is for folders.", "Use against=MODEL; `formats` is for folders."),
        ("Use --channels 3.", "Use in_channels=3 (channels=3 in a recipe)."),
        ("Use --nproc-per-node 2.", "Use --nproc-per-node 2."),
        ("Run `zoo verify DIR --strict`, or use --force.", "Run `zoo verify DIR --strict`, or use force=True."),
        ("Resume: torchrun --nproc-per-node 2 -m zoo train --resume x", None),
        ("Resume with zoo train --resume runs/x --output y", None),
        ("The file /tmp/--force/a is missing.", None),
        ("Nothing a-b — c.", None),
    ],
)
def test_flags_become_arguments_and_commands_stay(flags: str, arguments: str | None) -> None:
    assert in_python(flags) == (flags if arguments is None else arguments)


def test_an_error_keeps_flags_and_shows_arguments() -> None:
    with pytest.raises(zoo.UsageError) as caught:
        zoo.Recipe(architecture="net", data="pets", freeze=True)
    error = caught.value
    assert "--freeze" in error.cause and "--initial-checkpoint" in error.next_step
    assert "--" not in str(error) and "freeze=True" in str(error)
    shown = traceback.format_exception_only(error)
    assert "freeze=True" in shown[0] and "initial_checkpoint" in shown[1] and "--" not in "".join(shown)
