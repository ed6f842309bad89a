"""`zoo.create_model` and `zoo.load`: from a name to a module, or to a model with its card."""

import warnings
from collections.abc import Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from torch import nn

from zoo.api.installed import registry_of
from zoo.contract.errors import ExportError, UnknownName, UsageError
from zoo.contract.names import close_names
from zoo.contract.params import check_params
from zoo.contract.specs import Architecture
from zoo.data.fitting import IMG_SIZE, InputOverrides, chosen_size, default_preprocess, params_for_size
from zoo.files.card import read_card
from zoo.files.regular import is_folder
from zoo.files.weights import Weights, load_into, load_weights
from zoo.models.arguments import check_bool, check_integer
from zoo.models.build import build_model
from zoo.models.exported import ArtifactOptions, OpenedExport
from zoo.models.load import Model, open_model
from zoo.models.stored.identity import architecture_of, stored_weights
from zoo.models.stored.pretrained import locate_weights
from zoo.registry.calls import call_of
from zoo.registry.model_kind import ModelKind, model_kind
from zoo.registry.registry import Registry
from zoo.training.optim.head import head_names


def load(
    model: str | PathLike[str],
    *,
    expect_digest: str | None = None,
    trust: bool = False,
    download: bool = False,
    registry: Registry | None = None,
) -> Model:
    """Load stored weights: the module on the CPU in evaluation mode, with its card, labels and preprocessing.

    Nothing is unpickled. The file's structure, card, digest, and every tensor's name, shape and dtype are checked.
    An export folder gives a model that runs its artifact.

    Args:
        model: `ARCH.TAG`, such as `lenet5.digits`, or the path of a weights file; a folder in timm's layout, as it is
            or as `local-dir:FOLDER`; a repository of the Hugging Face Hub, `hf-hub:OWNER/NAME`, which `zoo pull` or
            `download` brings here; or the path of an export folder or of an artifact in one.
        trust: run an artifact in this process; by default it is run in a process of its own, with limits.
        expect_digest: the digest that the weights file has (`zoo weights verify` shows it) or the export folder
            (`zoo verify` shows it); by default any.
        download: download weights that a plugin provides, such as `resnet50.imagenet1k_v2`, if they are not on this
            machine.
        registry: of plugins; the installed ones by default.

    Raises:
        DifferenceError: the digest is another one than `expect_digest`.
        UnknownName: there are no such weights.
        UsageError: `model` is neither a name nor a path, or the name of an architecture, which has no trained weights.
        WeightsError: the file is damaged, does not fit the installed plugins, or would have to be downloaded.
        ExportError, DifferenceError: the folder is no export or a damaged one, or its artifact does not load.

    Example:
        >>> import zoo
        >>> model = zoo.load("lenet5.digits")  # doctest: +SKIP
        >>> model.predict("seven.png", top=1)  # doctest: +SKIP
        [Prediction(label='seven', index=7, probability=0.99...)]
    """
    if not isinstance(model, str | PathLike):
        raise UsageError(
            f"An object of type {type(model).__name__} is not the name of a model.", "Use an ARCH.TAG or a path."
        )
    registry, name, path = registry_of(registry), fspath(model), Path(model)
    kind = model_kind(registry, name)
    if kind is ModelKind.EXPORT:
        options = ArtifactOptions(expect_digest=expect_digest, trust=trust)
        opened: OpenedExport = call_of(registry, "predict")(registry, path, options)
        for text in opened.warnings:
            warnings.warn(text, stacklevel=2)
        return next(iter(opened.artifacts.values()))()
    if name and is_folder(path) and kind is not ModelKind.HUB_FOLDER:
        raise ExportError(
            f"{name} is a folder without a manifest.json, so it is no export, and without config.json and "
            "model.safetensors, so it is no model.",
            "Check the path.",
        )
    if not kind.stored:
        registry.find(Architecture, name)
        raise UsageError(
            f"{name!r} is the name of an architecture, not of weights.",
            f"Use an ARCH.TAG or a path; zoo.create_model({name!r}) builds it with fresh weights.",
        )
    return open_model(registry, name, expect_digest=expect_digest, download=download)


