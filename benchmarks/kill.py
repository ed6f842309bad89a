"""Kill training again and again and resume it: the weights file must equal that of an uninterrupted run.

Run: python benchmarks/kill.py [KILLS [SEED]]

Runs of lenet5 on digits with a checkpoint after every step are killed with SIGKILL: at a random moment of starting up,
at a random moment after the data is read, or as soon as a file is being written after such a moment.
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ZOO = [sys.executable, "-c", "from zoo.cli.main import main; main()"]
RECIPE = ["train", "lenet5", "--data", "digits", "-b", "128", "--epochs", "4", "--device", "cpu"]
RECIPE += ["--model-ema-decay", "0.99", "--hold-out", "0.1", "--clip-grad", "1"]
RECIPE += ["--aa", "trivial", "--reprob", "0.3", "--mixup", "0.2", "--cutmix", "1"]
EVERY = ["--checkpoint-every", "0"]
WEIGHTS, RUN = Path("weights/lenet5.digits.safetensors"), Path("runs/lenet5.digits")
MOMENTS = ("starting", "any", "writing", "writing")


def main(kills: int, seed: int) -> int:
    """Kill at least `kills` times over as many runs as that takes; exit code 1 where weights differ."""
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        alone = Path(folder) / "alone"
        spent = start(alone, RECIPE).wait_for_end()
        expected = (alone / WEIGHTS).read_bytes()
        print(f"uninterrupted: {len(expected):,} bytes, {spent:.1f} s of training and storing")
        killed = in_write = runs = differing = 0
        while killed < kills:
            runs += 1
            here = Path(folder) / f"run{runs}"
            while not (here / RUN / "result.json").exists():
                process = start(here, ["train", "--resume", str(RUN)] if (here / RUN).exists() else RECIPE)
                if killed < kills and process.kill_after(draw.random(), spent, draw.choice(MOMENTS), here / RUN):
                    killed += 1
                    in_write += any((here / RUN).glob(".*.partial"))
                elif process.process.poll() is None:
                    process.wait_for_end()
            differing += (here / WEIGHTS).read_bytes() != expected
    print(f"{killed} kills in {runs} runs, {in_write} of them while a file was being written")
    print(f"{runs - differing} of {runs} runs ended in the same bytes")
    return int(differing > 0)


class start:  # noqa: N801
    """A `zoo` process in `folder`."""

    def __init__(self, folder: Path, arguments: list[str]) -> None:
        folder.mkdir(exist_ok=True)
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            [*ZOO, *arguments, *EVERY],
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
        output += self.process.communicate()[1]
        if self.process.returncode:
            raise SystemExit(f"exit code {self.process.returncode}: {output}")
        return time.perf_counter() - began

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
    numbers = [int(word) for word in sys.argv[1:]]
    sys.exit(main(*(numbers + [25, 0][len(numbers) :])))
