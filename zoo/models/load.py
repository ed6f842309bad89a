"""From an `ARCH.TAG`, a path or an architecture to a model: its module, its card, and where it came from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from zoo.contract.errors import UnknownName, UsageError, WeightsError
from zoo.contract.params import check_params
from zoo.contract.prediction import Prediction
from zoo.contract.preprocess import Preprocess
from zoo.contract.reading import MAX_CLASSES
from zoo.contract.specs import Architecture
from zoo.data.fitting import InputOverrides, chosen_size, default_preprocess, params_for_size
from zoo.files.card import Card
from zoo.files.folders import name_of_weights
from zoo.files.regular import kind_of
from zoo.files.weights import load_into, load_weights
from zoo.models.build import build_model
from zoo.models.forward import check_logits, explain_model_errors
from zoo.models.predict import ImageLike, predict
from zoo.models.stored.identity import architecture_of
from zoo.models.stored.pretrained import locate_weights
from zoo.registry.exports import refuse_missing_artifact
from zoo.registry.hub.folders import WEIGHTS
from zoo.registry.model_kind import model_kind
from zoo.registry.registry import Registry


@dataclass
class Model:
    """A model in evaluation mode, with everything that is known of it.

    Args:
        name: `ARCH.TAG` of a weights file, or the name of the architecture or class that it was built from.
        module: float32 images `[N, C, H, W]`, normalised, to logits `[N, K]`.
        card: its architecture, classes, preprocessing and, if it was trained, how.
        path: of the weights file; `None` if the weights came from none.
        fresh: whether the weights are random.
    """

    name: str
    module: nn.Module
    card: Card
    path: Path | None = None
    fresh: bool = False

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names, in the order of the logits."""
        return self.card.classes

    @property
    def preprocess(self) -> Preprocess:
        """How an image becomes the module's input."""
        return self.card.preprocess

    @overload
    def predict(self, images: ImageLike, top: int = 5) -> list[Prediction]: ...  # type: ignore[overload-overlap]
    @overload
    def predict(self, images: Sequence[ImageLike], top: int = 5) -> list[list[Prediction]]: ...
    def predict(
        self, images: ImageLike | Sequence[ImageLike], top: int = 5
    ) -> list[Prediction] | list[list[Prediction]]:
        """Classify an image, or several.

        Args:
            images: a path, a PIL image, a uint8 array `[H, W]` or `[H, W, 3]`; or a sequence of these.
            top: the number of classes for each image.

        Returns:
            The likeliest classes, likeliest first; for a sequence, such a list for each image.

        Raises:
            UsageError, DataError: something among `images` is no image, or cannot be read.
            PluginError, WeightsError: the module raises, or its logits are not finite.

        Example:
            >>> model.predict("photo.jpg", top=3)[0].label  # doctest: +SKIP
            'Shirt'
        """
        if isinstance(images, str | PathLike | Image.Image | np.ndarray):
            return predict(self._logits, [images], self.preprocess, self.labels, top)[0]
        if isinstance(images, bytes | bytearray) or not isinstance(images, Iterable):
            images = [images]  # which `predict` refuses, by its type
        return predict(self._logits, list(images), self.preprocess, self.labels, top)

    @torch.inference_mode()
    def _logits(self, batch: Tensor) -> Tensor:
        """Logits `[N, K]` on the CPU of float32 images `[N, C, H, W]`, wherever the module is."""
        device = next((value.device for value in self.module.state_dict().values()), torch.device("cpu"))
        training = self.module.training
        self.module.eval()
        try:
            with explain_model_errors(device):
                return check_logits(self.module(batch.to(device)), len(batch), len(self.labels)).cpu()
        finally:
            self.module.train(training)


@dataclass(frozen=True, kw_only=True)
class BuildArgs:
    """How an architecture is built with fresh weights; `None` takes the default of its spec.

    Args:
        img_size: height and width in pixels.
        params: keyword arguments that the spec declares.
    """

    num_classes: int | None = None
    channels: int | None = None
    img_size: int | None = None
    params: Mapping[str, Any] | None = None


def open_model(
    registry: Registry,
    name: str,
    fresh: BuildArgs | None = None,
    expect_digest: str | None = None,
    *,
    download: bool = False,
) -> Model:
    """Open an `ARCH.TAG`, a path to a weights file, a hub folder, or an architecture with fresh weights of seed 0.

    Args:
        fresh: how to build an architecture; a weights file decides all of it.
        expect_digest: the digest of the weights file, as `zoo weights verify` shows it.
        download: download weights that a plugin provides, if they are not on this machine.

    Raises:
        ZooError: nothing has that name, or the file is damaged.
        DifferenceError: the digest is another.
        UsageError: `fresh` is not empty and `name` is a weights file, or a digest is expected of an architecture.
    """
    if model_kind(registry, name).stored:
        if fresh is not None and fresh != BuildArgs():
            raise UsageError(
                f"{name} is a weights file, which fixes the classes, channels, image size and parameters.",
                "Leave those options out, or name an architecture.",
            )
        try:
            path = locate_weights(registry, name, download=download)
        except UnknownName:
            refuse_missing_artifact(registry, name)
            raise
        return _from_file(registry, path, expect_digest)
    if expect_digest is not None:
        raise UsageError(
            f"{name} is an architecture, whose weights are fresh and have no digest.",
            "Leave the expected digest out, or name a weights file.",
        )
    return _fresh(registry, name, fresh or BuildArgs())


def _from_file(registry: Registry, path: Path, expect_digest: str | None) -> Model:
    weights = load_weights(path, expect_digest)
    card = weights.card
    made = f"It was made with {card.plugin} {card.plugin_version}: install that if you trust it, or train again."
    try:
        entry = architecture_of(registry, card)
        module = build_model(
            entry, num_classes=len(card.classes), in_channels=card.preprocess.channels, params=card.params
        ).eval()
    except (UsageError, UnknownName) as error:  # about the card, not about what the user typed
        raise WeightsError(f"{path} does not fit the installed plugins: {error.cause}", made) from None
    load_into(module, weights, path)
    name = path.absolute().parent.name if path.name == WEIGHTS else name_of_weights(path, card.architecture)
    return Model(name, module, card, path)


def _fresh(registry: Registry, name: str, fresh: BuildArgs) -> Model:
    try:
        entry = registry.find(Architecture, name)
    except UnknownName:
        if kind := kind_of(name):
            raise WeightsError(f"{name} is {kind}, not a model.", "Name an ARCH.TAG, or a weights file.") from None
        raise
    num_classes = entry.spec.num_classes if fresh.num_classes is None else fresh.num_classes
    if not 1 <= num_classes <= MAX_CLASSES:
        raise UsageError(f"A model cannot have {num_classes} classes.", f"Use 1 to {MAX_CLASSES:,}.")
    params = check_params(entry.spec, fresh.params or {})
    img_size = chosen_size(entry.spec, fresh.img_size, params)
    preprocess = default_preprocess(entry.spec, InputOverrides(img_size=img_size, channels=fresh.channels))
    params = params_for_size(entry.spec, params, preprocess.size[0])
    module = build_model(entry, num_classes=num_classes, in_channels=preprocess.channels, params=params).eval()
    card = Card(
        architecture=entry.spec.name,
        plugin=entry.plugin.distribution,
        entry_point=entry.plugin.name,
        plugin_version=entry.plugin.version,
        params=params,
        classes=tuple(str(index) for index in range(num_classes)),
        preprocess=preprocess,
    )
    return Model(entry.spec.name, module, card, fresh=True)
