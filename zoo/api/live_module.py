"""A model from a live `nn.Module` that no plugin declares: its card is made from arguments and from its own output."""

import copy
from collections.abc import Collection, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from typing import SupportsIndex

import torch
from torch import Tensor, nn

from zoo.contract.errors import ExportError, UsageError
from zoo.contract.preprocess import Preprocess
from zoo.evaluation.attributes import keep_attributes
from zoo.files.card import Card
from zoo.files.weights import module_digest
from zoo.models.forward import explain_model_errors
from zoo.models.load import Model


def model_of(
    module: nn.Module,
    *,
    input_shape: tuple[int, int, int] | None = None,
    labels: Sequence[str] | None = None,
    preprocess: Preprocess | None = None,
    name: str | None = None,
) -> Model:
    """A model of `module` as it is now. The module itself is not changed, and its training mode is kept.

    Args:
        module: float32 images `[N, C, H, W]` to logits `[N, K]`.
        input_shape: `(C, H, W)`, with C 1 or 3; needed if `preprocess` does not say.
        labels: K class names; by default `0` to `K-1`.
        preprocess: how images become its input; by default they are stretched to H by W and divided by 255.
        name: of the model; by default the name of its class.

    Raises:
        UsageError: the arguments do not fit each other, or the module.
        ExportError: the module's parameters are not float32 or hold no values, or it raises on an image of that shape.
    """
    if preprocess is not None and not isinstance(preprocess, Preprocess):
        raise UsageError(f"preprocess is a {type(preprocess).__name__}.", "Pass a zoo.Preprocess.")
    if preprocess is None:
        preprocess = _default_preprocess(input_shape)
    elif input_shape not in (None, preprocess.input_shape):
        raise UsageError(
            f"input_shape={input_shape} is not the shape {preprocess.input_shape} that preprocess gives.",
            "Leave input_shape out, or correct one of them.",
        )
    on_cpu = _evaluated_on_cpu(module)
    classes = _classes(on_cpu, preprocess, labels)
    package = type(module).__module__.partition(".")[0]
    distribution, release = _distribution(package)
    title = name or type(module).__name__
    card = Card(
        architecture=type(module).__name__,
        plugin=distribution,
        plugin_version=release,
        classes=classes,
        preprocess=preprocess,
        digest=module_digest(on_cpu),
    )
    return Model(title, on_cpu, card)


def _default_preprocess(input_shape: tuple[int, int, int] | None) -> Preprocess:
    if input_shape is None:
        raise UsageError(
            "The input shape of an nn.Module is not known.", "Pass input_shape=(channels, height, width) or preprocess."
        )
    integers = isinstance(input_shape, Sequence) and all(isinstance(each, SupportsIndex) for each in input_shape)
    if not integers or len(input_shape) != 3 or input_shape[0] not in (1, 3):
        raise UsageError(
            f"input_shape={input_shape} is not that of an image.",
            "Use (channels, height, width), with 1 or 3 channels.",
        )
    channels, height, width = input_shape
    try:
        return Preprocess(size=(height, width), mean=(0.0,) * channels, std=(1.0,) * channels)
    except ValueError as error:
        raise UsageError(f"input_shape={input_shape} cannot be used: {error}.", "Correct it.") from None


def _evaluated_on_cpu(module: nn.Module) -> nn.Module:
    """The module itself if it is on the CPU and in evaluation mode, else such a copy."""
    tensors = module.state_dict().values()
    if any(value.is_meta for value in tensors):
        raise ExportError(
            f"The {type(module).__name__} has parameters on the device meta, which hold no values.",
            "Load its weights first.",
        )
    if any(value.is_floating_point() and value.dtype != torch.float32 for value in tensors):
        raise ExportError(
            f"The {type(module).__name__} has parameters that are not float32.",
            "Pass module.float(); precision='fp16' makes a float16 export from it.",
        )
    if not any(each.training for each in module.modules()) and all(value.device.type == "cpu" for value in tensors):
        return module
    return copy.deepcopy(module).cpu().eval()


@torch.inference_mode()
def _classes(module: nn.Module, preprocess: Preprocess, labels: Sequence[str] | None) -> tuple[str, ...]:
    explained = explain_model_errors(torch.device("cpu"), f"The {type(module).__name__}", ExportError)
    with keep_attributes(module), explained:
        logits = module(torch.zeros(2, *preprocess.input_shape))
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != 2 or not logits.is_floating_point():
        what = f"a tensor {tuple(logits.shape)}" if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
        raise UsageError(
            f"The {type(module).__name__} returns {what} for 2 images, not logits (2, classes).",
            "Wrap it in a module that returns the logits alone.",
        )
    count = logits.shape[1]
    if labels is None:
        return tuple(str(index) for index in range(count))
    if isinstance(labels, str):
        raise UsageError(f"labels={labels!r} is a text, not a list of names.", "Pass one label for each logit.")
    if not isinstance(labels, Collection):
        raise UsageError(f"labels={labels!r:.80} is not a list of names.", "Pass one label for each logit.")
    if len(labels) != count:
        raise UsageError(f"{len(labels)} labels do not fit {count} logits.", "Pass one label for each logit.")
    return tuple(map(str, labels))


def _distribution(package: str) -> tuple[str, str]:
    """The distribution that provides a top-level package, and its version; empty if none does."""
    names = _distributions().get(package, [])
    try:
        return (names[0], version(names[0])) if names else ("", "")
    except PackageNotFoundError:
        return "", ""


@cache
def _distributions() -> dict[str, list[str]]:
    return dict(packages_distributions())
