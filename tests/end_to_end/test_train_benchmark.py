"""`benchmarks/train.py` runs and says what it compared. What it measures here, on noise, says nothing."""

import gzip
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "train.py"


def timed(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), "--repeats", "1", "--seconds", "0.01", "--batch-size", "8", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_the_three_loops_are_timed_on_both_kinds_of_data(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    for stem, count in (("train", 80), ("t10k", 16)):
        images = draw.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        header = struct.pack(">4I", 2051, count, 28, 28)
        (tmp_path / f"{stem}-images-idx3-ubyte.gz").write_bytes(gzip.compress(header + images.tobytes()))
        (tmp_path / f"{stem}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 2049, count) + labels.tobytes())
    for number in range(60):
        folder = tmp_path / "jpeg" / ("train" if number < 50 else "test") / f"class{number % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(folder / f"{number}.jpg")
    places = ("--fashion-mnist", str(tmp_path), "--cifar10", str(tmp_path / "jpeg"))
    done = timed(*places, "--models", "lenet5,resnet20")
    assert done.returncode in (0, 1), done.stderr
    for said in ("lenet5, 1×28×28, float32", "resnet20, 3×32×32, float32", "batch 8", "× common", "torchvision "):
        assert said in done.stdout


def test_wrong_arguments_are_named() -> None:
    assert "--cifar10" in timed("--models", "resnet20").stderr
    assert "'vgg'" in timed("--models", "vgg").stderr
