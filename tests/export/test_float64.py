"""Truth is float64 whatever a forward keeps, makes or casts; the model is left as it was, its gradients work."""

import copy
import functools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from zoo.contract.evidence import Probe
from zoo.evaluation.attributes import keep_attributes
from zoo_export.parity.check import make_checks
from zoo_export.probes.probes import make_probes
from zoo_export.truth.beside import Float64Beside
from zoo_export.truth.float64 import logits_in_float64
from zoo_export.truth.reference import make_references

PIXELS = 3 * 8 * 8


class Computes(nn.Module):
    """A head, and then what the given function of (module, features, images) computes."""

    def __init__(self, then: Callable[["Computes", Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.head, self.then = nn.Linear(PIXELS, 4), then
        self.mixed = nn.Linear(4, 4, bias=False)
        self.table = torch.linspace(0.1, 1.3, 16).view(4, 4)
        self.tables = [self.table / 3]
        self.by_name = {"a": (self.table / 7,)}
        self.cache: dict[str, Tensor] = {}
        self.late: Tensor | None = None

    def forward(self, images: Tensor) -> Tensor:
        return self.then(self, torch.tanh(self.head(images.flatten(1))), images)


def closure() -> Callable[[Computes, Tensor, Tensor], Tensor]:
    table = torch.linspace(0.2, 1.1, 16).view(4, 4)
    return lambda module, x, images: x @ table


def cached_in_closure() -> Callable[[Computes, Tensor, Tensor], Tensor]:
    kept: dict[str, Tensor] = {}

    def then(module: Computes, x: Tensor, images: Tensor) -> Tensor:
        if "table" not in kept:
            kept["table"] = x.new_ones(4, 4) / 3
        return x @ kept["table"]

    return then


@functools.cache
def kept_for_good(size: int) -> Tensor:
    return torch.linspace(-1, 1, size * size).view(size, size)


def keeps_in_dictionary(module: Computes, x: Tensor, images: Tensor) -> Tensor:
    """As levit does with its table of biases."""
    if "bias" not in module.cache:
        module.cache["bias"] = module.mixed.weight[:, [1, 0, 3, 2]]
    return x @ module.cache["bias"]


def keeps_as_attribute(module: Computes, x: Tensor, images: Tensor) -> Tensor:
    """As convit does with its relative places."""
    if module.late is None:
        module.late = torch.arange(16, dtype=torch.float32).view(4, 4) / 7
    return module.mixed(x) @ module.late


def writes_in_place(module: Computes, x: Tensor, images: Tensor) -> Tensor:
    out = torch.zeros(len(x), 4, dtype=torch.float32)
    out[:, :2] = x[:, 2:]
    out[:, 2:].copy_(x[:, :2]).mul_(1 / 3)
    out.add_(1.0).div_(7)
    return out


KINDS: dict[str, Callable[[Computes, Tensor, Tensor], Tensor]] = {
    "attribute": lambda module, x, images: x @ module.table,
    "list": lambda module, x, images: x @ module.tables[0],
    "dictionary": lambda module, x, images: x @ module.by_name["a"][0],
    "closure": closure(),
    "cached-in-closure": cached_in_closure(),
    "cached-function": lambda module, x, images: x @ kept_for_good(4),
    "keeps-in-dictionary": keeps_in_dictionary,
    "keeps-as-attribute": keeps_as_attribute,
    "made-in-forward": lambda module, x, images: x @ torch.linspace(0, 1, 16, dtype=torch.float32).view(4, 4),
    "ones": lambda module, x, images: x @ (torch.ones(4, 4, dtype=torch.float32) / 3),
    "casts": lambda module, x, images: x.to(torch.float32).softmax(-1).log().to(images.dtype),
    "softmax-in-float32": lambda module, x, images: x.softmax(-1, dtype=torch.float32) @ module.mixed.weight,
    "casts-the-images": lambda module, x, images: module.mixed(x) + images.float().mean((1, 2, 3)).view(-1, 1) / 3,
    "writes-in-place": writes_in_place,
    "casts-up-and-back": lambda module, x, images: (x.double() / 3).float() * 3 + module.mixed(x),
    "divides-whole-numbers": lambda module, x, images: x * (torch.arange(1, 5) / 3) @ module.table,
    "fourier": lambda module, x, images: torch.fft.irfft(torch.fft.rfft(x.float()) * (0.3 + 1j), n=4),
    "chooses": lambda module, x, images: torch.where(x.float() > 0, x.float() / 3, x.float()).sort(-1).values,
    "convolves": lambda module, x, images: nn.functional.conv1d(x[:, None].float(), module.table[None, :1, :3])[
        :, 0
    ].repeat(1, 2),
    "attends": lambda module, x, images: nn.functional.scaled_dot_product_attention(
        *3 * [x[:, None].float() @ module.table]
    )[:, 0],
}


def by_hand(kind: str, module: Computes, images: Tensor) -> np.ndarray:
    """The same function, written for float64."""
    double = copy.deepcopy(module).double()
    x = torch.tanh(double.head(images.double().flatten(1)))
    table, third = torch.linspace(0.1, 1.3, 16).view(4, 4), 1 / 3
    attention = nn.functional.scaled_dot_product_attention
    value = {
        "attribute": lambda: x @ table.double(),
        "list": lambda: x @ (table / 3).double(),
        "dictionary": lambda: x @ (table / 7).double(),
        "closure": lambda: x @ torch.linspace(0.2, 1.1, 16).double().view(4, 4),
        "cached-in-closure": lambda: x @ torch.full((4, 4), third, dtype=torch.float64),
        "cached-function": lambda: x @ torch.linspace(-1, 1, 16).double().view(4, 4),
        "keeps-in-dictionary": lambda: x @ double.mixed.weight[:, [1, 0, 3, 2]],
        "keeps-as-attribute": lambda: double.mixed(x) @ (torch.arange(16).double().view(4, 4) / 7),
        "made-in-forward": lambda: x @ torch.linspace(0, 1, 16, dtype=torch.float64).view(4, 4),
        "ones": lambda: x @ torch.full((4, 4), third, dtype=torch.float64),
        "casts": lambda: x.softmax(-1).log(),
        "softmax-in-float32": lambda: x.softmax(-1) @ double.mixed.weight,
        "casts-the-images": lambda: double.mixed(x) + images.double().mean((1, 2, 3)).view(-1, 1) / 3,
        "writes-in-place": lambda: (torch.cat([x[:, 2:], x[:, :2] * third], 1) + 1) / 7,
        "casts-up-and-back": lambda: x + double.mixed(x),
        "divides-whole-numbers": lambda: x * (torch.arange(1, 5).double() / 3) @ table.double(),
        "fourier": lambda: torch.fft.irfft(torch.fft.rfft(x) * (0.3 + 1j), n=4),
        "chooses": lambda: torch.where(x > 0, x / 3, x).sort(-1).values,
        "convolves": lambda: nn.functional.conv1d(x[:, None], table[None, :1, :3].double())[:, 0].repeat(1, 2),
        "attends": lambda: attention(*3 * [x[:, None] @ table.double()])[:, 0],
    }[kind]()
    return value.detach().numpy()


@pytest.fixture
def probes(make_model) -> list[Probe]:
    return make_probes(make_model().card.preprocess)


def made(kind: str) -> Computes:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Computes(KINDS[kind]).eval()


@pytest.mark.parametrize("kind", KINDS)
def test_truth_has_the_precision_of_float64(kind: str, probes: list[Probe]) -> None:
    module = made(kind)
    for reference in make_references(module, probes):
        expected = by_hand(kind, module, torch.from_numpy(reference.images))
        np.testing.assert_allclose(reference.truth, expected, rtol=0, atol=1e-13 * np.abs(expected).max())


@pytest.mark.parametrize("kind", KINDS)
def test_checks_leave_the_model_as_it_was(kind: str, probes: list[Probe]) -> None:
    """Truth, rounding errors and gradients, with probe weights, too."""
    module = made(kind)
    before, table = copy.deepcopy(module.state_dict()), module.table
    checks = make_checks(module, probes)
    assert all(np.isfinite(probe.rounding_error) for check in checks for probe in check.probes)
    for check in checks:
        kept = check.module
        assert kept.late is None and kept.cache == {} and kept.table.dtype == torch.float32
    assert module.table is table
    assert all(value.dtype == before[name].dtype for name, value in module.state_dict().items())
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert torch.get_default_dtype() == torch.float32


def test_ordinary_models_are_converted(make_model, probes: list[Probe], monkeypatch: pytest.MonkeyPatch) -> None:
    """Computing beside float32 takes longer, so it is for those that need it."""
    monkeypatch.setattr(Float64Beside, "__enter__", lambda self: pytest.fail("computed beside float32"))
    make_references(make_model().module, probes)


def test_both_ways_to_float64_agree(make_model) -> None:
    module = make_model().module
    images = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    (plain,), _ = logits_in_float64(module, [images])
    with torch.no_grad(), Float64Beside() as beside:
        logits = module(images)
        wide = beside.wide(logits).numpy()
    assert logits.dtype == torch.float32
    np.testing.assert_allclose(wide, plain, rtol=1e-13)


def test_a_table_of_inference_mode_does_not_break_gradients(probes: list[Probe]) -> None:
    """The caller may have run the model so before."""
    module = made("keeps-as-attribute")
    with torch.inference_mode():
        module(torch.zeros(1, 3, 8, 8))
    kept = module.late
    assert kept is not None and kept.is_inference()
    make_checks(module, probes)
    assert module.late is kept


class Table:
    """An object that is no module."""

    def __init__(self) -> None:
        self.kept: Tensor | None = None


@pytest.mark.parametrize("depth", [0, 20])
def test_attributes_are_put_back(depth: int) -> None:
    part = module = nn.Linear(2, 2)
    for _ in range(depth):
        module = nn.Sequential(module)
    part.values, part.names, part.object, part.nested = [1, 2], {"a"}, Table(), {"x": [{"y": 1}]}
    with keep_attributes(module):
        part.values.append(3)
        part.names.add("b")
        part.object.kept = torch.ones(1)
        part.nested["x"][0]["y"] = 2
        part.added = 1
        part.register_buffer("late", torch.ones(1))
        del part.values[0]
    assert (part.values, part.names, part.object.kept, part.nested) == ([1, 2], {"a"}, None, {"x": [{"y": 1}]})
    assert not hasattr(part, "added") and not hasattr(part, "late")
