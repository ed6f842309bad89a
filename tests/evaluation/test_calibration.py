"""The expected calibration error is the one of Guo et al. 2017, whatever the batches."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from zoo.evaluation.calibration import BINS, Calibration

CPU = torch.device("cpu")


def gathered(logits: torch.Tensor, right: torch.Tensor, batch_size: int) -> Calibration:
    calibration = Calibration(CPU)
    for some, hits in zip(logits.split(batch_size), right.split(batch_size), strict=True):
        calibration.add(some, hits)
    return calibration


@given(st.integers(1, 9), st.integers(1, 60), st.integers(1, 30), st.integers(0, 999), st.floats(0.01, 30))
def test_it_is_the_one_of_going_through_the_images(
    classes: int, n: int, batch_size: int, seed: int, scale: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(n, classes, generator=generator)
    right = torch.rand(n, generator=generator) < 0.5
    result = gathered(logits, right, batch_size)

    bins: list[list[tuple[float, bool]]] = [[] for _ in range(BINS)]
    for row, hit in zip(logits, right.tolist(), strict=True):
        sure = row.softmax(0).max()
        bins[max(0, math.ceil(float(sure * BINS)) - 1)].append((float(sure), hit))
    error = sum(abs(sum(hit for _, hit in one) - sum(sure for sure, _ in one)) for one in bins) / n
    assert result.error() == pytest.approx(error, abs=1e-6)
    assert 0 <= result.error() <= 1
    assert [one["n"] for one in result.bins()] == [len(one) for one in bins]
    assert result.count.sum() == n
    assert result.correct.sum() == right.sum()


def test_error_is_0_if_confident_and_correct_1_if_wrong() -> None:
    logits = torch.tensor([[1000.0, 0.0]] * 4)
    assert gathered(logits, torch.tensor([True] * 4), 3).error() == 0
    assert gathered(logits, torch.tensor([False] * 4), 3).error() == 1
    assert gathered(torch.zeros(4, 2), torch.tensor([True, False, True, False]), 3).error() == 0


def test_an_empty_bin_says_nothing() -> None:
    *empty, last = gathered(torch.tensor([[1000.0, 0.0]]), torch.tensor([True]), 1).bins()
    assert all((one["n"], one["confidence"], one["accuracy"]) == (0, None, None) for one in empty)
    assert last == {"above": 14 / 15, "up_to": 1.0, "n": 1, "confidence": 1.0, "accuracy": 1.0}


def test_logits_that_are_not_numbers_give_no_number() -> None:
    assert math.isnan(gathered(torch.tensor([[math.nan, 0.0]]), torch.tensor([True]), 1).error())


@pytest.mark.parametrize("classes", [3, 5])
def test_a_probability_on_an_edge_belongs_to_the_bin_below(classes: int) -> None:
    result = gathered(torch.zeros(1, classes), torch.tensor([True]), 1)
    assert result.count.nonzero().item() == BINS // classes - 1
