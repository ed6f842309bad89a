"""Run zoo in a pseudo-terminal, and see what is on its screen. For `docs/screens.py` and the tests of the terminal."""

import fcntl
import json
import os
import re
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

SCRIPT = """
import fcntl, json, os, struct, sys, termios
from zoo.cli.main import run
for width, folder, arguments in json.loads(sys.argv[1]):
    fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    os.chdir(folder)
    before = dict(os.environ)
    while "=" in arguments[0]:
        name, os.environ[name] = arguments.pop(0).split("=")
    code = run(arguments)
    os.environ.clear()
    os.environ.update(before)
    print(f"\\n=== {code}", flush=True)
"""
END = re.compile(r"\n=== (\d+)\r?\n")
CONTROL = re.compile(r"\x1b\[\??([\d;]*)([A-Za-z])|\r|\n")
# The width of the terminal, the folder to be in, and the arguments of zoo, after environment variables such as `A=1`
Call = tuple[int, Path, list[str]]


def open_terminal(
    command: list[str], folder: Path, width: int = 80, **environment: str
) -> tuple[subprocess.Popen[bytes], int]:
    """Start a process in a terminal of its own, and give the process and the side that reads what it writes."""
    reader, terminal = os.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    process = subprocess.Popen(
        command,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        cwd=folder,
        env={**kept, "TERM": "xterm-256color", **environment},
        start_new_session=True,
    )
    os.close(terminal)
    return process, reader


def read_until(reader: int, pattern: str, seconds: float) -> str:
    """What is written until the pattern is found, the process ends, or the time is over."""
    written, until = b"", time.monotonic() + seconds
    while time.monotonic() < until and not re.search(pattern, written.decode(errors="replace")):
        if select.select([reader], [], [], 0.1)[0]:
            try:
                part = os.read(reader, 65536)
            except OSError:  # nobody has the terminal open any more
                break
            if not part:
                break
            written += part
    return written.decode(errors="replace")


def run_in_terminal(calls: list[Call], folder: Path, seconds: float = 240, **environment: str) -> list[tuple[int, str]]:
    """Run commands one after the other in one process, which imports PyTorch once.

    Returns:
        the exit code of each, and all that it wrote.
    """
    script = [sys.executable, "-c", SCRIPT, json.dumps([(width, str(where), words) for width, where, words in calls])]
    process, reader = open_terminal(script, folder, **environment)
    text = read_until(reader, r"(?!)", seconds)
    os.close(reader)
    assert process.wait(10) == 0, text
    *parts, _ = END.split(text.replace("\r\n", "\n"))
    return list(zip(map(int, parts[1::2]), parts[::2], strict=True))


def screen(written: str) -> list[str]:
    """The lines on the screen after all of it was written. The screen is as wide as its longest line."""
    lines, row, column, at = [""], 0, 0, 0
    for match in [*CONTROL.finditer(written), None]:
        text = written[at : match.start() if match else len(written)]
        lines[row] = lines[row][:column].ljust(column) + text + lines[row][column + len(text) :]
        column += len(text)
        if match is None:
            break
        at, code = match.end(), match[2]
        if match[0] == "\n":
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        elif match[0] == "\r":
            column = 0
        elif code == "A":
            row = max(0, row - int(match[1] or 1))
        elif code == "K":
            lines[row] = "" if match[1] == "2" else lines[row][:column]
    return [line.rstrip() for line in lines]
