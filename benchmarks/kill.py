"""Kill training and exports again and again, and start several at once: nothing is lost, and nothing is half written.

Run: python benchmarks/kill.py [KILLS [SEED]] [--exports KILLS] [--at-once ROUNDS]

Training: runs of lenet5 on digits with a checkpoint after every step are killed with SIGKILL and resumed: at a random
moment of starting up, at a random moment after the data is read, or as soon as a file is being written after such a
moment. The weights file must equal that of an uninterrupted run.

Exports: `zoo export --force` over an existing folder is killed at such moments, and as soon as its last file is
written. The folder must hold the old export or the new one, whole, and `zoo verify` must accept it.

At once: four trainings of one tag, then four exports to one folder. One of each must succeed, and the others must end
with exit code 1 and a sentence.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

ZOO = [sys.executable, "-c", "from zoo.cli.main import main; main()"]
RECIPE = ["train", "lenet5", "--data", "digits", "-b", "128", "--epochs", "4", "--device", "cpu"]
RECIPE += ["--model-ema-decay", "0.99", "--hold-out", "0.1", "--clip-grad", "1"]
RECIPE += ["--aa", "trivial", "--reprob", "0.3", "--mixup", "0.2", "--cutmix", "1"]
EVERY = ["--checkpoint-every", "0"]
QUICK = ["train", "lenet5", "--data", "digits", "-b", "256", "--epochs", "1", "--device", "cpu"]
WEIGHTS, RUN = Path("weights/lenet5.digits.safetensors"), Path("runs/lenet5.digits")
MOMENTS = ("starting", "any", "writing", "writing")
EXPORT_MOMENTS = ("any", "writing", "writing", "finishing", "finishing")
TOGETHER = 4  # processes at once


def main(arguments: Sequence[str]) -> int:
    """Do what the arguments say; exit code 1 where something was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kills", nargs="?", type=int, help="kills of training; 25 if nothing else is set")
    parser.add_argument("seed", nargs="?", type=int, default=0)
    parser.add_argument("--exports", type=int, default=0, metavar="KILLS", help="kills of exports")
    parser.add_argument("--at-once", type=int, default=0, metavar="ROUNDS", help="rounds of four processes at once")
    chosen = parser.parse_args(arguments)
    kills = chosen.kills if chosen.kills is not None else 0 if chosen.exports or chosen.at_once else 25
    draw = random.Random(chosen.seed)
    lost = 0
    with tempfile.TemporaryDirectory() as folder:
        lost += kill_training(Path(folder) / "training", kills, draw) if kills else 0
        lost += kill_exports(Path(folder) / "exports", chosen.exports, draw) if chosen.exports else 0
        lost += start_at_once(Path(folder) / "at_once", chosen.at_once) if chosen.at_once else 0
    return int(lost > 0)


def kill_training(folder: Path, kills: int, draw: random.Random) -> int:
    """Kill at least `kills` times over as many runs as that takes; the number of runs that ended in other bytes."""
    alone = folder / "alone"
    spent = start(alone, [*RECIPE, *EVERY]).wait_for_end()
    expected = (alone / WEIGHTS).read_bytes()
    print(f"uninterrupted: {len(expected):,} bytes, {spent:.1f} s of training and storing", flush=True)
    killed = in_write = runs = differing = 0
    while killed < kills:
        runs += 1
        here = folder / f"run{runs}"
        while not (here / RUN / "result.json").exists():
            process = start(here, [*(["train", "--resume", str(RUN)] if (here / RUN).exists() else RECIPE), *EVERY])
            if killed < kills and process.kill_after(draw.random(), spent, draw.choice(MOMENTS), here / RUN):
                killed += 1
                in_write += any((here / RUN).glob(".*.partial"))
            elif process.process.poll() is None:
                process.wait_for_end()
        differing += (here / WEIGHTS).read_bytes() != expected
    print(f"{killed} kills in {runs} runs, {in_write} of them while a file was being written")
    print(f"{runs - differing} of {runs} runs ended in the same bytes", flush=True)
    return differing


