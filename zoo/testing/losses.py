"""Check a loss: a finite scalar, lower for right logits than for wrong ones, with a gradient."""

import torch

from zoo.contract.specs import Loss
from zoo.models.losses import build_loss
from zoo.registry.discovery import discover
from zoo.registry.registry import Registry


def check_loss(name: str, registry: Registry | None = None) -> None:
    """Check the loss `name` with its default parameters.

    Raises:
        AssertionError: it is not finite, not lower for right logits than for wrong ones, gives no gradient, keeps
            something from one call to the next, or writes into what it is given.
        ZooError: it cannot be built, or gives something that is no scalar.
    """
    registry = registry or Registry(discover())
    loss = build_loss(registry.find(Loss, name))
    labels = torch.tensor([0, 1, 2, 0])
    right = torch.nn.functional.one_hot(labels, 3).float()
    wrong = right.roll(1, dims=1)
    values = []
    for _ in range(2):
        logits, given = wrong.clone().requires_grad_(), labels.clone()
        value = loss(logits, given)
        assert torch.equal(logits, wrong) and torch.equal(given, labels), f"{name} writes into what it is given"
        try:
            value.backward()  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            raise AssertionError(f"{name}: the backward pass raised: {error}") from error
        assert bool(torch.isfinite(value)), f"{name} is not finite"
        values.append(float(value.detach()))
    assert values[0] == values[1], f"{name} gives {values[0]} and then {values[1]} for the same logits"
    assert logits.grad is not None and bool(torch.isfinite(logits.grad).all()), f"{name} gives no finite gradient"
    assert bool((logits.grad != 0).any()), f"{name} gives a gradient of zeros for wrong logits"
    for scale in (1.0, 20.0):
        good, bad = loss(scale * right, labels), loss(scale * wrong, labels)
        assert bool(torch.isfinite(good)) and bool(torch.isfinite(bad)), f"{name} is not finite"
        if scale == 1.0:
            assert float(good) < float(bad), f"{name} is not lower for right logits than for wrong ones"
