"""Truth is the unmodified model in float64; the rounding error is PyTorch's own; the model is left unchanged."""

import copy
import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from zoo.contract.errors import ExportError
from zoo.contract.evidence import Probe
from zoo_export.probes.probes import make_probes
from zoo_export.truth.reference import EPS32, _Noise, make_references


class Says(nn.Module):
    """Computes what the given function of (logits, images, how many calls before) says."""

    def __init__(self, says: Callable[[Tensor, Tensor, int], object]) -> None:
        super().__init__()
        self.head = nn.Linear(3 * 8 * 8, 4)
        self.says, self.calls = says, itertools.count()

    def __deepcopy__(self, memo: dict) -> "Says":
        twin = Says(self.says)
        twin.head, twin.calls = copy.deepcopy(self.head, memo), self.calls
        return twin

    def forward(self, images: Tensor) -> object:
        return self.says(self.head(images.flatten(1)), images, next(self.calls))


def hooks(module: nn.Module) -> int:
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks")
    return sum(len(getattr(part, kind)) for part in module.modules() for kind in kinds)


@pytest.fixture
def probes(make_model) -> list[Probe]:
    return make_probes(make_model().card.preprocess)


def test_truth_is_the_module_in_float64(make_model, probes: list[Probe]) -> None:
    module = make_model().module
    double = copy.deepcopy(module).double()
    for reference in make_references(module, probes):
        with torch.no_grad():
            expected = double(torch.from_numpy(reference.images).double()).numpy()
        assert reference.truth.dtype == np.float64
        assert np.array_equal(reference.truth, expected)


def test_the_module_is_left_as_it_was(make_model, probes: list[Probe]) -> None:
    module = make_model().module
    before = {name: value.clone() for name, value in module.state_dict().items()}
    needed = {name: value.requires_grad for name, value in module.named_parameters()}
    make_references(module, probes)
    after = module.state_dict()
    assert before.keys() == after.keys()
    assert all(value.dtype == after[name].dtype and torch.equal(value, after[name]) for name, value in before.items())
    assert {name: value.requires_grad for name, value in module.named_parameters()} == needed
    assert not any(part.training for part in module.modules())
    assert hooks(module) == 0


def test_a_hook_of_the_models_own_stays(make_model, probes: list[Probe]) -> None:
    module = make_model().module
    module.conv.register_forward_hook(lambda layer, given, output: output * 2)
    plain = make_references(make_model().module, probes)
    doubled = make_references(module, probes)
    assert hooks(module) == 1
    assert not np.array_equal(plain[0].truth, doubled[0].truth)


def test_rounding_error_has_a_lower_bound(make_model, probes: list[Probe]) -> None:
    for reference in make_references(make_model().module, probes):
        assert reference.rounding_error >= EPS32 * reference.peak > 0


def test_a_model_that_rounds_nothing_still_has_a_rounding_error(probes: list[Probe]) -> None:
    """Powers of two: every float32 run but the jittered ones is exact."""
    references = make_references(Says(lambda logits, images, call: images[:, :, 0, 0] * 0 + 4.0), probes)
    for reference in references:
        assert reference.rounding_error == EPS32 * 4.0


def test_the_rounding_error_covers_the_plain_float32_run(make_model, probes: list[Probe]) -> None:
    module = make_model().module
    for reference in make_references(module, probes):
        with torch.inference_mode():
            single = module(torch.from_numpy(reference.images)).double().numpy()
        assert np.abs(single - reference.truth).max() <= reference.rounding_error


def test_the_rounding_error_is_of_the_size_of_rounding(make_model, probes: list[Probe]) -> None:
    """A rounding error that is too large hides damage: here rounding is a few units in the last place."""
    for reference in make_references(make_model().module, probes):
        assert reference.rounding_error < 100 * EPS32 * reference.peak


