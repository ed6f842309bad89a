"""Training speed in images a second: zoo's loop, a bare step without data, and the usual PyTorch loop.

Run: python benchmarks/train.py --fashion-mnist DIR --cifar10 DIR [--models lenet5,resnet20,resnet18] [--repeats 7]

The first DIR holds the four IDX files, packed or not; the second one `train/CLASS/*.jpg` and `test/CLASS/*.jpg`, of
32×32 pixels. lenet5 is trained at 28×28; the others at 32×32. All shift by up to an eighth of the side and flip. The
three take turns, in alternating order, so that drift of the machine cancels: ratios are computed per turn.
`benchmarks/loops.py` defines the loops. Preparation (reading the data in zoo, starting the workers in the usual loop)
is not timed; the reading time is printed.
"""

import argparse
import gzip
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch
from loops import Bare, Common, Zoo

from zoo.contract.errors import ZooError
from zoo.models.devices import pick_device
from zoo.registry.discovery import discover
from zoo.registry.registry import Registry
from zoo.training.prepare import Job, RunPaths, prepare
from zoo.training.recipe.recipe import Recipe

BARE = 0.9
IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


@dataclass(frozen=True)
class Case:
    """A data set, and how many times as fast as the usual loop zoo must be on it."""

    data: str
    common: float


CASES = {
    "lenet5": Case("fashion_mnist", 3.0),
    "resnet20": Case("folder", 1.3),
    "resnet18": Case("folder", 1.3),
}


@dataclass(frozen=True)
class Turns:
    """How often and how long each loop is timed, and whether zoo and the bare step use bf16."""

    repeats: int
    seconds: float
    batch_size: int
    amp: bool


def compare(name: str, root: Path, turns: Turns, registry: Registry) -> bool:
    """Time the three loops in turn and print the results; whether zoo is fast enough."""
    case = CASES[name]
    recipe = Recipe(architecture=name, data=case.data, epochs=1, batch_size=turns.batch_size, hflip=True, amp=turns.amp)
    paths = RunPaths(data_root=root, tag="timed", device=pick_device("auto"), workers=2)
    started = time.perf_counter()
    job = prepare(registry, recipe, paths)
    read = time.perf_counter() - started
    bare = Bare(job)
    loops: dict[str, Zoo | Bare | Common] = {"zoo": Zoo(job), "bare": bare, "common": Common(job, root)}
    steps = _steps(job, bare, turns.seconds)  # warm-up: the first steps are slower
    for loop in loops.values():
        loop.seconds(3)
    shape = "×".join(map(str, job.data.preprocess.input_shape))
    arithmetic = "bf16" if turns.amp else "float32"
    print(f"\n{name}, {shape}, {arithmetic}, batch {job.plan.batch_size}, {turns.repeats} turns of {steps} steps each")
    rates: dict[str, list[float]] = {label: [] for label in loops}
    orders = (("zoo", "bare", "common"), ("bare", "zoo", "common"))  # what runs after the common loop is slower
    for turn in range(turns.repeats):
        for label in orders[turn % 2]:
            rates[label].append(steps * job.plan.batch_size / loops[label].seconds(steps))
    for label, values in rates.items():
        print(f"  {label:<7}{statistics.median(values):>9,.0f} images/s ({min(values):,.0f} to {max(values):,.0f})")
    good = [_ratio(label, rates, limit) for label, limit in (("bare", BARE), ("common", case.common))]
    print(f"  zoo read {job.data.train.n + job.data.test.n:,} images before, in {read:.1f} s", flush=True)
    return all(good)


def _steps(job: Job, bare: Bare, seconds: float) -> int:
    bare.seconds(3)
    each = bare.seconds(5) / 5
    return min(max(5, round(seconds / each)), job.plan.steps)


def _ratio(label: str, rates: dict[str, list[float]], limit: float) -> bool:
    ratios = [ours / theirs for ours, theirs in zip(rates["zoo"], rates[label], strict=True)]
    ratio = statistics.median(ratios)
    print(f"  zoo is {ratio:.2f} × {label} ({min(ratios):.2f} to {max(ratios):.2f}); must be at least {limit}")
    return ratio >= limit


def _unpacked(folder: Path, into: Path) -> Path:
    """Fashion-MNIST as torchvision's class wants it: `into/FashionMNIST/raw/NAME`."""
    raw = into / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for name in IDX:
        packed = folder / f"{name}.gz"
        content = gzip.decompress(packed.read_bytes()) if packed.is_file() else (folder / name).read_bytes()
        (raw / name).write_bytes(content)
    return into


def main(words: Sequence[str]) -> int:
    """Run the comparison; exit code 1 if zoo is too slow, 2 if data is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fashion-mnist", type=Path, help="folder of the IDX files, for lenet5")
    parser.add_argument("--cifar10", type=Path, help="folder of train/CLASS/*.jpg, for the others")
    parser.add_argument("--models", default=",".join(CASES), help=f"of {', '.join(CASES)} (all)")
    parser.add_argument("--repeats", type=int, default=7, help="turns (7)")
    parser.add_argument("--seconds", type=float, default=3.0, help="of the bare step in each turn (3)")
    parser.add_argument("--batch-size", type=int, default=128, help="(128)")
    parser.add_argument("--amp", action="store_true", help="bf16 autocast in zoo and in the bare step")
    arguments = parser.parse_args(words)
    names = arguments.models.split(",")
    folders = {"fashion_mnist": arguments.fashion_mnist, "folder": arguments.cifar10}
    for name in names:
        if name not in CASES:
            parser.error(f"--models: {name!r} is not one of {', '.join(CASES)}")
        if folders[CASES[name].data] is None:
            parser.error(f"{name} needs {'--fashion-mnist' if name == 'lenet5' else '--cifar10'} DIR")
    device = pick_device("auto")
    print(f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, on {device}")
    versions = (f"{package} {version(package)}" for package in ("torch", "torchvision", "pillow"))
    print(f"Python {platform.python_version()}, {', '.join(versions)}", flush=True)
    turns = Turns(arguments.repeats, arguments.seconds, arguments.batch_size, arguments.amp)
    registry, good = Registry(discover()), True
    with tempfile.TemporaryDirectory() as scratch:
        if arguments.fashion_mnist is not None:
            folders["fashion_mnist"] = _unpacked(arguments.fashion_mnist, Path(scratch))
        try:
            for name in names:
                root = folders[CASES[name].data]
                good = compare(name, root, turns, registry) and good
        except ZooError as error:
            print(f"error: {error.cause}\n  next: {error.next_step}", file=sys.stderr)
            return 2
    return int(not good)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
