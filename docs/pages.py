"""The blocks of a page, and how they are run: what a reader would type is what the tests type.

Python blocks of a page share one namespace, `sh` blocks run line by line, and both run in one folder, in the order of
the page. A comment right before a block says what is special about it:

    <!-- file: tiny/__init__.py -->   the block is the content of that file
    <!-- not run: needs a GPU -->     the block is compiled, or its `zoo` lines are parsed, and not run
    <!-- exit: 3 -->                  the block's last `zoo` line exits with this code
    <!-- output -->                   lines of what the block before it writes; digits may differ, `...` skips lines

Run: python docs/pages.py docs/plugins.md    (in an empty folder; runs the page)
"""

import contextlib
import importlib
import io
import os
import re
import shlex
import site
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).parents[1]
FENCE = re.compile(
    r"(?:^<!-- (?P<mark>[^>\n]*) -->\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
INDENTED = re.compile(r"^    (zoo .+)$", re.MULTILINE)
DIGITS = re.compile(r"\d[\d.,]*(e[+-]?\d+)?")
PROBE = re.compile(r"on the probe \S+ \([^)]*\)")  # the worst of probes that are drawn from a random seed


def _without_chance(line: str) -> str:
    """A line of output without what differs from run to run: numbers, and which probe is the worst."""
    return DIGITS.sub("#", PROBE.sub("on the probe", " ".join(line.split())))


@dataclass(frozen=True)
class Block:
    """A fenced block of a page: `language`, `text`, its `line`, and the `mark` in the comment before it."""

    page: Path
    line: int
    language: str
    text: str
    mark: str

    @property
    def place(self) -> str:
        """Where it is, such as `docs/training.md:12`."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    def marked(self, word: str) -> str | None:
        """What the mark says after `word:`; an empty text for the word alone, and `None` for another mark."""
        name, _, rest = self.mark.partition(":")
        return rest.strip() if name == word else None


def blocks(page: Path) -> list[Block]:
    """Every fenced block of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, text.count("\n", 0, match.start()) + 1, match["language"], match["text"], match["mark"] or "")
        for match in FENCE.finditer(text)
    ]


def lines(text: str) -> Iterator[list[str]]:
    """The words of each command of a shell block, without comments; a backslash joins lines."""
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if words:
            yield words


def zoo_commands(page: Path) -> Iterator[list[str]]:
    """The arguments of every `zoo` command on a page, in blocks, in inline code and in torchrun lines."""
    text = page.read_text(encoding="utf-8")
    candidates = [words for block in blocks(page) if block.language == "sh" for words in lines(block.text)]
    rest = FENCE.sub("", text)
    for code in (*INLINE.findall(rest), *INDENTED.findall(rest)):
        if code.startswith("zoo "):
            candidates.append(shlex.split(code, comments=True))
    for words in candidates:
        if words[0] == "zoo":
            yield words[1:]
        elif "zoo" in words and words[words.index("zoo") - 1] == "-m":
            yield words[words.index("zoo") + 1 :]


def parse(arguments: list[str]) -> None:
    """Parse the arguments of `zoo` as click would, and look at the values of options that have choices or ranges.

    Placeholders such as DIR are fine: nothing is opened.

    Raises:
        click.UsageError: there is no such command or option, or an option lacks its value.
        ZooError: there is no such command.
    """
    from zoo.cli.main import cli

    command: click.Command = cli
    context = click.Context(cli, info_name="zoo", **cli.context_settings)
    while isinstance(command, click.Group):
        if not arguments or arguments[0].startswith("-"):
            break
        inner = command.get_command(context, arguments[0])
        if inner is None:
            raise click.UsageError(f"There is no command {arguments[0]!r}.")
        context = click.Context(inner, info_name=arguments[0], parent=context)
        command, arguments = inner, arguments[1:]
    options, _, _ = command.make_parser(context).parse_args(list(arguments))
    for parameter in command.params:
        value = options.get(parameter.name or "")
        if value in (None, (), []) or not isinstance(parameter, click.Option):
            continue
        if parameter.hidden:
            raise click.UsageError(f"{parameter.opts[0]} is hidden: use its new name.")
        if isinstance(parameter.type, click.Choice | click.IntRange | click.FloatRange) and isinstance(value, str):
            parameter.type.convert(value, parameter, context)


class Run:
    """A page that is being run: its namespace, and what its last block wrote."""

    def __init__(self, page: Path) -> None:
        self.page = page
        self.space: dict[str, Any] = {"__name__": "__page__"}
        self.output = ""

    def all(self) -> None:
        """Run every block.

        Raises:
            AssertionError: a block does not do what the page says; the message names its place.
        """
        for block in blocks(self.page):
            try:
                self.block(block)
            except Exception as error:
                raise AssertionError(f"{block.place}: {type(error).__name__}: {error}\n{self.output}") from error

    def block(self, block: Block) -> None:
        """Run one block, write its file, or compare it with what was written."""
        path = block.marked("file")
        if path is not None:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_text(block.text, encoding="utf-8")
        elif block.marked("output") is not None:
            self._compare(block.text)
        elif block.language == "python":
            code = compile(block.text, block.place, "exec")
            if block.marked("not run") is None:
                self._python(code)
        elif block.language == "toml":
            tomllib.loads(block.text)
        elif block.language == "sh" and block.marked("not run") is None:
            self.output = ""
            code = int(block.marked("exit") or 0)
            commands = list(lines(block.text))
            for number, words in enumerate(commands, 1):
                self._shell(words, code if number == len(commands) else 0)

    def _python(self, code: Any) -> None:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(code, self.space)  # the page's own blocks
        self.output = out.getvalue()

    def _shell(self, words: list[str], expected: int) -> None:
        if words[0] == "zoo":
            from zoo.cli.main import run

            with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(out):
                code = run(words[1:])
        elif words[:2] == ["pip", "install"]:
            out, code = io.StringIO(), _install(words[2])
        elif words[0] in ("python", "pytest"):
            start = (
                [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
                if words[0] == "pytest"
                else [sys.executable]
            )
            ran = subprocess.run([*start, *words[1:]], capture_output=True, text=True)
            out, code = io.StringIO(ran.stdout + ran.stderr), ran.returncode
            out.seek(0, io.SEEK_END)
        else:
            raise AssertionError(f"{words[0]} is not run here: mark the block as not run")
        self.output += out.getvalue()
        assert code == expected, f"{' '.join(words)} exits with {code}, not {expected}"

    def _compare(self, text: str) -> None:
        real = [_without_chance(line) for line in self.output.splitlines()]
        for line in text.splitlines():
            plain = _without_chance(line)
            if plain and plain != "..." and not plain.startswith("$"):
                assert plain in real, f"the output has no line {plain!r}:"


def _install(project: str) -> int:
    """What `pip install FOLDER` does, into the page's own folder `site`, without a network."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    code = subprocess.run([*pip, "--target", "site", project], capture_output=True).returncode
    folder = str(Path("site").resolve())
    site.addsitedir(folder)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (folder, os.environ.get("PYTHONPATH"))))
    importlib.invalidate_caches()
    return code


def run(page: Path) -> None:
    """Run every block of a page in the current folder."""
    Run(page).all()


if __name__ == "__main__":
    run(Path(sys.argv[1]).resolve())
