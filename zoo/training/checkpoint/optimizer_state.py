"""Put the stored state of an optimizer back, after checking that it is the state of this optimizer."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


def load_optimizer(optimizer: Optimizer, prefix: str, values: Mapping[str, Any]) -> None:
    """Load the values whose names are `prefix`, the index of a parameter, a dot, and the name of the value.

    Raises:
        ValueError, IndexError, RuntimeError: they are not what the optimizer itself would have stored.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    entries: dict[int, dict[str, Any]] = {}
    for name, value in values.items():
        if name.startswith(prefix):
            index, _, key = name.removeprefix(prefix).partition(".")
            if not index.isdecimal() or int(index) >= len(parameters):
                raise ValueError(f"{name} belongs to no parameter")
            entries.setdefault(int(index), {})[key] = value
    expected = _entry_after_a_step(optimizer) if entries else {}
    for number, entry in entries.items():
        _check_entry(f"{prefix}{number}", entry, expected, parameters[number])
    content = {
        number: {key: _in_layout_of(parameters[number], value) for key, value in entry.items()}
        for number, entry in entries.items()
    }
    optimizer.load_state_dict({"state": content, "param_groups": optimizer.state_dict()["param_groups"]})


def _check_entry(name: str, entry: Mapping[str, Any], expected: Mapping[str, Any], parameter: Tensor) -> None:
    if set(entry) != set(expected):
        raise ValueError(f"{name} has the values {', '.join(sorted(entry))} instead of {', '.join(sorted(expected))}")
    for key, value in entry.items():
        like = expected[key]
        if isinstance(value, Tensor) != isinstance(like, Tensor):
            raise ValueError(f"{name}.{key} has another type")
        if isinstance(value, Tensor):
            shape = parameter.shape if like.ndim else like.shape
            if value.shape != shape or value.dtype != (parameter.dtype if like.ndim else like.dtype):
                raise ValueError(f"{name}.{key} has another shape or dtype")


def _entry_after_a_step(optimizer: Optimizer) -> dict[str, Any]:
    """What the same optimizer stores for a parameter: that of one of `[2, 2]`, after a step on the CPU."""
    parameter = nn.Parameter(torch.zeros(2, 2))
    parameter.grad = torch.zeros(2, 2)
    settings = {key: value for key, value in optimizer.param_groups[0].items() if key != "params"}
    other = object.__new__(type(optimizer))  # `copy.copy` would drop what a subclass keeps besides its groups
    other.__dict__.update(optimizer.__dict__)
    other.param_groups = [{**settings, "params": [parameter]}]
    other.state = defaultdict(dict)
    other.step()
    return dict(next(iter(other.state.values()), {}))


def _in_layout_of(parameter: Tensor, value: Any) -> Any:
    """`value` in the memory layout of `parameter`, as the optimizer itself would have created it."""
    if not isinstance(value, Tensor) or value.ndim == 0:
        return value
    return torch.empty_like(parameter.detach(), dtype=value.dtype).copy_(value)
