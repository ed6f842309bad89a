"""Feed damaged and hostile files of every kind to zoo's commands, and count how they end.

Each input is a valid file that was changed along its structure and sealed again, and a command that reads it: `zoo`,
or the command line of `zoo_runtime`, run in a forked process whose writes, programs, sockets and imports are traced.
It must be accepted, or refused with an error of two lines and the right exit code. What else happens is a finding: a
traceback, no end, death by a signal, a write outside of the folder, code, memory beyond a bound, an exit that is not
explained, raw control characters on the terminal. A run that was cut goes on where it was.

Run: python benchmarks/fuzz.py [--n 20000] [--seed 0] [--kinds onnx,pt2] [--seconds 900]
     python benchmarks/fuzz.py --repeat runs/fuzz/code-…/seed-0/findings/NAME
Exit code 1 where there is a finding.
"""

import argparse
import math
import sys
import time
from pathlib import Path

from fuzzing.case import Case
from fuzzing.kinds import KINDS
from fuzzing.outcome import BAD
from fuzzing.process import run_all
from fuzzing.seeds import FORMATS
from fuzzing.session import SECOND_LIMIT, Session

FOLDER = Path("runs/fuzz")  # git leaves runs/ out


def main() -> int:
    """Run, print the table and the findings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", default=",".join(KINDS), help=f"comma-separated (default: {', '.join(KINDS)})")
    parser.add_argument("--n", type=int, default=20_000, help="number of inputs (default: 20000)")
    parser.add_argument("--seed", type=int, default=0, help="of the inputs (default: 0)")
    parser.add_argument("--seconds", type=float, default=math.inf, help="stop after this time (default: none)")
    parser.add_argument("--formats", default=",".join(FORMATS), help="to make valid exports in (default: all)")
    parser.add_argument("--folder", type=Path, default=FOLDER, help=f"for seeds, log and findings (default: {FOLDER})")
    parser.add_argument("--again", action="store_true", help="forget the results and findings of this seed")
    parser.add_argument("--repeat", type=Path, metavar="FINDING", help="run the input in this folder again")
    options = parser.parse_args()
    session = Session(options.folder, options.seed, tuple(options.kinds.split(",")), tuple(options.formats.split(",")))
    if options.again:
        session.forget()
    if options.repeat:
        return repeat(session, options.repeat)
    began = time.monotonic()
    for kind, index, result in session.run(options.n, options.seconds):
        if result.outcome in BAD:
            print(f"{result.outcome}: {kind.name} {index}: {result.signature}", flush=True)
    print(f"\n{session.table()}\n")
    print(f"seed {options.seed}, {time.monotonic() - began:.0f} s, {session.seconds:.0f} s of them in commands")
    for signature, count in session.findings.kept.most_common():
        print(f"{count} × {signature}")
    print(f"{session.bad} findings; the first of each kind are in {session.findings.folder}")
    return int(session.bad > 0)


def repeat(session: Session, finding: Path) -> int:
    """Run one input again, and show how it ends."""
    case = Case.from_json((finding / "case.json").read_text())
    (result,) = run_all([lambda: case], session.sandbox, session.log, SECOND_LIMIT, session.packages)
    print(
        f"zoo {' '.join(case.arguments)}\n{'; '.join(case.notes)}\n{result.outcome} {result.signature}\n{result.detail}"
    )
    for name in ("out", "err"):
        print(f"--- std{name}\n{(session.log / name).read_text(errors='backslashreplace')[-4000:]}")
    return int(result.outcome in BAD)


if __name__ == "__main__":
    sys.exit(main())
