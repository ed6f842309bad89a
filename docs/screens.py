"""Write `docs/terminal.md`: what zoo shows in a terminal of 80 columns, as text.

Times, digests and random seeds differ from run to run, so a page is up to date if its words are those of a new one.

Run: python docs/screens.py            (writes the page)
     python docs/screens.py --check    (writes nothing; exits with 1 if the page is stale)
"""

import importlib.util
import re
import shlex
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "terminal.md"
COLUMNS = 80
SCREENS = {
    "Train": "zoo train lenet5 --data digits --epochs 10 --device cpu",
    "Export": "zoo export lenet5.digits",
    "Verify": "zoo verify exports/lenet5.digits",
    "List": "zoo list losses",
    "An error": "zoo export lenet5.digits",
    "A failed check": "zoo verify exports/lenet5.digits/model.onnx --against lenet5",
}
HEAD = """# The terminal

What zoo shows in a terminal of 80 columns. `python docs/screens.py` makes this page.

- Lines break at spaces. A word or path that is longer than the terminal stays whole.
- A command that takes long shows a line at once, such as `loading PyTorch …`, and then a progress bar with an estimate
  of the time left. Both disappear when there is something else to show.
- A verdict is a word at the beginning of a line, or after `error:`. It is `PASS`, `FAIL`, `AGREES`, `INCONCLUSIVE`,
  `OVERRIDDEN` or `UNVERIFIED`. In a terminal, `PASS` is green, `FAIL` is red, and the others are yellow, unless
  `NO_COLOR` is set or `TERM` is `dumb`.
- In a pipe or a file, a message is one line, the columns of a table are separated by tabs, and nothing is coloured or
  left out. `--json` is for programs.
"""
BAR = re.compile(r"^epoch \d+/\d+ .*? left", re.MULTILINE)
DIFFERS = re.compile(r"[0-9a-f]{16,}|(?:\d[\d,]* (?:h|min|s)\b\s*)+|\d[\d.,]*|[─━╸╺\s]+")


def page() -> str:
    """The page, from commands that are run in an empty folder."""
    spec = importlib.util.spec_from_file_location("docs_pseudo_terminal", ROOT / "docs" / "pseudo_terminal.py")
    assert spec is not None and spec.loader is not None
    terminal = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(terminal)
    with tempfile.TemporaryDirectory() as folder:
        calls = [(COLUMNS, Path(folder), shlex.split(command)[1:]) for command in SCREENS.values()]
        results = terminal.run_in_terminal(calls, Path(folder))
    parts = [HEAD]
    for (title, command), (_, written) in zip(SCREENS.items(), results, strict=True):
        shown = "\n".join(terminal.screen(written)).strip("\n")
        parts.append(f"## {title}\n\n```text\n$ {command}\n{shown}\n```\n")
        drawn = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", written.replace("\r", "\n"))
        if bars := BAR.findall(drawn):
            parts.append(f"While it trains, the last line is:\n\n```text\n{bars[len(bars) // 2]}\n```\n")
    return "\n".join(parts)


def words(text: str) -> str:
    """What is the same in every run: a page without numbers, durations, digests, bars and line breaks."""
    return DIFFERS.sub(lambda match: "0" if match[0][0].isalnum() else " ", text)


def is_stale() -> bool:
    """Whether the page says anything else than a new one."""
    return not PAGE.exists() or words(PAGE.read_text(encoding="utf-8")) != words(page())


def main() -> None:
    """Write the page, or check it."""
    if "--check" in sys.argv[1:]:
        sys.exit(is_stale())
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE}\n")


if __name__ == "__main__":
    main()
