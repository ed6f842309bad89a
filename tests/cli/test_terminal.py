"""What a terminal shows at 60, 80 and 120 columns: nothing is cut, verdicts are words, and no screen stays empty."""

import importlib.util
import io
import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from PIL import Image

from zoo.api.terminal import LOADING, cells, wrapped
from zoo.cli.output import print_verdict
from zoo.cli.table import table_lines

ROOT = Path(__file__).parents[2]
WIDE = 1000  # columns, in which every line fits
WIDTHS = (60, 80, 120)
NUMBER, HEX = re.compile(r"\d[\d.,]*"), re.compile(r"[0-9a-f]{16,}")
COMMANDS = {
    "list": ["list"],
    "show": ["show", "lenet5"],
    "summary": ["summary", "resnet20"],
    "train": ["train", "lenet5", "--data", "digits", "--epochs", "2", "-b", "256", "--lr", "0.003", "--device", "cpu"],
    "evaluate": ["evaluate", "lenet5.digits", "--device", "cpu"],
    "export": ["export", "lenet5.digits", "-f", "torchscript"],
    "verify": ["verify", "exports/lenet5.digits"],
    "predict": ["predict", "lenet5.digits", "a photo of a nine.png", "--top", "3"],
    "error": ["export", "lenet5.digits", "-f", "torchscript"],  # the folder is there
    "usage": ["train", "lenet5", "--learning-rates", "1"],
    "failure": ["weights", "verify", "lenet5.digits", "--expect-digest", "0" * 64],
    "help": ["--help"],
    "help of train": ["train", "--help"],
    "help of sign": ["sign", "--help"],
}
SLOW = {
    **{name: COMMANDS[name] for name in ("train", "evaluate", "export", "verify", "predict", "summary")},
    "doctor": ["doctor"],
    "sign": ["sign", "lenet5.digits", "--key", "key.pem"],
    "resume": ["train", "--resume", "runs/lenet5.digits"],
    "weights verify": ["weights", "verify"],
    "weights upgrade": ["weights", "upgrade", "lenet5.digits"],
    "weights page": ["weights", "page"],
    "weights import": ["weights", "import", "lenet5.pth", "--architecture", "lenet5"],
    "pull": ["pull", "somebody/lenet5"],
    "push": ["push", "lenet5.digits", "somebody/lenet5"],
}
PLAIN = ("NO_COLOR=1", "TERM=dumb")  # no colours
VERDICTS = {"pass": 32, "fail": 31, "agrees": 33, "inconclusive": 33, "overridden": 33, "unverified": 33}
FAILED = {"error": 1, "usage": 2, "failure": 3}
Screens = dict[tuple[str, int], str]


def load(name: str) -> ModuleType:
    """A module of `docs/`, which is no package."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", ROOT / "docs" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


terminal = load("pseudo_terminal")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the commands run in; a folder for each width."""
    return tmp_path_factory.mktemp("terminal")


@pytest.fixture(scope="module")
def written(root: Path) -> Screens:
    """What each command writes in a terminal of each width; and verdicts, where colours are switched off."""
    calls, keys = [], []
    for width in (WIDE, *WIDTHS):
        folder = root / "xy"[width == WIDE] / f"{width:04}"  # paths of the same length
        folder.mkdir(parents=True)
        Image.new("L", (32, 32), 90).save(folder / "a photo of a nine.png")
        for name, arguments in COMMANDS.items():
            calls.append((width, folder, arguments))
            keys.append((name, width))
    for setting in PLAIN:
        for name in ("verify", "failure"):
            calls.append((80, folder, [setting, *COMMANDS[name]]))
            keys.append((f"{setting} {name}", 80))
    results = terminal.run_in_terminal(calls, root)
    for (name, _), (code, text) in zip(keys, results, strict=True):
        assert code == FAILED.get(name.split()[-1], 0), text
    return dict(zip(keys, (text for _, text in results), strict=True))


def words(text: str) -> set[str]:
    """The words of a screen; what differs between two runs or is cut after a word is left out."""
    lines = terminal.screen(text)
    return {
        NUMBER.sub("0", HEX.sub("#", word.removesuffix("…")))
        for line in lines
        for word in line.split()
        if set(word) - set("─━")
    }


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", COMMANDS)
def test_no_word_is_cut_and_lines_fit(written: Screens, name: str, width: int) -> None:
    text = written[name, width]
    assert words(text) - words(written[name, WIDE]) == set()
    for line in terminal.screen(text):
        assert cells(line) <= width or " " not in line.strip(), line


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "list"])
def test_nothing_is_left_out_of_a_narrow_terminal(written: Screens, name: str) -> None:
    assert words(written[name, WIDE]) - words(written[name, 60]) == set()


