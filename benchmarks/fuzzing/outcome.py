"""Judge what a command did: handled, or one of the ways in which it must not end."""

import json
import re
from dataclasses import asdict, dataclass, field
from typing import Any

ACCEPTED, REFUSED, CONTAINED = "accepted", "refused", "contained"
HANDLED = (ACCEPTED, REFUSED, CONTAINED)
BAD = TRACEBACK, HANG, KILLED, WRITE, CODE, MEMORY, EXIT, OUTPUT = (
    *("traceback", "hang", "killed", "write", "code", "memory", "exit", "output"),
)
MEMORY_BOUND = 1536 * 2**20  # bytes over what the process had
EXPLAINED = re.compile(r"(^|\n)error: .+\n  next: .+\n?$")
INTERRUPTED = 130  # how the fuzzer ends a training that began
# Control characters, C1 controls and marks that change the direction of text; newlines and tabs are fine.
RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\udc80-\udcff]")


@dataclass
class Result:
    """What one command did.

    Args:
        outcome: one of `HANDLED` and `BAD`.
        signature: the same for findings with the same cause, as far as that can be seen; empty if handled.
        detail: the traceback or the last lines of the output.
    """

    outcome: str
    signature: str = ""
    detail: str = ""
    seconds: float = 0.0
    memory: int = 0
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for a line of the log."""
        return asdict(self)


@dataclass
class Observed:
    """What is known of a command that ended by itself.

    Args:
        code: its exit code; `None` where an exception came out.
        error: the exception's type and last frames, innermost last.
        output, errors: what it printed.
        changes: paths that changed where nothing may be written.
        events: what the watch noted.
    """

    arguments: list[str]
    code: int | None
    error: str
    frames: list[str]
    output: str
    errors: str
    changes: list[str]
    events: list[str]
    memory: int


def judge(seen: Observed) -> Result:
    """The first of the bad outcomes that applies, the gravest first; else handled."""
    detail = seen.errors[-3000:]
    code = [event for event in seen.events if not event.startswith("write to ")]
    writes = [event.removeprefix("write to ") for event in seen.events if event not in code]
    if code:
        return Result(CODE, f"{code[0]:.80}", "\n".join([*seen.events, detail]))
    if seen.changes or writes:
        places = [*writes, *seen.changes]
        return Result(WRITE, f"{seen.arguments[0]}: {_pattern(places[0])}", "\n".join([*places, detail]))
    if seen.code is None or "Traceback (most recent call last)" in seen.errors:
        frames = seen.frames or re.findall(r'File "([^"]+)", line \d+, in (\S+)', seen.errors)[-3:]
        return Result(TRACEBACK, f"{seen.error}: {' < '.join(map(str, reversed(frames)))}", seen.errors[-6000:])
    if seen.memory > MEMORY_BOUND:
        return Result(MEMORY, f"{seen.arguments[0]}: {seen.memory / 2**30:.0f} GiB", detail)
    if match := RAW.search(seen.output + seen.errors):
        text = (seen.output + seen.errors)[max(match.start() - 60, 0) : match.end() + 40]
        return Result(OUTPUT, f"{seen.arguments[:2]}: {match[0]!r}", repr(text))
    if seen.code == 0:
        if "--json" in seen.arguments and not _is_json(seen.output):
            return Result(OUTPUT, f"{seen.arguments[:2]}: not JSON", seen.output[-3000:])
        return Result(ACCEPTED)
    if seen.code in (1, 2, 3) and EXPLAINED.search(seen.errors):
        return Result(REFUSED)
    if seen.code == INTERRUPTED and seen.arguments[0] == "train":
        return Result(ACCEPTED)
    return Result(EXIT, f"{seen.arguments[0]}: exit code {seen.code}", f"{seen.output[-1000:]}\n{detail}")


def _pattern(path: str) -> str:
    """A path without the numbers in it, which differ from input to input."""
    return re.sub(r"[0-9a-f]{6,}|\d+", "N", path)[-80:]


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