def kill_exports(folder: Path, kills: int, draw: random.Random) -> int:
    """Kill `zoo export --force` at least `kills` times; the number of times that the folder was not whole."""
    words = [["export", "lenet5", "-p", f"activation={name}", "-f", "torchscript", "-o"] for name in ("tanh", "relu")]
    began = time.perf_counter()
    wholes = []
    for number, export in enumerate(words):
        start(folder, [*export, f"whole{number}"]).end()
        wholes.append(content(folder / f"whole{number}"))
    spent = (time.perf_counter() - began) / len(words)
    shutil.copytree(folder / "whole0", folder / "out")
    killed = in_write = lost = refused = 0
    while killed < kills:
        process = start(folder, [*words[(killed + 1) % 2], "out", "--force"])
        partial = f".out.{process.process.pid}.partial"
        moment, share = draw.choice(EXPORT_MOMENTS), draw.random()
        time.sleep(share * spent if moment == "any" else 0)
        seen: Callable[[], bool] = {
            "any": lambda: True,
            "writing": (folder / partial).exists,
            "finishing": (folder / partial / "manifest.json").exists,
        }[moment]
        while process.process.poll() is None and not seen():
            time.sleep(0.001)
        time.sleep(draw.random() * (0.02 if moment == "finishing" else 0.5 * spent if moment == "writing" else 0))
        if process.process.poll() is None:
            process.process.send_signal(signal.SIGKILL)
        error = process.process.communicate()[1]
        if process.process.returncode not in (0, -signal.SIGKILL):
            raise SystemExit(f"exit code {process.process.returncode}: {error}")
        if process.process.returncode == -signal.SIGKILL:
            killed += 1
            in_write += (folder / partial).exists()
        whole = content(folder / "out") if (folder / "out").exists() else None
        lost += whole not in wholes
        refused += start(folder, ["verify", "out"]).code() != 0
        print(f"kill {killed}: {lost} lost and {refused} refused so far", file=sys.stderr, flush=True)
    start(folder, [*words[0], "out", "--force"]).end()
    left = sorted(path.name for path in folder.iterdir() if path.name.startswith(".out"))
    print(f"{killed} kills of exports, {in_write} of them while the new folder was being filled")
    print(f"{lost} times the folder was neither the old nor the new one; {refused} times `zoo verify` refused it")
    print(f"left behind after the next export: {', '.join(left) or 'nothing'}", flush=True)
    return lost + refused + len(left)


def start_at_once(folder: Path, rounds: int) -> int:
    """Start four trainings of one tag, and four exports to one folder, `rounds` times; how often something was lost."""
    lost = 0
    for number in range(1, rounds + 1):
        here = folder / f"round{number}"
        lost += _round(here, QUICK, "runs/lenet5.digits", str(WEIGHTS))
        lost += _round(here, ["export", "lenet5", "-f", "torchscript", "-o", "out"], "out", "out/manifest.json")
        lost += start(here, ["verify", "out"]).code() != 0
        lost += start(here, ["weights", "verify", str(WEIGHTS)]).code() != 0
        lost += sorted(path.name for path in here.iterdir()) != ["out", "runs", "weights"]
        print(f"round {number}: {lost} failures so far", file=sys.stderr, flush=True)
    print(f"{rounds} rounds of {TOGETHER} trainings and {TOGETHER} exports at once: {lost} failures", flush=True)
    return lost


def _round(here: Path, words: list[str], *made: str) -> int:
    """Start the same command several times at once; 0 if one succeeds and the others say that they cannot."""
    processes = [start(here, words).process for _ in range(TOGETHER)]
    errors = [process.communicate()[1] for process in processes]
    codes = sorted(process.returncode for process in processes)
    bad = [error for error in errors if "Traceback" in error]
    if codes == [0] + [1] * (TOGETHER - 1) and not bad and all((here / path).exists() for path in made):
        return 0
    print(f"exit codes {codes}", *errors, sep="\n", file=sys.stderr)
    return 1


def content(folder: Path) -> Mapping[str, bytes]:
    """Every file in a folder."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


class start:  # noqa: N801
    """A `zoo` process in `folder`."""

    def __init__(self, folder: Path, arguments: list[str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            [*ZOO, *arguments],
            cwd=folder,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_for_data(self) -> str:
        """Wait until the data is read; the standard error so far."""
        assert self.process.stderr is not None
        output = ""
        for line in self.process.stderr:
            output += line
            if "training and" in line:
                break
        return output

    def wait_for_end(self) -> float:
        """The seconds from then to the end; it must succeed."""
        output = self.wait_for_data()
        began = time.perf_counter()
        self.end(output)
        return time.perf_counter() - began

    def end(self, output: str = "") -> None:
        """Wait until it ends; it must succeed."""
        output += self.process.communicate()[1]
        if self.process.returncode:
            raise SystemExit(f"exit code {self.process.returncode}: {output}")

    def code(self) -> int:
        """Its exit code, once it ended."""
        self.process.communicate()
        return self.process.returncode

    def kill_after(self, share: float, seconds: float, moment: str, run: Path) -> bool:
        """Kill it after this fraction of `seconds`, or of start-up; whether it was still running."""
        if moment != "starting":
            self.wait_for_data()
        time.sleep(share * (1.5 if moment == "starting" else seconds / 3))
        while moment == "writing" and self.process.poll() is None and not any(run.glob(".*.partial")):
            pass
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        output = self.process.communicate()[1]
        if self.process.returncode not in (0, -signal.SIGKILL):
            raise SystemExit(f"exit code {self.process.returncode}: {output}")
        return self.process.returncode == -signal.SIGKILL


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
