"""Check a loss: a finite scalar with a gradient, lower for correct logits than for wrong ones."""

import torch

from zoo.contract.specs import Loss
from zoo.models.losses import LossFunction, build_loss
from zoo.registry.discovery import discover
from zoo.registry.registry import Entry, Registry


def check_loss(name: str, registry: Registry | None = None) -> None:
    """Check the loss `name` with its default parameters.

    Raises:
        AssertionError: the loss is not finite, is not lower for correct logits than for wrong ones, has no gradient,
            depends on earlier calls, or modifies its arguments; or `build` has other defaults than the spec declares.
        ZooError: it cannot be built, or does not return a scalar.
    """
    registry = registry or Registry(discover())
    entry = registry.find(Loss, name)
    loss = build_loss(entry)
    labels = torch.tensor([0, 1, 2, 0])
    correct = torch.nn.functional.one_hot(labels, 3).float()
    wrong = correct.roll(1, dims=1)
    values = []
    for _ in range(2):
        logits, target = wrong.clone().requires_grad_(), labels.clone()
        value = loss(logits, target)
        assert torch.equal(logits, wrong) and torch.equal(target, labels), f"{name} modifies its arguments"
        try:
            value.backward()  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            raise AssertionError(f"{name}: the backward pass raised: {error}") from error
        assert bool(torch.isfinite(value)), f"{name} is not finite"
        values.append(float(value.detach()))
    assert values[0] == values[1], f"{name} returns {values[0]}, then {values[1]}, for the same logits"
    assert logits.grad is not None and bool(torch.isfinite(logits.grad).all()), f"{name} has no finite gradient"
    assert bool((logits.grad != 0).any()), f"{name} has a zero gradient for wrong logits"
    _check_defaults(name, entry, loss, wrong, labels)
    for scale in (1.0, 20.0):
        good, bad = loss(scale * correct, labels), loss(scale * wrong, labels)
        assert bool(torch.isfinite(good)) and bool(torch.isfinite(bad)), f"{name} is not finite"
        if scale == 1.0:
            assert float(good) < float(bad), f"{name} is not lower for correct logits than for wrong ones"


def _check_defaults(
    name: str, entry: Entry[Loss], loss: LossFunction, logits: torch.Tensor, labels: torch.Tensor
) -> None:
    """zoo passes only the parameters that a user sets: the defaults of `build` must be the declared ones."""
    for key, param in entry.spec.params.items():
        explicit = build_loss(entry, {key: param.default})
        assert torch.equal(explicit(logits, labels), loss(logits, labels)), (
            f"{name}: {key} is {param.default!r} by default in the spec, and something else in {entry.spec.build}"
        )
