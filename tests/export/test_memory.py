"""What the check of a large model takes: three copies of its weights at a time, float64 counted twice."""

import subprocess
import sys

SCRIPT = """
import resource
import torch
from torch import nn
from zoo.contract.preprocess import Preprocess
from zoo_export.parity.check import make_checks
from zoo_export.probes.probes import make_probes

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000

preprocess = Preprocess(size=(32, 32), mean=(0.5,) * 3, std=(0.5,) * 3)
small = nn.Sequential(nn.Flatten(), nn.Linear(3072, 64), nn.Linear(64, 10)).eval()
make_checks(small, make_probes(preprocess))
layers = [nn.Linear(3072, 3072) for _ in range(10)]
for layer in layers:
    layer.weight.data.mul_(%s)
model = nn.Sequential(nn.Flatten(), *layers, nn.Linear(3072, 10)).eval()
copy = sum(p.numel() * 4 for p in model.parameters()) / 1e6
before = peak()
checks = make_checks(model, make_probes(preprocess))
print(len(checks), (peak() - before) / copy)
"""


def grown(scale: float) -> tuple[int, float]:
    """How many checks were made, and by how many copies of the weights the process grew."""
    ran = subprocess.run([sys.executable, "-c", SCRIPT % scale], capture_output=True, text=True, check=True)
    count, copies = ran.stdout.split()
    return int(count), float(copies)


def test_reference_takes_two_copies_of_the_model() -> None:
    _, copies = grown(1.0)
    assert copies < 2.4


def test_probe_weights_take_no_more() -> None:
    """Weights so small that nothing could be noticed."""
    count, copies = grown(1e-3)
    assert count == 2
    assert copies < 2.4
