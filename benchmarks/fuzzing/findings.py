"""Keep what was found: each input that ends badly, in a folder, with the command that repeats it."""

import re
import shutil
from collections import Counter
from pathlib import Path

from fuzzing.case import Case
from fuzzing.outcome import Result

SAME = 3  # inputs that are kept of one signature


class Findings:
    """The folder of findings of one run."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.seed = folder, seed
        self.kept: Counter[str] = Counter()
        for path in folder.glob("*/signature.txt"):
            self.kept[path.read_text()] += 1

    def keep(self, index: int, case: Case, result: Result) -> Path | None:
        """Write a finding; `None` if enough with this signature are kept."""
        signature = f"{result.outcome} {result.signature}"
        self.kept[signature] += 1
        if self.kept[signature] > SAME:
            return None
        name = re.sub(r"[^\w.-]+", "_", f"{result.outcome}-{case.kind}-{index}")
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "case.json").write_text(case.to_json())
        (folder / "signature.txt").write_text(signature, encoding="utf-8", errors="backslashreplace")
        lines = [
            f"outcome    {signature}",
            f"input      {case.kind} {index} of seed {self.seed}",
            f"command    zoo {' '.join(case.arguments)}",
            f"changed    {'; '.join(case.notes)}",
            f"repeat     python benchmarks/fuzz.py --repeat {folder}",
            f"took       {result.seconds:.2f} s, {result.memory / 2**20:.0f} MiB",
            "",
            result.detail,
        ]
        (folder / "README.txt").write_text("\n".join(lines), encoding="utf-8", errors="backslashreplace")
        return folder
