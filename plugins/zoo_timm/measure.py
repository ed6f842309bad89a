"""Measure what an architecture of timm accepts: image sizes, channels, and arguments of `timm.create_model`.

Models are built with parameters on the meta device, which take no memory, and run there: that checks shapes alone.
"""

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import timm
import torch
from timm.models import get_pretrained_cfg, model_entrypoint
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

RATES = (  # arguments of model classes; each is a probability
    "drop_rate",
    "drop_path_rate",
    "drop_block_rate",
    "proj_drop_rate",
    "attn_drop_rate",
    "pos_drop_rate",
    "patch_drop_rate",
)
POOLS = ("avg", "max", "avgmax", "catavgmax", "token", "map")
SIDES = (32, 64, 128, 224)
STEPS = tuple(range(32, 545, 32))  # sides that are tried where not every side is accepted
REFUSED = (RuntimeError, ValueError, AssertionError, TypeError, IndexError, KeyError, NotImplementedError)


def measure(name: str) -> dict[str, Any]:
    """The row of the architecture `name` in the index.

    Raises:
        RuntimeError: it cannot be built with timm's own defaults.
    """
    cfg = get_pretrained_cfg(name)
    if cfg is None:
        raise RuntimeError(f"{name} has no default configuration")
    classes = cfg.num_classes or 1000
    native = max(cfg.input_size[1:])
    square = {} if cfg.input_size[1] == cfg.input_size[2] else {"img_size": native}  # zoo's images are squares
    network = _on_meta(name, num_classes=classes, **square)
    defaults = _defaults(name, type(network))
    parts = tuple((part, type(module).__name__) for part, module in network.named_children())
    stride = (getattr(network, "feature_info", None) or [{}])[-1]
    stride = stride.get("reduction") if isinstance(stride, dict) else None
    key = (type(network), parts, stride, cfg.fixed_input_size, defaults.get("global_pool"), "img_size" in defaults)
    if key not in _alike:
        _alike[key] = _accepted(name, network, defaults, native, classes, fixed=cfg.fixed_input_size)
    alike = _alike[key]
    every = alike["min_size"] is not None
    return {
        "module": model_entrypoint(name).__module__.rpartition(".")[2],
        "size": native,
        "classes": classes,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        **alike,
        "sizes": [] if every else sorted({native, *alike["sizes"]}),
        "min_size": alike["min_size"] if every else native,
        "rates": {rate: float(defaults[rate] or 0) for rate in alike["rates"]},
    }


_alike: dict[object, dict[str, Any]] = {}  # what models of one class with the same parts accept, which is measured once


def _accepted(
    name: str, network: nn.Module, defaults: Mapping[str, Any], native: int, classes: int, *, fixed: bool
) -> dict[str, Any]:
    rates = [rate for rate in RATES if isinstance(defaults.get(rate), int | float)]
    sized = "img_size" in defaults
    larger = {"img_size": native + 32} if sized else {}
    at_once = _builds(name, in_chans=1, **dict.fromkeys(rates, 0.125), **larger)  # or else one by one
    runs = _accepts(network, native, classes)
    every = runs and not fixed and _accepts(network, native + 1, classes)
    return {
        "min_size": next((side for side in SIDES if _accepts(network, side, classes)), native) if every else None,
        "sizes": [side for side in STEPS if not (every or fixed) and _accepts(network, side, classes)],
        "runs_on_meta": runs,
        "sized": sized and (at_once or _builds(name, **larger)),
        "channels": [] if at_once or _builds(name, in_chans=1) else [3],
        "rates": [rate for rate in rates if at_once or _builds(name, **{rate: 0.125})],
        "pools": _pools(name, defaults.get("global_pool"), native, classes),
    }


@contextmanager
def without_storage() -> Iterator[None]:
    """Put the parameters of models that are built in this block on the meta device.

    `torch.device("meta")` does not work: several models compute widths and rates with tensors.
    """
    # the return value replaces the parameter, although torch annotates the hook as returning None
    hook = register_module_parameter_registration_hook(_to_meta)  # type: ignore[arg-type]
    try:
        yield
    finally:
        hook.remove()


def _to_meta(module: nn.Module, name: str, parameter: nn.Parameter | None) -> nn.Parameter | None:
    return None if parameter is None else nn.Parameter(parameter.detach().to("meta"), parameter.requires_grad)


def _on_meta(name: str, **arguments: Any) -> nn.Module:
    try:
        with without_storage():
            network: nn.Module = timm.create_model(name, pretrained=False, **arguments)
    except RuntimeError:  # it runs a part of itself while it is built: then all tensors must be on one device
        with torch.device("meta"):
            network = timm.create_model(name, pretrained=False, **arguments)
    return network.to("meta").eval()


def _builds(name: str, **arguments: Any) -> bool:
    try:
        _on_meta(name, **arguments)
    except REFUSED:
        return False
    return True


def _accepts(network: nn.Module, side: int, classes: int) -> bool:
    with suppress(*REFUSED), torch.no_grad():
        return tuple(network(torch.empty(1, 3, side, side, device="meta")).shape) == (1, classes)
    return False


class _Received(Exception):
    """Carries the arguments that reached a model class."""


def _defaults(name: str, kind: type[nn.Module], **arguments: Any) -> dict[str, Any]:
    """The arguments that reach the model class, with its defaults; empty if the builder refuses `arguments`."""
    original = kind.__init__
    signature = inspect.signature(original)

    def receive(self: nn.Module, *args: Any, **kwargs: Any) -> None:
        bound = signature.bind(self, *args, **kwargs)
        bound.apply_defaults()
        raise _Received({**bound.arguments, **bound.arguments.get("kwargs", {})})

    kind.__init__ = receive  # type: ignore[method-assign]
    try:
        timm.create_model(name, pretrained=False, **arguments)
    except _Received as received:
        return dict(received.args[0])
    except REFUSED:
        return {}
    finally:
        kind.__init__ = original  # type: ignore[method-assign]
    return {}


def _pools(name: str, default: Any, side: int, classes: int) -> list[str]:
    """The kinds of `global_pool` that give logits, the default first; empty if it is not to be chosen."""
    if default not in POOLS:
        return []
    others = []
    for pool in POOLS:
        with suppress(*REFUSED):
            if pool != default and _accepts(_on_meta(name, num_classes=classes, global_pool=pool), side, classes):
                others.append(pool)
    return [default, *others] if others else []
