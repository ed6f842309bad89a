"""A whole run: inputs of every kind in turns, a log that it goes on from, findings, and the table."""

import hashlib
import importlib
import json
import random
import shutil
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from fuzzing.case import Case
from fuzzing.findings import Findings
from fuzzing.kinds import KINDS, Kind, make_case
from fuzzing.outcome import BAD, HANDLED, HANG, Result
from fuzzing.process import in_process, run_all
from fuzzing.sandbox import Sandbox, Seeds
from fuzzing.seeds import DONE, FORMATS, load_seeds, make_seeds

BATCH = 250  # inputs for which a process is forked
LIMIT = 45.0  # seconds that an input may take
SECOND_LIMIT = 150.0  # and that one may take which did not end within the first, on a machine that is busy


class Session:
    """Everything that a run needs.

    Args:
        root: folder of all runs. The sandbox is in it; the valid files are in a folder of its own for each state of the
            code, as the log and the findings of each seed are.
        seed: of all random numbers.
        kinds: names of the kinds.
        formats: that valid files are made in.
    """

    def __init__(self, root: Path, seed: int, kinds: tuple[str, ...], formats: tuple[str, ...] = FORMATS) -> None:
        self.root, self.seed = root.absolute(), seed
        self.code = self.root / f"code-{code_digest()[:10]}"
        self.folder = self.code / f"seed-{seed}"
        self.kinds = [KINDS[name] for name in kinds]
        for name in ("log", "findings"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.done: dict[str, int] = dict.fromkeys(kinds, 0)
        self.seconds = 0.0
        self._prepare(formats)
        self.findings = Findings(self.folder / "findings", seed)

    def run(self, n: int, seconds: float) -> Iterator[tuple[Kind, int, Result]]:
        """Run inputs until there are `n` in all or the time is over, each kind by its share.

        Yields:
            The kind, the number and the result of each input.
        """
        began, total = time.monotonic(), sum(kind.share for kind in self.kinds)
        goals = {kind.name: max(1, round(n * kind.share / total)) for kind in self.kinds}
        goals[self.kinds[0].name] += n - sum(goals.values())
        with (self.folder / "log/results.jsonl").open("a") as log:
            while time.monotonic() - began < seconds:
                waiting = [kind for kind in self.kinds if self.done[kind.name] < goals[kind.name]]
                if not waiting:
                    return
                kind = min(waiting, key=lambda each: self.done[each.name] / goals[each.name])
                first = self.done[kind.name]
                numbers = range(first, min(first + BATCH, goals[kind.name]))
                for index, result in zip(numbers, self.results(kind, numbers), strict=True):
                    self._count(kind.name, result)
                    line = {"kind": kind.name, "index": index, **result.to_dict(), "detail": ""}
                    log.write(json.dumps(line) + "\n")
                    if result.outcome in BAD:
                        self.findings.keep(index, self.case(kind, index), result)
                    yield kind, index, result
                log.flush()

    def results(self, kind: Kind, numbers: range) -> Iterator[Result]:
        """The results of these inputs; one that hung is tried again alone, with more time."""
        inputs = [partial(self.case, kind, index) for index in numbers]
        for make, result in zip(inputs, run_all(inputs, self.sandbox, self.log, LIMIT, self.packages), strict=True):
            if result.outcome == HANG:
                yield next(run_all([make], self.sandbox, self.log, SECOND_LIMIT, self.packages))
            else:
                yield result

    def forget(self) -> None:
        """Remove the results and findings of this seed."""
        shutil.rmtree(self.folder)
        for name in ("log", "findings"):
            (self.folder / name).mkdir(parents=True)
        self.outcomes.clear()
        self.findings.kept.clear()
        self.done, self.seconds = dict.fromkeys(self.done, 0), 0.0

    def case(self, kind: Kind, index: int) -> Case:
        """The input of this number."""
        return make_case(kind, index, self.seed, self.seeds, self.sandbox.canary)

    @property
    def log(self) -> Path:
        """The folder of what processes print."""
        return self.folder / "log"

    @property
    def bad(self) -> int:
        """How many inputs ended badly."""
        return sum(count for (_, outcome), count in self.outcomes.items() if outcome in BAD)

    def table(self) -> str:
        """Kinds by outcomes, in Markdown."""
        columns = [*HANDLED, *BAD]
        rows = [["kind", "n", *columns], ["---", *["---:"] * (len(columns) + 1)]]
        for name in (*self.done, "total"):
            counts = [self._sum(name, outcome) for outcome in columns]
            rows.append([name, f"{sum(counts):,}", *(f"{count:,}" for count in counts)])
        return "\n".join(f"| {' | '.join(row)} |" for row in rows)

    def _sum(self, name: str, outcome: str) -> int:
        return sum(count for key, count in self.outcomes.items() if key[1] == outcome and name in (key[0], "total"))

    def _count(self, kind: str, result: Result) -> None:
        self.outcomes[kind, result.outcome] += 1
        self.done[kind] += 1
        self.seconds += result.seconds

    def _prepare(self, formats: tuple[str, ...]) -> None:
        seeds = self.code / "seeds"
        self.sandbox = Sandbox(self.root / "sandbox", {})
        if not (seeds / DONE).exists():
            shutil.rmtree(seeds, ignore_errors=True)
            seeds.mkdir(parents=True)
            if in_process(lambda: make_seeds(self.sandbox, seeds, formats), self.log):
                raise SystemExit(f"The valid files could not be made:\n{(self.log / 'err').read_text()[-3000:]}")
        modules = json.loads((seeds / DONE).read_text())
        self.packages = frozenset(name.partition(".")[0] for name in modules)
        load_modules(modules)
        self.seeds: Seeds = load_seeds(seeds)
        self.sandbox.seeds = self.seeds
        for line in self._logged():
            if line["kind"] in self.done:
                self._count(line["kind"], Result(line["outcome"], seconds=line["seconds"]))

    def _logged(self) -> list[dict[str, Any]]:
        path = self.folder / "log/results.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def code_digest() -> str:
    """Of zoo's sources and of the fuzzer's: another state of either makes other files, and other results."""
    sha = hashlib.sha256()
    top = Path(__file__).parents[2]
    for folder in ("zoo", "plugins", "export", "benchmarks/fuzzing"):
        for path in sorted((top / folder).rglob("*.py")):
            sha.update(path.read_bytes())
    return sha.hexdigest()


def load_modules(names: list[str]) -> None:
    """Import what the commands will need, once for all forked processes."""
    random.seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in names:
            if name.partition(".")[0] in ("__main__", "__mp_main__", "fuzzing", "fuzz"):
                continue
            with suppress(Exception):  # some are made at run time, or have a name of their own
                importlib.import_module(name)
