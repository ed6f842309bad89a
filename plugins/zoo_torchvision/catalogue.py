"""Write `catalogue.json` from the installed torchvision: `python -m zoo_torchvision.catalogue`.

Names, papers, evaluation presets, tags of weights and published parameter counts are copied from torchvision. The image
sizes that a model accepts, the rates that its builder takes, and the number of parameters are measured on models on the
meta device, which takes little memory and less than a minute.
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

from zoo_torchvision import published
from zoo_torchvision.build import build
from zoo_torchvision.plugin import RATES, TABLE

_LINK = re.compile(r"`([^`]+?)\s*<https?://(arxiv\.org/[^>]+)>`_")


def names() -> list[str]:
    """Return the names of all torchvision classifiers, sorted."""
    return list(models.list_models(module=models))


def table() -> dict[str, dict[str, Any]]:
    """Return the row of every classifier by name."""
    return {name: _row(name) for name in names()}


def text(rows: dict[str, dict[str, Any]]) -> str:
    """Return the table as JSON, one line per model."""
    lines = (f"{json.dumps(name)}: {json.dumps(row, ensure_ascii=False)}" for name, row in rows.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


@contextmanager
def without_storage() -> Iterator[None]:
    """Put the parameters of models that are built in this block on the meta device.

    `torch.device("meta")` does not work: the RegNets compute their widths with tensors.
    """
    # the return value replaces the parameter, although torch annotates the hook as returning None
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
            # A ViT has a fixed size. It is always passed, because torchvision's default for vit_h_14 is not the size
            # of its weights.
            build_args = {"img_size": size}
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
        "choices": _choices(name, size),
        "tags": list(published.tags(name)),
    }


def _choices(name: str, size: int) -> dict[str, Any]:
    """Return the other parameters that some weights of the model need, with their defaults."""
    needed = {choice for weights in published.tags(name).values() for choice in published.params(name, weights)}
    return {choice: {"img_size": size, "transform_input": False}[choice] for choice in sorted(needed)}


def _cited(name: str) -> tuple[str, str]:
    """Return title and URL of the paper that the docstring of the builder, or of another one in its module, links."""
    builder = models.get_model_builder(name)
    family = [builder, *(other for _, other in inspect.getmembers(inspect.getmodule(builder), inspect.isfunction))]
    title, address = next(link for function in family for link in _LINK.findall(inspect.getdoc(function) or ""))
    return " ".join(title.split()), f"https://{address}"


def _accepts(network: nn.Module, side: int) -> bool:
    try:
        with torch.no_grad():
            return tuple(network(torch.empty(1, 3, side, side, device="meta")).shape) == (1, 1000)
    except (RuntimeError, ValueError, AssertionError):
        return False


def _smallest(network: nn.Module, published: int) -> int:
    """Return the smallest side that runs: the published one if one pixel less fails, else the result of bisection."""
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
    """Return the rates that the builder passes on to the model class, with their defaults."""
    defaults = _arguments(name, kind)
    probe = 0.625
    return {
        rate: float(defaults[rate])
        for rate in RATES
        if rate in defaults and _arguments(name, kind, **{rate: probe}).get(rate) == probe
    }


def _arguments(name: str, kind: type[nn.Module], **params: float) -> dict[str, Any]:
    """Return the arguments that the builder passes to the class, with defaults; empty if it refuses `params`."""
    original = kind.__init__
    signature = inspect.signature(original)

    def receive(self: nn.Module, *args: Any, **kwargs: Any) -> None:
        bound = signature.bind(self, *args, **kwargs)
        bound.apply_defaults()
        raise _Received(bound.arguments)

    kind.__init__ = receive  # type: ignore[method-assign]
    try:
        models.get_model(name, weights=None, **params)
    except _Received as received:
        return dict(received.args[0])
    except TypeError:  # the builder sets this argument itself
        return {}
    finally:
        kind.__init__ = original  # type: ignore[method-assign]
    return {}


if __name__ == "__main__":
    TABLE.write_text(text(table()), encoding="utf-8")
