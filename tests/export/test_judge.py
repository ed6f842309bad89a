"""An artifact passes where its error is within the tolerance on every probe, and nothing else passes."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from zoo.contract.errors import ExportError
from zoo.contract.evidence import TOLERANCE_FACTOR, Comparison, Probe
from zoo_export.parity.judge import judge, passed, run_and_judge


def reference(truth: object, rounding_error: float, name: str = "noise-2") -> Probe:
    values = np.asarray(truth, np.float64)
    return Probe(name, np.zeros((len(values), 1, 2, 2), np.float32), values, rounding_error)


@st.composite
def logits(draw: st.DrawFn) -> np.ndarray:
    """float32 `[N, K]` of sane size."""
    n, k = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    level = st.one_of(
        st.just(0.0), st.floats(2.0**-10, 2.0**10, width=32), st.floats(-(2.0**10), -(2.0**-10), width=32)
    )
    return np.array(draw(st.lists(level, min_size=n * k, max_size=n * k)), np.float32).reshape(n, k)


rounding_errors = st.floats(1e-4, 1e-1)  # far above the rounding of the logits, so that a displacement stays what it is
inside, outside = st.floats(0, 0.99), st.floats(1.01, 1e4)


def displaced(truth: np.ndarray, by: float, data: st.DataObject) -> tuple[np.ndarray, tuple[int, int]]:
    where = data.draw(st.integers(0, truth.shape[0] - 1)), data.draw(st.integers(0, truth.shape[1] - 1))
    output = truth.copy()
    output[where] += np.float32(by * data.draw(st.sampled_from([-1, 1])))
    return output, where


@given(logits(), rounding_errors, inside, st.data())
def test_within_the_tolerance_passes(
    truth: np.ndarray, rounding_error: float, share: float, data: st.DataObject
) -> None:
    rounding_error *= float(max(1, np.abs(truth).max()))
    output, _ = displaced(truth, share * TOLERANCE_FACTOR * rounding_error, data)
    found = judge(reference(truth, rounding_error), output)
    assert found.passed and not found.reason
    assert found.ratio <= TOLERANCE_FACTOR


@given(logits(), rounding_errors, outside, st.data())
def test_above_the_tolerance_fails_and_says_where(
    truth: np.ndarray, rounding_error: float, share: float, data: st.DataObject
) -> None:
    rounding_error *= float(max(1, np.abs(truth).max()))
    output, where = displaced(truth, share * TOLERANCE_FACTOR * rounding_error, data)
    found = judge(reference(truth, rounding_error), output)
    assert not found.passed
    assert found.where == where
    assert found.error == abs(float(output[where]) - float(truth[where]))
    assert found.ratio == pytest.approx(found.error / rounding_error) and found.ratio > TOLERANCE_FACTOR


def test_where_is_the_largest_of_several_differences() -> None:
    output = np.zeros((3, 4), np.float32)
    output[0, 1], output[2, 3], output[1, 0] = 0.5, -0.75, 0.25
    found = judge(reference(np.zeros((3, 4)), 1e-3), output)
    assert (found.where, found.error) == ((2, 3), 0.75)


def test_exactly_the_tolerance_passes_and_the_next_number_fails() -> None:
    rounding_error = 2.0**-10
    edge = np.full((1, 1), TOLERANCE_FACTOR * rounding_error, np.float32)
    assert judge(reference([[0.0]], rounding_error), edge).passed
    assert not judge(reference([[0.0]], rounding_error), np.nextafter(edge, np.float32(1))).passed


def test_rounding_error_of_0_accepts_only_equality() -> None:
    assert judge(reference([[0.0, 0.0]], 0.0), np.zeros((1, 2), np.float32)).passed
    found = judge(reference([[0.0, 0.0]], 0.0), np.array([[0, 1e-30]], np.float32))
    assert not found.passed and found.ratio == float("inf")


@given(logits(), rounding_errors, st.sampled_from([np.nan, np.inf, -np.inf]), st.data())
def test_one_value_that_is_not_finite_fails(
    truth: np.ndarray, rounding_error: float, value: float, data: st.DataObject
) -> None:
    output = truth.copy()
    output[data.draw(st.integers(0, len(truth) - 1)), data.draw(st.integers(0, truth.shape[1] - 1))] = value
    found = judge(reference(truth, rounding_error), output)
    assert not found.passed
    assert "not finite" in found.reason


@given(logits(), st.sampled_from([np.float16, np.float64, np.int64, np.complex64, np.bool_]))
def test_another_dtype_fails_though_its_values_are_right(truth: np.ndarray, dtype: type) -> None:
    found = judge(reference(truth, 1e6), truth.astype(dtype))
    assert not found.passed
    assert np.dtype(dtype).name in found.reason


@given(logits(), st.data())
def test_another_shape_fails_though_numpy_would_broadcast_it(truth: np.ndarray, data: st.DataObject) -> None:
    n, k = truth.shape
    shape = data.draw(st.sampled_from([(k,), (n, 1), (1, k), (n, k, 1), (1, n, k), (n + 1, k), (n, k + 1), (), (0, k)]))
    assume(shape != truth.shape)
    found = judge(reference(truth, 1e6), np.zeros(shape, np.float32))
    assert not found.passed
    assert str(list(shape)) in found.reason and str(list(truth.shape)) in found.reason


@pytest.mark.parametrize("output", [None, [[0.0]], 0.0, "logits", {"logits": np.zeros((1, 1), np.float32)}])
def test_what_is_no_array_fails(output: object) -> None:
    found = judge(reference([[0.0]], 1.0), output)
    assert not found.passed
    assert type(output).__name__ in found.reason


def test_a_runner_that_raises_fails_with_its_words_on_one_line() -> None:
    def runner(images: np.ndarray) -> np.ndarray:
        raise ValueError("bad\n  kernel " + "x" * 5000)

    (found,) = run_and_judge(runner, [reference([[0.0]], 1.0)])
    assert not found.passed
    assert "ValueError: bad kernel" in found.reason
    assert "\n" not in found.reason and len(found.reason) < 400


def test_a_runner_that_explains_itself_is_quoted() -> None:
    (found,) = run_and_judge(raising(ExportError("The file is empty.", "Export again.")), [reference([[0.0]], 1.0)])
    assert "The file is empty." in found.reason


def raising(error: Exception) -> Callable[[np.ndarray], np.ndarray]:
    def runner(images: np.ndarray) -> np.ndarray:
        raise error

    return runner


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_ctrl_c_is_not_taken_for_a_result(error: type[BaseException]) -> None:
    def runner(images: np.ndarray) -> np.ndarray:
        raise error

    with pytest.raises(error):
        run_and_judge(runner, [reference([[0.0]], 1.0)])


def test_nothing_compared_is_nothing_proven() -> None:
    assert not passed([])
    assert not passed(run_and_judge(lambda images: np.zeros((1, 1), np.float32), []))


def test_one_failure_among_many_fails() -> None:
    good = judge(reference([[1.0]], 1.0), np.ones((1, 1), np.float32))
    bad = judge(reference([[1.0]], 1e-3), np.zeros((1, 1), np.float32))
    assert passed([good, good])
    for found in ([bad], [good, bad], [bad, good], [good, bad, good]):
        assert not passed(found)


def test_an_error_that_is_no_number_fails() -> None:
    assert not Comparison("noise-1", 1, float("nan"), 1.0, 20.0).passed
    assert not judge(reference([[np.nan]], 1.0), np.zeros((1, 1), np.float32)).passed


@given(logits(), st.floats(2.0**-10, 1), st.floats(0, 40), st.integers(-60, 60), st.data())
def test_the_verdict_does_not_depend_on_the_scale(
    truth: np.ndarray, rounding_error: float, share: float, exponent: int, data: st.DataObject
) -> None:
    """What a fixed tolerance gets wrong: logits of 1e-14 or of 1e12 are judged as those of 1 are."""
    output, _ = displaced(truth, share * rounding_error, data)
    plain = judge(reference(truth, rounding_error), output)
    scale = 2.0**exponent
    scaled = judge(reference(truth.astype(np.float64) * scale, rounding_error * scale), output * np.float32(scale))
    assume(np.array_equal(output * np.float32(scale) / np.float32(scale), output))  # nothing fell below float32
    assert (scaled.passed, scaled.ratio, scaled.where) == (plain.passed, plain.ratio, plain.where)


@given(st.lists(st.tuples(logits(), rounding_errors, st.floats(0, 40)), min_size=2, max_size=5), st.data())
def test_the_order_of_the_probes_changes_nothing(
    cases: list[tuple[np.ndarray, float, float]], data: st.DataObject
) -> None:
    made = [
        (reference(truth, rounding_error, f"p{index}"), truth + np.float32(share * rounding_error))
        for index, (truth, rounding_error, share) in enumerate(cases)
    ]
    shuffled = data.draw(st.permutations(made))
    plain, moved = ([judge(one, output) for one, output in order] for order in (made, shuffled))
    assert passed(plain) == passed(moved)
    assert sorted(plain, key=lambda one: one.probe) == sorted(moved, key=lambda one: one.probe)


def test_each_probe_is_run_on_its_own_images_and_told_by_name() -> None:
    images = [np.full((n, 1, 2, 2), n, np.float32) for n in (1, 3, 4)]
    references = [Probe(f"p{len(one)}", one, np.full((len(one), 2), len(one), np.float64), 1e-6) for one in images]
    found = run_and_judge(lambda given: given[:, 0, 0, :], references)
    assert [(one.probe, one.n, one.passed) for one in found] == [("p1", 1, True), ("p3", 3, True), ("p4", 4, True)]


def test_runner_that_modifies_its_input_keeps_probes() -> None:
    probe = Probe("noise-1", np.ones((1, 1, 2, 2), np.float32))

    def runner(images: np.ndarray) -> np.ndarray:
        images *= 0
        return images[:, 0, 0]

    for _ in range(2):
        assert not run_and_judge(runner, [probe.with_truth(np.ones((1, 2)), 1e-6)])[0].passed
    assert (probe.images == 1).all()


def test_the_certificate_says_all_that_was_found() -> None:
    found = judge(reference([[1.0, 2.0]], 0.5), np.array([[1, 3]], np.float32))
    assert found.to_dict() == {
        "probe": "noise-2",
        "n": 1,
        "error": 1.0,
        "rounding_error": 0.5,
        "tolerance": TOLERANCE_FACTOR * 0.5,
        "where": (0, 1),
        "reason": "",
        "runner": "",
        "weights": "",
        "excess": None,
        "ratio": 2.0,
        "passed": True,
    }
