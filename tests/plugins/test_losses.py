"""The losses compute what their formulas say, written out here in plain arithmetic."""

import inspect
import math
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import one_hot

from zoo import Loss
from zoo_losses.losses import MSE, BCEWithLogits, CrossEntropy, Focal, MultiMargin
from zoo_losses.plugin import zoo_specs

SPECS = {spec.name: spec for spec in zoo_specs()}
LOGITS = torch.tensor([[1.0, -2.0, 0.5], [0.0, 3.0, 0.25]])
INDICES = torch.tensor([2, 0])
TARGETS = {"index": INDICES, "either": INDICES, "scores": one_hot(INDICES, 3).float()}
WEIGHTED = [
    (CrossEntropy, "class_weights", INDICES),
    (Focal, "class_weights", INDICES),
    (BCEWithLogits, "pos_weight", TARGETS["scores"]),
]


def builder(spec: Loss) -> Callable[..., Callable[[Tensor, Tensor], Tensor]]:
    module, _, attribute = spec.build.partition(":")
    build: Callable[..., Callable[[Tensor, Tensor], Tensor]] = getattr(import_module(module), attribute)
    return build


def probabilities(row: Sequence[float]) -> list[float]:
    powers = [math.exp(value - max(row)) for value in row]
    return [power / sum(powers) for power in powers]


@st.composite
def cases(draw: st.DrawFn) -> tuple[Tensor, Tensor, tuple[float, ...]]:
    """Float64 logits `[N, K]`, class indices `[N]` and K weights."""
    n, k = draw(st.integers(1, 5)), draw(st.integers(2, 6))
    value = st.floats(-8, 8, allow_subnormal=False)
    rows = draw(st.lists(st.lists(value, min_size=k, max_size=k), min_size=n, max_size=n))
    indices = draw(st.lists(st.integers(0, k - 1), min_size=n, max_size=n))
    eighths = draw(st.lists(st.integers(1, 32), min_size=k, max_size=k))  # exact in float32
    return torch.tensor(rows, dtype=torch.float64), torch.tensor(indices), tuple(w / 8 for w in eighths)


@pytest.mark.parametrize("name", SPECS)
def test_gives_a_finite_scalar_with_a_gradient(name: str) -> None:
    logits = LOGITS.clone().requires_grad_()
    value = builder(SPECS[name])()(logits, TARGETS[SPECS[name].target])
    assert value.shape == () and value.dtype == torch.float32 and value.isfinite()
    value.backward()
    assert logits.grad is not None and logits.grad.isfinite().all() and logits.grad.any()


@pytest.mark.parametrize("name", SPECS)
def test_the_spec_and_the_build_agree_on_defaults(name: str) -> None:
    accepted = inspect.signature(builder(SPECS[name])).parameters
    assert {key: p.default for key, p in accepted.items() if p.kind is p.KEYWORD_ONLY} == {
        key: param.default for key, param in SPECS[name].params.items()
    }


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_logits_are_judged_in_float32(name: str, dtype: torch.dtype) -> None:
    loss, target = builder(SPECS[name])(), TARGETS[SPECS[name].target]
    assert torch.equal(loss(LOGITS.to(dtype), target), loss(LOGITS, target))  # these logits are exact in both