def create_model(
    model: str | PathLike[str],
    *,
    num_classes: int | None = None,
    in_channels: int | None = None,
    img_size: int | None = None,
    pretrained: bool = False,
    download: bool = False,
    seed: int = 0,
    registry: Registry | None = None,
    **params: Any,
) -> nn.Module:
    """Build a model: float32 images `[N, in_channels, H, W]` to logits `[N, num_classes]`. It is in training mode.

    Args:
        model: an architecture, such as `resnet18`; or `ARCH.TAG`, the path of a weights file, or a folder in timm's
            layout, whose weights are loaded.
        num_classes: the number of classes; by default that of the weights, or the architecture's. If it differs from
            that of the weights, the head (every tensor whose shape depends on it) is fresh and all else is loaded.
        in_channels: 1 or 3, or what else the architecture takes; by default that of the weights or the architecture.
        img_size: height and width of its images in pixels, which is checked against what the architecture takes.
        pretrained: load weights. The architecture must have exactly one weights file, or none and one tag that its
            plugin provides. If it has several, name one as `ARCH.TAG`.
        download: download weights that a plugin provides, if they are not on this machine.
        seed: of fresh weights. PyTorch's global generator is left as it was.
        registry: of plugins; the installed ones by default.
        params: parameters that the architecture declares; see `zoo show ARCH`. Weights fix them.

    Raises:
        UnknownName: there is no such architecture, parameter or weights file.
        NameConflict: several plugins provide that architecture.
        UsageError: an argument is not what the architecture or the weights take.
        WeightsError: the weights file is damaged, or would have to be downloaded.

    Example:
        >>> import zoo
        >>> net = zoo.create_model("lenet5", num_classes=7, in_channels=3)
        >>> net = zoo.create_model("lenet5.digits", num_classes=7)  # doctest: +SKIP
    """
    registry = registry_of(registry)
    if not isinstance(model, str | PathLike):
        raise UsageError(
            f"An object of type {type(model).__name__} is not the name of a model.",
            "Use an architecture, an ARCH.TAG or a path.",
        )
    model = fspath(model)
    check_integer("num_classes", num_classes, 1)
    check_integer("in_channels", in_channels, 1)
    check_integer("img_size", img_size, 1)
    check_integer("seed", seed, 0, 2**63)
    check_bool("pretrained", pretrained)
    check_bool("download", download)
    if pretrained and not model_kind(registry, model).stored:
        model = _only_weights(registry, model)
    if model_kind(registry, model).stored:
        path = locate_weights(registry, model, download=download)
        return _pretrained(registry, model, path, num_classes, in_channels, img_size, params, seed)
    entry = registry.find(Architecture, model)
    _check_names(entry.spec, params)
    img_size = chosen_size(entry.spec, img_size, check_params(entry.spec, params))
    side = default_preprocess(entry.spec, InputOverrides(img_size=img_size)).size[0]
    return build_model(
        entry,
        num_classes=entry.spec.num_classes if num_classes is None else num_classes,
        in_channels=entry.spec.input_shape[0] if in_channels is None else in_channels,
        params=params_for_size(entry.spec, params, side),
        seed=seed,
    )


def _pretrained(
    registry: Registry,
    name: str,
    path: Path,
    num_classes: int | None,
    in_channels: int | None,
    img_size: int | None,
    params: Mapping[str, Any],
    seed: int,
) -> nn.Module:
    card = read_card(path)[0]
    channels = card.preprocess.channels
    if in_channels not in (None, channels):
        raise UsageError(
            f"The weights {name} take images of {channels} {'channel' if channels == 1 else 'channels'}, "
            f"not {in_channels}.",
            "Leave in_channels out.",
        )
    _check_names(architecture_of(registry, card).spec, params)
    if params and dict(params) != dict(card.params):
        stored = ", ".join(f"{key}={value!r}" for key, value in card.params.items()) or "the defaults"
        raise UsageError(
            f"The weights {name} fix the parameters of {card.architecture}: {stored}.",
            f"Leave {', '.join(params)} out.",
        )
    side = card.preprocess.size[0]
    if img_size not in (None, side) and IMG_SIZE in architecture_of(registry, card).spec.params:
        raise UsageError(
            f"The weights {name} take images of {side} pixels a side, not {img_size}.", "Leave img_size out."
        )
    default_preprocess(architecture_of(registry, card).spec, InputOverrides(img_size=img_size))
    if num_classes in (None, len(card.classes)):
        return open_model(registry, str(path)).module.train()
    return _with_new_head(registry, path, num_classes, seed)


def _check_names(spec: Architecture, params: Mapping[str, Any]) -> None:
    """Refuse keyword arguments that are neither parameters of the architecture nor arguments of `create_model`."""
    own = ("num_classes", "in_channels", "img_size")
    for name in params:
        if name not in spec.params:
            close = close_names(name, [*own, *spec.params], n=1)
            raise UnknownName(
                f"The architecture {spec.name} has no parameter {name!r}.",
                f"Did you mean {close[0]}?" if close else f"It takes {', '.join((*own, *spec.params))}.",
            )


def _with_new_head(registry: Registry, path: Path, num_classes: int, seed: int) -> nn.Module:
    """A model of `num_classes` with fresh tensors where the shape depends on that number, and the file's elsewhere."""
    weights = load_weights(path)
    card, entry = weights.card, architecture_of(registry, weights.card)
    channels = card.preprocess.channels
    module = build_model(entry, num_classes=num_classes, in_channels=channels, params=card.params, seed=seed)
    head = head_names(entry, module, num_classes=num_classes, in_channels=channels, params=card.params)
    fresh = {name: value for name, value in module.state_dict().items() if name in head}
    kept = {name: value for name, value in weights.tensors.items() if name not in head}
    load_into(module, Weights(card, {**kept, **fresh}), path)
    return module


def _only_weights(registry: Registry, architecture: str) -> str:
    """The one `ARCH.TAG` there is of an architecture."""
    entry = registry.find(Architecture, architecture)
    names = stored_weights(registry, entry) or [f"{entry.spec.name}.{tag}" for tag in entry.spec.pretrained]
    if not names:
        raise UnknownName(
            f"There are no weights of the architecture {architecture}.",
            "zoo.list_models(pretrained=True) lists the available ones.",
        )
    if len(names) > 1:
        raise UsageError(
            f"The architecture {architecture} has {len(names)} sets of weights: {', '.join(names)}.",
            f"Name one of them instead, such as zoo.create_model({names[0]!r}).",
        )
    return names[0]