def test_references_are_the_same_each_time(make_model, probes: list[Probe]) -> None:
    first, again = (make_references(make_model().module, probes) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        assert np.array_equal(one.truth, other.truth)
        assert one.rounding_error == pytest.approx(other.rounding_error, rel=1e-9)


def test_model_that_modifies_its_input_keeps_probes(probes: list[Probe]) -> None:
    before = [probe.images.copy() for probe in probes]
    module = Says(lambda logits, images, call: logits + images.mul_(2).sum((1, 2, 3))[:, None])
    references = make_references(module, probes)
    assert all(np.array_equal(probe.images, old) for probe, old in zip(probes, before, strict=True))
    assert all(reference.rounding_error < 1000 * EPS32 * reference.peak for reference in references)


def test_progress_is_told_to_the_end(make_model, probes: list[Probe]) -> None:
    told: list[tuple[int, int]] = []
    make_references(make_model().module, probes, lambda done, total: told.append((done, total)))
    assert told == [(done, len(told)) for done in range(1, len(told) + 1)]


def refused(module: nn.Module, probes: list[Probe]) -> ExportError:
    with pytest.raises(ExportError) as caught:
        make_references(module.eval(), probes)
    error = caught.value
    assert error.exit_code == 1
    assert all(text.strip().endswith((".", "?")) for text in (error.next_step,))
    assert error.cause and "\n" not in error.cause + error.next_step
    assert hooks(module) == 0
    return error


def raises(logits: Tensor, images: Tensor, call: int) -> Tensor:
    raise RuntimeError("no such shape\nand more that nobody reads")


def test_a_model_that_raises_is_explained_by_its_own_first_line(probes: list[Probe]) -> None:
    cause = refused(Says(raises), probes).cause
    assert "RuntimeError: no such shape" in cause
    assert "nobody reads" not in cause


@pytest.mark.parametrize("good", range(2, 9))
def test_a_model_that_raises_at_any_stage_keeps_no_hook(probes: list[Probe], good: int) -> None:
    def late(logits: Tensor, images: Tensor, call: int) -> Tensor:
        if call >= good:
            raise RuntimeError("late")
        return logits

    assert "late" in refused(Says(late), probes).cause


@pytest.mark.parametrize(
    ("says", "said"),
    [
        (lambda logits, images, call: logits * float("nan"), "no finite logits"),
        (lambda logits, images, call: logits / 0, "no finite logits"),
        (lambda logits, images, call: logits[0], "[N, K]"),
        (lambda logits, images, call: logits[:, :, None], "[N, K]"),
        (lambda logits, images, call: logits.repeat(2, 1), "[N, K]"),
        (lambda logits, images, call: (logits, logits), "AttributeError"),
        (lambda logits, images, call: None, "AttributeError"),
        (lambda logits, images, call: logits * 1e30 * 1e30, "not finite"),
        (lambda logits, images, call: logits * (float("nan") if images.dtype == torch.float32 else 1), "not finite"),
    ],
    ids=["nan", "infinite", "1-d", "3-d", "two-a-image", "tuple", "none", "overflows-float32", "nan-in-float32"],
)
def test_nonsense_from_a_model_is_explained(probes: list[Probe], says: Callable[..., object], said: str) -> None:
    assert said in refused(Says(says), probes).cause


@pytest.mark.parametrize("probability", [0.001, 0.1, 0.5])
def test_a_model_that_draws_random_numbers_is_refused(probes: list[Probe], probability: float) -> None:
    """Its own spread would pass for rounding, and hide what is wrong with an artifact."""

    def dropping(logits: Tensor, images: Tensor, call: int) -> Tensor:
        return nn.functional.dropout(logits, probability, training=True)

    assert "random" in refused(Says(dropping), probes).cause


def test_dropout_that_heeds_evaluation_mode_is_fine(probes: list[Probe]) -> None:
    module = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(192, 4)).eval()
    assert all(reference.rounding_error < 1e-5 for reference in make_references(module, probes))


def test_jitter_is_at_most_one_ulp_and_independent() -> None:
    """In either memory layout, so that a pool of random numbers is as good as drawing each."""
    for layout in (torch.contiguous_format, torch.channels_last):
        values = torch.ones(2, 5, 64, 64).contiguous(memory_format=layout)
        noise = _Noise(seed=1)
        first, second = noise.like(values), noise.like(values)
        assert first.shape == values.shape and first.stride() == values.stride()
        assert float((first - 1).abs().max()) <= EPS32 * 1.001
        assert float((first != 1).float().mean()) > 0.5
        for one, other in ((first[0], first[1]), (first[:, 0], first[:, 1]), (first, second)):
            assert abs(float(torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1])) < 0.05


@pytest.mark.parametrize("in_place", [False, True])
def test_float32_state_is_restored_exactly(make_model, probes, in_place) -> None:
    module = make_model().module
    module.register_buffer("exact", torch.full((), 1 / 3, dtype=torch.float64))
    before = {name: value.clone() for name, value in module.state_dict().items()}
    make_references(module, probes, in_place=in_place)
    after = module.state_dict()
    assert all(after[name].dtype == value.dtype and torch.equal(after[name], value) for name, value in before.items())
    assert all(parameter.requires_grad and not parameter.is_inference() for parameter in module.parameters())


def test_stateful_model_is_refused_and_unchanged(make_model, probes: list[Probe]) -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = make_model().module
            self.register_buffer("seen", torch.zeros(()))

        def forward(self, images: Tensor) -> Tensor:
            self.seen += len(images)
            return self.inner(images)

    module = Counting().eval()
    assert "changes its own seen" in refused(module, probes).cause
    assert float(module.seen) == 0
