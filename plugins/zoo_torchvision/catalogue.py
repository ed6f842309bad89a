"""Write `catalogue.json` from the installed torchvision: `python -m zoo_torchvision.catalogue`.

What torchvision states (names, papers, evaluation presets, published parameter counts) is copied. What it leaves
out or states loosely (the sizes a model accepts, the rates its builder takes, the parameters of what we build) is
measured on models without storage, so that the whole table needs little memory and less than a minute.
"""

import inspect
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torchvision import models

from zoo_torchvision.build import build
from zoo_torchvision.plugin import RATES, TABLE

_LINK = re.compile(r"`([^`]+?)\s*<https?://(arxiv\.org/[^>]+)>`_")


def names() -> list[str]:
    """Every classifier of torchvision, sorted."""
    return list(models.list_models(module=models))


def table() -> dict[str, dict[str, Any]]:
    """Name to row, for every classifier."""
    return {name: _row(name) for name in names()}


def text(rows: dict[str, dict[str, Any]]) -> str:
    """The JSON that is kept: one line a model."""
    lines = (f"{json.dumps(name)}: {json.dumps(row, ensure_ascii=False)}" for name, row in rows.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


@contextmanager
def without_storage() -> Iterator[None]:
    """Models built inside have their parameters on the meta device: exact shapes, no memory, no initialisation.

    `torch.device("meta")` would not do: the RegNets compute their widths with tensors.
    """
    # torch annotates this hook as returning nothing; what it returns takes the parameter's place.
    hook = register_module_parameter_registration_hook(_to_meta)  # type: ignore[arg-type]
    try:
        yield
    finally:
        hook.remove()


def _to_meta(module: nn.Module, name: str, parameter: nn.Parameter | None) -> nn.Parameter | None:
    return None if parameter is None else nn.Parameter(parameter.detach().to("meta"), parameter.requires_grad)


def _row(name: str) -> dict[str, Any]:
    weights = models.get_model_weights(name).DEFAULT
    preset = weights.transforms()
    size: int = preset.crop_size[0]
    title, paper = _cited(name)
    build_args: dict[str, Any] = {}
    with without_storage():
        network = build(name=name, num_classes=1000, in_channels=3)
        if hasattr(network, "image_size"):
            # A ViT fixes its size when it is built. All state it, because torchvision's own default for vit_h_14 is
            # not the size that its weights have.
            build_args = {"image_size": size}
            network = build(name=name, num_classes=1000, in_channels=3, **build_args)
    network.to("meta").eval()
    fixed = not _accepts(network, size + 32)
    return {
        "title": title,
        "paper": paper,
        "size": size,
        "shorter_side": preset.resize_size[0],
        "interpolation": preset.interpolation.value,
        "mean": preset.mean,
        "std": preset.std,
        "sizes": [size] if fixed else [],
        "min_size": size if fixed else _smallest(network, weights.meta["min_size"][0]),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "published_parameters": weights.meta["num_params"],
        "build_args": build_args,
        "rates": _rates(name, type(network)),
    }


def _cited(name: str) -> tuple[str, str]:
    """Title and address of the paper that the builder's documentation links, or else another of its family."""
    builder = models.get_model_builder(name)
    family = [builder, *(other for _, other in inspect.getmembers(inspect.getmodule(builder), inspect.isfunction))]
    found = next(link for function in family for link in _LINK.findall(inspect.getdoc(function) or ""))
    return " ".join(found[0].split()), f"https://{found[1]}"


def _accepts(network: nn.Module, side: int) -> bool:
    try:
        with torch.no_grad():
            return tuple(network(torch.empty(1, 3, side, side, device="meta")).shape) == (1, 1000)
    except (RuntimeError, ValueError, AssertionError):
        return False


def _smallest(network: nn.Module, published: int) -> int:
    """The smallest side that runs. The published figure is kept where one pixel less fails, as most do."""
    if published == 1 or not _accepts(network, published - 1):
        return published
    refused, accepted = 0, published - 1
    while accepted - refused > 1:
        middle = (refused + accepted) // 2
        refused, accepted = (refused, middle) if _accepts(network, middle) else (middle, accepted)
    return accepted


class _Received(Exception):
    """Carries the arguments that reached a model class."""


def _rates(name: str, kind: type[nn.Module]) -> dict[str, float]:
    """The rates that reach the model's class when they are given to its builder, with their defaults."""
    defaults = _arguments(name, kind)
    probe = 0.625
    return {
        rate: float(defaults[rate])
        for rate in RATES
        if rate in defaults and _arguments(name, kind, **{rate: probe}).get(rate) == probe
    }


def _arguments(name: str, kind: type[nn.Module], **given: float) -> dict[str, Any]:
    """What the builder passes to the class, defaults included; empty where the builder refuses what is given."""
    original = kind.__init__
    signature = inspect.signature(original)

    def receive(self: nn.Module, *args: Any, **kwargs: Any) -> None:
        bound = signature.bind(self, *args, **kwargs)
        bound.apply_defaults()
        raise _Received(bound.arguments)

    kind.__init__ = receive  # type: ignore[method-assign]
    try:
        models.get_model(name, weights=None, **given)
    except _Received as received:
        return dict(received.args[0])
    except TypeError:  # the builder sets this one itself
        return {}
    finally:
        kind.__init__ = original  # type: ignore[method-assign]
    return {}


if __name__ == "__main__":
    TABLE.write_text(text(table()), encoding="utf-8")