@settings(max_examples=60, deadline=None)
@given(cases(), st.sampled_from([0.0, 0.1, 0.5, 1.0]))
def test_cross_entropy_is_its_formula(case: tuple[Tensor, Tensor, tuple[float, ...]], smoothing: float) -> None:
    logits, indices, _ = case
    n, k = logits.shape
    total = 0.0
    for row, right in zip(logits.tolist(), indices.tolist(), strict=True):
        for j, p in enumerate(probabilities(row)):
            total -= (smoothing / k + (1 - smoothing) * (j == right)) * math.log(p)
    value = CrossEntropy(label_smoothing=smoothing)(logits, indices)
    assert value.item() == pytest.approx(total / n, rel=1e-9, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(cases(), st.sampled_from([0.0, 0.3, 1.0, 2.0, 5.0]))
def test_focal_is_its_formula(case: tuple[Tensor, Tensor, tuple[float, ...]], gamma: float) -> None:
    logits, indices, weights = case
    total = 0.0
    for row, right in zip(logits.tolist(), indices.tolist(), strict=True):
        p = probabilities(row)
        wrong = sum(q for j, q in enumerate(p) if j != right)
        total -= weights[right] * wrong**gamma * math.log(p[right])
    value = Focal(gamma=gamma, class_weights=weights)(logits, indices)
    assert value.item() == pytest.approx(total / len(logits), rel=1e-6, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(cases())
def test_focal_with_gamma_zero_is_cross_entropy(case: tuple[Tensor, Tensor, tuple[float, ...]]) -> None:
    logits, indices, weights = case
    for chosen in ((), weights):
        focal = Focal(gamma=0.0, class_weights=chosen)(logits, indices)
        torch.testing.assert_close(focal, CrossEntropy(class_weights=chosen)(logits, indices))


@settings(max_examples=60, deadline=None)
@given(cases(), st.sampled_from([0.0, 0.01, 0.5, 2.0]), st.sampled_from([1.0, 100.0, 1e30]))
def test_focal_has_a_finite_gradient_however_sure_the_model_is(
    case: tuple[Tensor, Tensor, tuple[float, ...]], gamma: float, scale: float
) -> None:
    logits = (case[0] * scale).float().requires_grad_()
    Focal(gamma=gamma)(logits, case[1]).backward()
    assert logits.grad is not None and logits.grad.isfinite().all()


@settings(max_examples=60, deadline=None)
@given(cases(), st.sampled_from([1, 2]), st.sampled_from([0.5, 1.0, 3.0]))
def test_multi_margin_is_its_formula(case: tuple[Tensor, Tensor, tuple[float, ...]], p: int, margin: float) -> None:
    logits, indices, _ = case
    n, k = logits.shape
    total = 0.0
    for row, right in zip(logits.tolist(), indices.tolist(), strict=True):
        total += sum(max(0.0, margin - row[right] + row[j]) ** p for j in range(k) if j != right) / k
    value = MultiMargin(p=p, margin=margin)(logits, indices)
    assert value.item() == pytest.approx(total / n, rel=1e-9, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(cases())
def test_bce_and_mse_are_their_formulas(case: tuple[Tensor, Tensor, tuple[float, ...]]) -> None:
    logits, indices, weights = case
    target = one_hot(indices, logits.shape[1])  # whole numbers on purpose
    bce = mse = 0.0
    for row, truth in zip(logits.tolist(), target.tolist(), strict=True):
        for z, t, weight in zip(row, truth, weights, strict=True):
            p = 1 / (1 + math.exp(-z))
            bce -= weight * t * math.log(p) + (1 - t) * math.log(1 - p)
            mse += (z - t) ** 2
    assert BCEWithLogits(pos_weight=weights)(logits, target).item() == pytest.approx(bce / logits.numel(), rel=1e-6)
    assert MSE()(logits, target).item() == pytest.approx(mse / logits.numel(), rel=1e-9)


def test_weighted_cross_entropy_divides_by_the_images() -> None:
    first, second = (-math.log(probabilities(LOGITS[row].tolist())[right]) for row, right in ((0, 2), (1, 0)))
    value = CrossEntropy(class_weights=(1.0, 7.0, 3.0))(LOGITS, INDICES)
    assert value.item() == pytest.approx((3 * first + 1 * second) / 2)
    assert CrossEntropy(class_weights=(0.0, 7.0, 0.0))(LOGITS, INDICES).item() == 0


@settings(max_examples=60, deadline=None)
@given(cases(), st.sampled_from([CrossEntropy, Focal]))
def test_weighted_loss_is_the_mean_of_equal_parts(
    case: tuple[Tensor, Tensor, tuple[float, ...]], loss: type[CrossEntropy] | type[Focal]
) -> None:
    """Parts are what accumulation and ranks make of a batch."""
    logits, indices, weights = case
    of = loss(class_weights=weights)
    parts = torch.stack([of(logits[row : row + 1], indices[row : row + 1]) for row in range(len(logits))])
    torch.testing.assert_close(parts.mean(), of(logits, indices))


@settings(max_examples=60, deadline=None)
@given(cases(), st.sampled_from([0.0, 0.2]))
def test_cross_entropy_takes_one_hot_scores_for_indices(
    case: tuple[Tensor, Tensor, tuple[float, ...]], smoothing: float
) -> None:
    logits, indices, _ = case
    loss = CrossEntropy(label_smoothing=smoothing)
    torch.testing.assert_close(loss(logits, one_hot(indices, logits.shape[1])), loss(logits, indices))


def test_cross_entropy_of_a_mixed_target_is_the_mixture() -> None:
    mixed = 0.25 * one_hot(torch.tensor([0, 1]), 3) + 0.75 * one_hot(torch.tensor([2, 2]), 3)
    loss = CrossEntropy()
    parts = 0.25 * loss(LOGITS, torch.tensor([0, 1])) + 0.75 * loss(LOGITS, torch.tensor([2, 2]))
    torch.testing.assert_close(loss(LOGITS, mixed), parts)


@pytest.mark.parametrize(("build", "name", "target"), WEIGHTED)
@pytest.mark.parametrize("weights", [(1.0,), (1.0, 2.0), (1.0, 2.0, 3.0, 4.0)])
def test_weights_of_the_wrong_length_are_refused_when_called(
    build: Callable[..., Any], name: str, target: Tensor, weights: tuple[float, ...]
) -> None:
    loss = build(**{name: weights})
    with pytest.raises(ValueError, match=rf"{name} .*{len(weights)} .* 3 classes"):
        loss(LOGITS, target)


@pytest.mark.parametrize(("build", "name", "target"), WEIGHTED)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_weights_follow_the_logits_type(
    build: Callable[..., Any], name: str, target: Tensor, dtype: torch.dtype
) -> None:
    weights = {name: (0.5, 1.0, 2.0)}
    value = build(**weights)(LOGITS.to(dtype), target)
    torch.testing.assert_close(value.float(), build(**weights)(LOGITS, target))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize(("build", "name", "target"), WEIGHTED)
def test_weights_follow_the_logits_to_their_device(build: Callable[..., Any], name: str, target: Tensor) -> None:
    loss = build(**{name: (0.5, 1.0, 2.0)})
    torch.testing.assert_close(loss(LOGITS.cuda(), target.cuda()).cpu(), loss(LOGITS, target))


@pytest.mark.parametrize(("build", "name", "target"), WEIGHTED)
def test_weights_are_settings_and_not_state(build: Callable[..., Any], name: str, target: Tensor) -> None:
    assert not build(**{name: (0.5, 1.0, 2.0)}).state_dict()


@pytest.mark.parametrize("build", [MSE, BCEWithLogits])
def test_scores_of_another_shape_are_refused_and_not_broadcast(build: Callable[..., Any]) -> None:
    square = torch.zeros(3, 3)
    with pytest.raises(ValueError, match=r"\[3, 3\].* \[3\]"):
        build()(square, torch.zeros(3))


@pytest.mark.parametrize(
    ("build", "arguments"),
    [
        (CrossEntropy, {"label_smoothing": 1.1}),
        (CrossEntropy, {"label_smoothing": -0.1}),
        (CrossEntropy, {"class_weights": (1.0, -1.0)}),
        (BCEWithLogits, {"pos_weight": (float("nan"),)}),
        (Focal, {"class_weights": (float("inf"),)}),
        (Focal, {"gamma": -1.0}),
        (Focal, {"gamma": float("nan")}),
        (MultiMargin, {"p": 3}),
        (MultiMargin, {"margin": 0.0}),
    ],
)
def test_other_arguments_are_refused(build: Callable[..., Any], arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        build(**arguments)


def test_listing_imports_neither_torch_nor_numpy() -> None:
    code = (
        "import sys; from zoo_losses.plugin import zoo_specs; assert list(zoo_specs());"
        "print(sorted({'torch', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
