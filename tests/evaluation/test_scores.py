"""Scores of a confusion matrix against counting image by image, and intervals that are what they say."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from zoo.evaluation.scores import class_scores, wilson, worst_confusions

PAIRS = st.integers(1, 8).flatmap(
    lambda classes: st.tuples(
        st.just(classes),
        st.lists(st.tuples(st.integers(0, classes - 1), st.integers(0, classes - 1)), min_size=1, max_size=60),
    )
)


def matrix(classes: int, pairs: list[tuple[int, int]]) -> torch.Tensor:
    confusion = torch.zeros(classes, classes, dtype=torch.int64)
    for true, predicted in pairs:
        confusion[true, predicted] += 1
    return confusion


@given(st.integers(1, 10**9).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_lies_in_0_to_1_and_holds_the_share(counted: tuple[int, int]) -> None:
    right, n = counted
    low, high = wilson(right, n)
    assert 0 <= low <= right / n <= high <= 1
    assert low < high
    other_low, other_high = wilson(n - right, n)
    assert (1 - other_high, 1 - other_low) == pytest.approx((low, high), abs=1e-12)


@given(st.integers(1, 10**6).flatmap(lambda n: st.tuples(st.integers(1, n), st.just(n))))
def test_interval_ends_solve_the_score_equation(counted: tuple[int, int]) -> None:
    """Wilson's own definition: the shares p with |p^ - p| <= z sqrt(p (1 - p) / n)."""
    right, n = counted
    low, _ = wilson(right, n)
    assert right / n - low == pytest.approx(1.959964 * math.sqrt(low * (1 - low) / n), rel=1e-4, abs=1e-9)


def test_a_known_interval() -> None:
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)  # Newcombe 1998, table I


@pytest.mark.parametrize(("right", "n"), [(0, 0), (2, 1), (-1, 3)])
def test_no_share_has_no_interval(right: int, n: int) -> None:
    with pytest.raises(ValueError, match=r"correct=.* and n="):
        wilson(right, n)


@given(PAIRS)
def test_scores_are_those_of_counting_image_by_image(drawn: tuple[int, list[tuple[int, int]]]) -> None:
    classes, pairs = drawn
    for k, score in enumerate(class_scores(matrix(classes, pairs))):
        hits = sum(true == k and predicted == k for true, predicted in pairs)
        missed = sum(true == k and predicted != k for true, predicted in pairs)
        false = sum(true != k and predicted == k for true, predicted in pairs)
        assert (score.correct, score.support, score.predicted) == (hits, hits + missed, hits + false)
        if hits + missed == 0:
            assert (score.precision, score.recall, score.f1) == (None, None, None)
            continue
        precision = hits / (hits + false) if hits + false else None
        recall = hits / (hits + missed)
        assert (score.precision, score.recall) == (precision, recall)
        harmonic = 2 * precision * recall / (precision + recall) if precision and recall else 0
        assert score.f1 == pytest.approx(harmonic)


@given(PAIRS, st.integers(0, 10))
def test_the_worst_confusions_are_the_largest_and_in_order(
    drawn: tuple[int, list[tuple[int, int]]], limit: int
) -> None:
    classes, pairs = drawn
    counts = {pair: pairs.count(pair) for pair in set(pairs) if pair[0] != pair[1]}
    expected = sorted(counts, key=lambda pair: (-counts[pair], pair))[:limit]
    result = worst_confusions(matrix(classes, pairs), limit)
    assert [(one.true, one.predicted) for one in result] == expected
    for one in result:
        assert one.count == counts[one.true, one.predicted]
        assert one.fraction == one.count / sum(true == one.true for true, _ in pairs)
