"""Peak memory of training on a streamed folder with N and with 4 N images: it must not grow with their number.

Run: python benchmarks/memory.py [IMAGES [TURNS]]

Noise is stored as JPEGs of 32×32 pixels in a temporary folder, as two classes. `zoo train lenet5` runs on it with
`--memory-limit 0` and two workers for each split, in a process of its own. Every 20 ms the resident memory of that
process and of all below it is added up, pages that they share counted once (Pss of /proc/PID/smaps_rollup, Linux).
The peak depends on timing, so both take turns, and their medians are compared. N images are trained on for four
epochs, so that both take the same number of steps: during the first hundreds of steps, a process uses more and more
pages of its libraries and of the memory shared with its workers, whatever the number of images.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 32
ZOO = [sys.executable, "-c", "from zoo.cli.main import main; main()"]
OPTIONS = ["--data", "folder", "--device", "cpu", "--workers", "2", "--no-cache", "--memory-limit", "0"]
ALLOWED = 1.05  # times the memory of N images that 4 N may take


def main(images: int, turns: int) -> int:
    """Measure both; exit code 1 where four times the images take more memory."""
    peaks: dict[int, list[float]] = {images: [], 4 * images: []}
    with tempfile.TemporaryDirectory() as folder:
        for count in peaks:
            write_images(Path(folder) / str(count), count)
        for _ in range(turns):
            for count, values in peaks.items():
                values.append(train(Path(folder) / str(count), Path(folder), 4 * images // count) / 2**20)
    for count, values in peaks.items():
        spread = f"{min(values):.0f} to {max(values):.0f}"
        print(f"{count:,} images: peak {statistics.median(values):.0f} MiB ({spread}, n={turns})")
    ratio = statistics.median(peaks[4 * images]) / statistics.median(peaks[images])
    print(f"4 times the images: {ratio:.3f} times the memory; must be at most {ALLOWED}")
    return int(ratio > ALLOWED)


def write_images(root: Path, count: int) -> None:
    """`count` JPEGs for training and 64 for testing, of two classes."""
    draw = np.random.default_rng(count)
    for split, number in (("train", count), ("test", 64)):
        for name in ("dark", "light"):
            (root / split / name).mkdir(parents=True)
        for index in range(number):
            low = 0 if index % 2 else 100
            pixels = draw.integers(low, low + 150, (SIDE, SIDE, 3), dtype=np.uint8)
            name = "dark" if index % 2 else "light"
            Image.fromarray(pixels).save(root / split / name / f"{index:07}.jpg", quality=80)


def train(root: Path, folder: Path, epochs: int) -> int:
    """Train on `root`; the peak of memory in bytes."""
    place = folder / "run"
    command = [*ZOO, "train", "lenet5", *OPTIONS, "--data-root", str(root), "--epochs", str(epochs)]
    place.mkdir()
    process = subprocess.Popen(command, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    peak = 0
    while process.poll() is None:
        peak = max(peak, sum(map(memory, family(process.pid))))
        time.sleep(0.02)
    assert process.stderr is not None
    assert process.returncode == 0, process.stderr.read()
    shutil.rmtree(place)
    return peak


def family(process: int) -> list[int]:
    """A process and all its descendants."""
    family_ = [process]
    try:
        for task in Path(f"/proc/{process}/task").iterdir():
            for child in (task / "children").read_text().split():
                family_ += family(int(child))
    except OSError:  # the process has ended
        pass
    return family_


def memory(process: int) -> int:
    """The resident memory of a process in bytes, with its share of what it shares."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    numbers = [int(text) for text in sys.argv[1:]]
    sys.exit(main(*numbers, *(10_000, 3)[len(numbers) :]))