@pytest.mark.parametrize("width", WIDTHS)
def test_a_listed_thing_is_one_line(written: Screens, width: int) -> None:
    wide, narrow = (
        [line for line in terminal.screen(written["list", each]) if line and not line.startswith("─")]
        for each in (WIDE, width)
    )
    assert [line.split()[0] for line in narrow] == [line.split()[0] for line in wide]


@pytest.mark.parametrize("width", WIDTHS)
def test_epochs_are_rows_under_one_header(written: Screens, width: int) -> None:
    lines = terminal.screen(written["train", width])
    (header,) = (index for index, line in enumerate(lines) if "train loss" in line)
    rows = lines[header + 1 : header + 3]
    assert [row.split()[0] for row in rows] == ["1/2", "2/2"]
    ends = [[match.end() for match in re.finditer(r"\S+( \S+)?", line)] for line in (lines[header], *rows)]
    assert ends[0] == ends[1] == ends[2]  # columns are right-aligned
    assert all("left" not in line for line in lines)  # the bar is gone, and with it the estimate


@pytest.mark.parametrize("width", WIDTHS)
def test_the_bar_starts_at_step_0_with_one_estimate(written: Screens, width: int) -> None:
    drawn = re.findall(r"epoch \d/2 [^\r\n]*", re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", written["train", width]))
    assert any(re.search(r" 0/\d+", line) for line in drawn)
    assert all(line.count("left") <= 1 and "-:--" not in line and len(line) <= width for line in drawn)


def test_verdicts_are_coloured_words(written: Screens) -> None:
    assert "\x1b[32m\x1b[1mPASS\x1b[0m: " in written["verify", 80]
    assert "\x1b[32m\x1b[1mPASS\x1b[0m: " in written["export", 80]
    assert "error: \x1b[31m\x1b[1mFAIL\x1b[0m: " in written["failure", 80]


@pytest.mark.parametrize("setting", PLAIN)
@pytest.mark.parametrize(("name", "start"), [("verify", "PASS: "), ("failure", "error: FAIL: ")])
def test_colours_can_be_switched_off(written: Screens, setting: str, name: str, start: str) -> None:
    text = written[f"{setting} {name}", 80]
    assert any(line.startswith(start) for line in terminal.screen(text))
    assert not re.search(r"\x1b\[[\d;]*m", text)


class Tty(io.StringIO):
    """A text stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("verdict", "colour"), VERDICTS.items())
def test_every_verdict_has_a_word_and_a_colour(
    verdict: str, colour: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    print_verdict(verdict, "model.onnx")
    assert capsys.readouterr().out == f"{verdict.upper()}: model.onnx\n"
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", stream := Tty())
    print_verdict(verdict, "model.onnx")
    assert stream.getvalue() == f"\x1b[{colour}m\x1b[1m{verdict.upper()}\x1b[0m: model.onnx\n"


def test_a_pipe_gets_plain_lines(
    run_zoo: Callable[..., Any], written: Screens, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(next(path.parent for path in root.rglob("exports")))
    ran = run_zoo(*COMMANDS["failure"])
    assert ran.code == 3 and "\x1b" not in ran.out + ran.err
    lines = [(line.split()[0], line.split()[1]) for line in ran.err.splitlines()]
    assert [first for first, _ in lines] == ["error:", "next:"] and lines[0][1] == "FAIL:"
    ran = run_zoo(*COMMANDS["error"])
    assert ran.code == 1 and len(ran.err.splitlines()) == 2 and "\x1b" not in ran.out + ran.err


def test_an_interrupt_ends_with_one_sentence(here: Path) -> None:
    handled = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # a background job ignores it
    script = f"{handled}; from zoo.cli.main import main; main()"
    command = [sys.executable, "-c", script, "train", "lenet5", "--data", "digits", "--epochs", "1000"]
    process, reader = terminal.open_terminal(command, here)
    text = terminal.read_until(reader, " 2/1000 ", 120)
    process.send_signal(signal.SIGINT)
    text += terminal.read_until(reader, r"(?!)", 120)
    os.close(reader)
    assert process.wait(10) == 130
    *lines, last = filter(None, terminal.screen(text))
    assert re.fullmatch(r"Interrupted at step [\d,]+ of 12,000\. Resume: zoo train --resume runs/lenet5\.digits", last)
    assert all("left" not in line and "nterrupted" not in line for line in lines)


@pytest.mark.parametrize("name", SLOW)
def test_something_is_shown_within_half_a_second(name: str, here: Path) -> None:
    """Before PyTorch is imported, which never ends here. Processor time does not depend on what else runs."""
    for path in ("site/torch", "runs/lenet5.digits"):
        (here / path).mkdir(parents=True)
    (here / "site" / "torch" / "__init__.py").write_text("import time\ntime.sleep(600)\n")
    (here / "key.pem").write_text("-----BEGIN PRIVATE KEY-----\n")
    paths = os.pathsep.join([str(here / "site"), os.environ.get("PYTHONPATH", "")])
    process, reader = terminal.open_terminal([sys.executable, "-m", "zoo", *SLOW[name]], here, PYTHONPATH=paths)
    text = terminal.read_until(reader, "loading", 30)
    process.kill()
    _, _, used = os.wait4(process.pid, 0)
    process.returncode = -9  # it was waited for
    os.close(reader)
    assert "loading the model" in text if name == "predict" else LOADING in text
    assert used.ru_utime + used.ru_stime < 0.5


@pytest.mark.parametrize(
    ("text", "width", "hang", "lines"),
    [
        ("", 20, 2, [""]),
        ("one two three", 8, 2, ["one two", "  three"]),
        ("a/very/long/path of it", 8, 2, ["a/very/long/path", "  of it"]),
        ("see a/very/long/path", 17, 4, ["see", " a/very/long/path"]),
        ("run `zoo list` now", 12, 0, ["run", "`zoo list`", "now"]),
        ("run `zoo list --json` now", 12, 0, ["run `zoo", "list --json`", "now"]),
        ("it covers 76 % of", 12, 0, ["it covers", "76 % of"]),
        ("漢字 漢字 漢字", 9, 0, ["漢字 漢字", "漢字"]),
    ],
)
def test_lines_break_at_spaces(text: str, width: int, hang: int, lines: list[str]) -> None:
    assert wrapped(text, width, hang) == lines


def test_a_table_wraps_text_and_then_stacks_its_rows() -> None:
    headings, row = ["name", "summary"], ["resnet20", "a network with skip connections"]
    assert table_lines(headings, [row], 30)[2:] == ["resnet20  a network with skip", "          connections", ""]
    assert table_lines(headings, [row], 12)[:-1] == [
        "resnet20",
        "  summary  a",
        " network",
        " with skip",
        " connections",
    ]


def test_a_long_last_cell_is_below_its_row() -> None:
    headings, rows = (
        ["name", "size", "file"],
        [["resnet20", "3 kB", "weights/a/long/path.safetensors"], ["new", "", ""]],
    )
    assert table_lines(headings, rows, 24) == [
        "name      size",
        "  file",
        "────────  ────",
        "resnet20  3 kB",
        "weights/a/long/path.safetensors",
        "new",
        "",
    ]


def test_a_short_table_leaves_out_columns_then_cuts_text() -> None:
    headings, row = (
        ["name", "input", "summary", "plugin"],
        ["resnet20", "3×32×32", "a network with skip connections", "p"],
    )
    lines = table_lines(headings, [row], 36, shorten="summary", optional=("plugin", "input"))
    assert lines[0].split() == ["name", "summary"] and lines[2] == "resnet20  a network with skip…"
    row[2] = "many; see `zoo list timm`"
    assert table_lines(headings, [row], 44, shorten="summary")[2] == "resnet20  3×32×32  many; see…  p"


def test_a_table_leaves_out_columns_before_it_stacks_rows() -> None:
    headings, row = ["name", "size", "file"], ["resnet20", "3 kB", "weights/a/long/path.safetensors"]
    assert table_lines(headings, [row], 24, optional=("file",)) == [
        "name      size",
        "────────  ────",
        "resnet20  3 kB",
        "",
    ]
    assert table_lines(headings, [row], 60, optional=("file",))[2].split() == ["resnet20", "3", "kB", row[2]]
