"""Check an architecture: build, forward, backward, save and load."""

from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import nn

from zoo.contract.specs import Architecture
from zoo.data.fitting import InputOverrides, default_preprocess
from zoo.files.card import Card
from zoo.files.weights import load_into, load_weights, save_weights
from zoo.models.build import build_model
from zoo.registry.discovery import discover
from zoo.registry.registry import Entry, Registry

CLASSES = 3


def check_architecture(name: str, registry: Registry | None = None) -> None:
    """Check the architecture `name` at its own input size, with 3 classes and each number of channels it accepts.

    Raises:
        AssertionError: the output is not float32 logits `[N, 3]`; the logits of an image depend on its batch in
            evaluation mode; a parameter has no finite gradient; two builds with one seed differ; `build` has other
            defaults than the spec declares; or the number of parameters is not the declared one.
        ZooError: it cannot be built, saved or loaded.
    """
    registry = registry or Registry(discover())
    entry = registry.find(Architecture, name)
    spec = entry.spec
    for channels in [count for count in (1, 3) if not spec.channels or count in spec.channels]:
        module = build_model(entry, num_classes=CLASSES, in_channels=channels)
        again = build_model(entry, num_classes=CLASSES, in_channels=channels)
        for (key, one), other in zip(module.state_dict().items(), again.state_dict().values(), strict=True):
            assert torch.equal(one, other), f"{name}: {key} differs between two builds with the same seed"
        _check_defaults(name, entry, module, channels)
        preprocess = default_preprocess(spec, InputOverrides(channels=channels))
        images = torch.randn(3, *preprocess.input_shape, generator=torch.Generator().manual_seed(0))
        _check_logits(name, module.eval(), images)
        _check_gradients(name, module.train(), images)
        card = Card(
            architecture=name,
            plugin=entry.plugin.distribution,
            entry_point=entry.plugin.name,
            plugin_version=entry.plugin.version,
            classes=("a", "b", "c"),
            preprocess=preprocess,
        )
        _check_storage(module, again, card)
    if spec.parameters is not None:
        own = build_model(entry, num_classes=spec.num_classes, in_channels=spec.input_shape[0])
        count = sum(parameter.numel() for parameter in own.parameters())
        assert count == spec.parameters, f"{name} has {count:,} parameters, but declares {spec.parameters:,}"


def _check_defaults(name: str, entry: Entry[Architecture], module: nn.Module, channels: int) -> None:
    """zoo passes only the parameters that a user sets: the defaults of `build` must be the declared ones."""
    own = module.state_dict()
    for key, param in entry.spec.params.items():
        params = {key: param.default}
        explicit = build_model(entry, num_classes=CLASSES, in_channels=channels, params=params)
        tensors = explicit.state_dict()
        same = repr(module) == repr(explicit) and own.keys() == tensors.keys()
        assert same and all(torch.equal(own[tensor], tensors[tensor]) for tensor in own), (
            f"{name}: {key} is {param.default!r} by default in the spec, and something else in {entry.spec.build}"
        )


def _check_logits(name: str, module: nn.Module, images: torch.Tensor) -> None:
    with torch.inference_mode():
        logits, first = module(images), module(images[:1])
    assert isinstance(logits, torch.Tensor), f"{name} returns a {type(logits).__name__}, not a tensor"
    assert logits.dtype == torch.float32, f"{name} returns {logits.dtype}, not float32"
    assert tuple(logits.shape) == (3, CLASSES), f"{name} returns the shape {tuple(logits.shape)}, not {(3, CLASSES)}"
    assert bool(torch.isfinite(logits).all()), f"{name} returns logits that are not finite"
    scale = float(logits.abs().max())
    assert torch.allclose(logits[:1], first, rtol=1e-3, atol=1e-3 * scale), (
        f"{name}: the logits of an image depend on the other images of its batch in evaluation mode"
    )


def _check_gradients(name: str, module: nn.Module, images: torch.Tensor) -> None:
    nn.functional.cross_entropy(module(images), torch.tensor([0, 1, 2])).backward()  # type: ignore[no-untyped-call]
    for key, parameter in module.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, f"{name}: the parameter {key} has no gradient"
            assert bool(torch.isfinite(parameter.grad).all()), f"{name}: the gradient of {key} is not finite"


def _check_storage(module: nn.Module, fresh: nn.Module, card: Card) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "model.safetensors")
        save_weights(path, module.state_dict(), card)
        load_into(fresh, load_weights(path), path)
