"""A check that could not have noticed anything is not passed off as a proof."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.errors import ExportError
from zoo_export.parity.judge import BUDGET
from zoo_export.parity.probes import Probe
from zoo_export.parity.reference import Reference
from zoo_export.parity.vacuous import why_vacuous


def reference(truth: object, floor: float) -> Reference:
    values = np.asarray(truth, np.float64)
    return Reference(Probe("p", np.zeros((len(values), 1, 1, 1), np.float32)), values, floor)


def test_logits_of_zero_prove_nothing() -> None:
    assert "exactly 0" in why_vacuous([reference(np.zeros((1, 3)), 0.0), reference(np.zeros((3, 3)), 0.0)])


def test_logits_that_ignore_the_image_prove_nothing() -> None:
    same = np.tile([1.0, -2.0, 3.0], (3, 1))
    assert "image to image" in why_vacuous([reference(same[:1], 1e-7), reference(same, 1e-7)])


def test_a_change_within_the_budget_is_no_change() -> None:
    floor = 1e-3
    near = reference([[0.0, 1.0], [0.0, 1.0 + 0.99 * BUDGET * floor]], floor)
    far = reference([[0.0, 1.0], [0.0, 1.0 + 1.01 * BUDGET * floor]], floor)
    assert why_vacuous([near])
    assert not why_vacuous([far])


def test_classes_that_differ_within_one_image_are_not_images_that_differ() -> None:
    assert why_vacuous([reference([[0.0, 100.0], [0.0, 100.0]], 1e-6)])


def test_one_probe_that_tells_images_apart_is_enough() -> None:
    constant = reference(np.ones((4, 2)), 1e-7)
    assert not why_vacuous([constant, reference([[1.0, 0.0], [0.0, 1.0]], 1e-7), constant])


def test_a_probe_of_one_image_alone_proves_nothing() -> None:
    assert why_vacuous([reference([[1.0, 2.0]], 1e-7)])


def test_no_probe_at_all_proves_nothing() -> None:
    assert why_vacuous([])


@given(st.integers(-60, 60))
def test_tiny_and_huge_logits_are_judged_by_their_own_rounding(exponent: int) -> None:
    """Untrained networks put out 1e-14 or 1e12, and are checked as well as any."""
    scale = 2.0**exponent
    assert not why_vacuous([reference(np.array([[1.0, 0.0], [0.0, 1.0]]) * scale, 1e-7 * scale)])


def test_a_healthy_model_is_not_refused(exported) -> None:
    assert exported.path.is_dir()


@pytest.mark.parametrize(("bias", "said"), [(0.0, "exactly 0"), (1.0, "image to image")])
def test_a_head_of_zeros_is_refused_and_nothing_is_published(
    make_model, try_export, tmp_path, bias: float, said: str
) -> None:
    model = make_model()
    model.module.head.weight.data.zero_()
    model.module.head.bias.data.fill_(bias)
    with pytest.raises(ExportError, match=said):
        try_export(model, "torchscript")
    assert not list(tmp_path.iterdir())
