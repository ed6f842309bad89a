"""The verdict is about the function: a model whose weights are scaled by a power of two is judged as the model is.

Scaling by a power of two rounds nothing: truth, rounding error, tolerance, error and coverage scale by it exactly.
"""

import copy

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from zoo.contract.evidence import Comparison, Coverage
from zoo.contract.preprocess import Preprocess
from zoo_export.parity.coverage import coverage
from zoo_export.parity.judge import judge
from zoo_export.probes.probes import make_probes
from zoo_export.truth.reference import make_references

PROBES = make_probes(Preprocess(size=(8, 8), mean=(0.5,), std=(0.25,)))


def net() -> nn.Sequential:
    """Two layers with a norm and a ReLU between them."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5))
        nn.init.uniform_(layers[1].bias, 0.5, 1)
    return layers.eval()


def rescaled(module: nn.Sequential, exponent: int, inner: int) -> nn.Sequential:
    """Its logits times two to the `exponent`, of which the norm contributes two to the `inner`."""
    other = copy.deepcopy(module)
    with torch.no_grad():
        for parameter in other[1].parameters():
            parameter.mul_(2.0**inner)
        other[4].weight.mul_(2.0 ** (exponent - inner))
        other[4].bias.mul_(2.0**exponent)
    return other


def judged(module: nn.Sequential, change: float, row: int) -> tuple[list[Comparison], Coverage]:
    """The comparisons of a copy of which one row of the head is changed, and what the check would notice."""
    references = make_references(module, PROBES)
    damaged = copy.deepcopy(module)
    with torch.no_grad():
        damaged[4].weight[row] *= 1 + change
        outputs = [damaged(torch.from_numpy(probe.images)).numpy() for probe in PROBES]
    return [judge(*told) for told in zip(references, outputs, strict=True)], coverage(module, references)


@given(st.integers(-30, 30), st.integers(-10, 10), st.floats(-1e-5, 1e-5), st.integers(0, 4))
def test_verdict_is_invariant_to_the_scale_of_the_model(exponent: int, inner: int, change: float, row: int) -> None:
    (plain, covered), (scaled, covered_too) = (
        judged(module, change, row) for module in (net(), rescaled(net(), exponent, inner))
    )
    assert covered.uncovered == covered_too.uncovered  # which could be float16 is another matter: that has a scale
    for one, other in zip(plain, scaled, strict=True):
        assert (one.passed, one.ratio, one.where) == (other.passed, other.ratio, other.where)
        assert (
            other.rounding_error == one.rounding_error * 2.0**exponent
            and other.tolerance == one.tolerance * 2.0**exponent
        )
