"""Probes, comparisons and coverage: what they know, what they refuse, and that JSON keeps them."""

import json
import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from zoo.contract.errors import UsageError
from zoo.contract.evidence import TOLERANCE_FACTOR, Artifact, Comparison, Coverage, Override, Probe

numbers = st.floats(0, 1e6)


def test_a_probe_counts_its_images_and_knows_no_truth_at_first() -> None:
    probe = Probe("noise-2", np.zeros((2, 1, 4, 4), np.float32))
    assert probe.n == 2 and math.isnan(probe.rounding_error) and math.isnan(probe.peak)
    with pytest.raises(LookupError, match="noise-2"):
        probe.truth  # noqa: B018, reading it is what raises
    assert set(probe.to_dict()) == {"name", "n", "image_names", "sha256"}


def test_truth_brings_peak_and_tolerance() -> None:
    probe = Probe("noise-1", np.zeros((1, 1, 4, 4), np.float32)).with_truth(np.array([[1.0, -3.0]]), 0.5)
    assert (probe.peak, probe.tolerance) == (3.0, TOLERANCE_FACTOR * 0.5)
    assert probe.at(2.0).tolerance == TOLERANCE_FACTOR * 2 and probe.at(2.0).images is probe.images


def test_probe_from_a_certificate_has_no_arrays() -> None:
    stored = Probe(
        "noise-1", np.ones((1, 1, 2, 2), np.float32), np.array([[2.0]]), 0.5, {"cuda": 0.25}, ("noise 0",), "ab" * 32
    )
    read = Probe.from_dict(json.loads(json.dumps(stored.to_dict())))
    assert read.to_dict() == stored.to_dict()
    with pytest.raises(LookupError, match=r"golden\.npz"):
        read.images  # noqa: B018, reading it is what raises
    assert read.with_arrays(stored.images, stored.truth).truth is stored.truth


@given(
    st.builds(
        Comparison,
        probe=st.text(max_size=5),
        n=st.integers(1, 9),
        error=numbers | st.just(math.inf),
        rounding_error=numbers,
        tolerance=numbers,
        where=st.none() | st.tuples(st.integers(0, 9), st.integers(0, 9)),
        excess=st.none() | st.floats(-1e6, 1e6),
    )
)
@example(Comparison("noise-1", 1, error=1.0, rounding_error=1.1e-308, tolerance=0.0))  # a ratio that no file may state
def test_json_keeps_a_comparison(comparison: Comparison) -> None:
    text = json.dumps(comparison.to_dict(), allow_nan=False)
    assert Comparison.from_dict(json.loads(text)) == comparison


@given(st.integers(1, 200), st.data())
def test_json_keeps_coverage(tensors: int, data: st.DataObject) -> None:
    uncovered = tuple(f"layer{index}" for index in range(data.draw(st.integers(0, tensors))))
    coverage = Coverage(tensors, uncovered, by_weights={"own_weights": 0.5}, probe_weights_seed=3)
    assert Coverage.from_dict(json.loads(json.dumps(coverage.to_dict()))) == coverage
    assert coverage.enough == (coverage.fraction >= 0.9)


def test_a_model_without_parameters_is_covered() -> None:
    assert Coverage(0, ()).fraction == 1.0


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf, 1e40])
@pytest.mark.parametrize("name", ["atol", "rtol"])
def test_a_tolerance_out_of_range_is_refused(name: str, value: float) -> None:
    with pytest.raises(UsageError, match=name):
        Override(**{name: value})


def test_the_first_file_of_an_artifact_is_its_main_file() -> None:
    artifact = Artifact({"graph": "model.json", "weights": "model.npz"}, "zoo-npz:npz")
    assert artifact.file == "model.json" and Artifact.from_dict(artifact.to_dict()) == artifact
    with pytest.raises(ValueError, match="files"):
        Artifact.from_dict({"files": {}, "format": "x"})
