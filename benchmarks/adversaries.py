"""Give `zoo verify` files that were made to pass and to be wrong, and harmless ones, and count what it refuses.

Files and folders are forged from an export of `lenet5.digits`, one kind at a time. Each is checked with `--against` and
with `--strict --against`. Exit code 1 where a forgery without a secret trigger passes, or a harmless file is refused.

Run: python benchmarks/adversaries.py [--seed N] [--report benchmarks/adversaries]
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from adversary.harmless import HARMLESS
from adversary.trial import ACCEPTED, FORGED, REFUSED, Result, Trial

from zoo.files.environment import versions
from zoo.registry.discovery import discover
from zoo.registry.registry import Registry

PACKAGES = ("torch", "onnx", "onnxruntime-gpu", "numpy")


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=12, help="of the fresh images (12)")
    parser.add_argument("--report", type=Path, help="also write REPORT.md and REPORT.json")
    arguments = parser.parse_args()
    trial = Trial(Registry(discover()), arguments.seed)
    forged, harmless = [], []
    for name in (*FORGED, *HARMLESS):
        result = trial.run(name)
        print(f"{name}: {result.against}; strict: {result.strict}", file=sys.stderr, flush=True)
        (harmless if name in HARMLESS else forged).append(result)
    text = report(forged, harmless, arguments.seed)
    print(text)
    if arguments.report:
        data = {
            "seed": arguments.seed,
            "forged": [r.to_dict() for r in forged],
            "harmless": [r.to_dict() for r in harmless],
        }
        arguments.report.with_suffix(".json").write_text(f"{json.dumps(data, indent=2)}\n", encoding="utf-8")
        arguments.report.with_suffix(".md").write_text(text, encoding="utf-8")
    missed = [r.name for r in forged if r.strict != REFUSED and not r.trigger]
    alarms = [r.name for r in harmless if REFUSED in (r.against, r.strict)]
    print(f"passed without a secret trigger: {missed or 'none'}; false alarms: {alarms or 'none'}", file=sys.stderr)
    return bool(missed or alarms)


def report(forged: Sequence[Result], harmless: Sequence[Result], seed: int) -> str:
    """The tables in Markdown."""
    n = len(forged)
    refused = {which: sum(getattr(each, which) == REFUSED for each in forged) for which in ("against", "strict")}
    warned = sum(each.against not in (ACCEPTED, REFUSED) for each in forged)
    lines = [
        "# Files made to pass",
        "",
        f"{', '.join(f'{name} {version}' for name, version in versions(PACKAGES).items())}; seed {seed}",
        "",
        f"{n} kinds of forged files and export folders of `lenet5.digits`. "
        f"`zoo verify FILE --against MODEL` refuses {refused['against']} and warns of {warned}; "
        f"with `--strict` {refused['strict']} are refused. Of {len(harmless)} harmless files, "
        f"{sum(REFUSED in (each.against, each.strict) for each in harmless)} are refused.",
        "",
        "| forgery | `--against` | `--strict --against` | why |",
        "| --- | --- | --- | --- |",
        *(f"| {_words(r.name)} | {r.against} | {r.strict} | {_short(r.why)} |" for r in forged),
        "",
        "Those that `--against` alone does not refuse, and why no sample of images can find them:",
        "",
        *(f"- **{_words(r.name)}**: {r.trigger or 'not explained'}" for r in forged if r.against != REFUSED),
        "",
        "| harmless file | `--against` | `--strict --against` | warning |",
        "| --- | --- | --- | --- |",
        *(f"| {_words(r.name)} | {r.against} | {r.strict} | {_short(r.why)} |" for r in harmless),
        "",
    ]
    return "\n".join(lines)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _short(text: str, most: int = 160) -> str:
    plain = " ".join(text.split()).replace("|", "\\|")
    return plain if len(plain) <= most else f"{plain[:most]}…"


if __name__ == "__main__":
    sys.exit(main())
