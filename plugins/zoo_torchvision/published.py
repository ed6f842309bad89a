"""What torchvision publishes of its weights: tags, address, classes, preprocessing, metrics, licence."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from torchvision import models
from torchvision.models import WeightsEnum

from zoo import Preprocess
from zoo.contract.pretrained import Metric

IMAGES = {"ImageNet-1K": 50_000}  # in the validation split that torchvision evaluates on
NAMES = {"acc@1": "top1", "acc@5": "top5"}
NO_LICENCE = "not stated; see https://github.com/pytorch/vision#pre-trained-model-license"
_HASH = re.compile(r"-([0-9a-f]{8,64})\.pth")  # at the end of a file's name: the first digits of its SHA-256


def tags(name: str) -> dict[str, WeightsEnum]:
    """The weights of a model by tag, which is the name of torchvision's enum member in lower case.

    Weights that are features without classes (`VGG16_Weights.IMAGENET1K_FEATURES`) are left out.
    """
    members: Mapping[str, WeightsEnum] = models.get_model_weights(name).__members__
    return {
        member.lower(): weights
        for member, weights in members.items()
        if member != "DEFAULT" and weights.meta["categories"] is not None
    }


def file_name(weights: WeightsEnum) -> str:
    """The name of the file that torchvision publishes, such as `resnet50-11ad3fa6.pth`."""
    return urlsplit(str(weights.url)).path.rpartition("/")[2]


def hash_digits(weights: WeightsEnum) -> str:
    """The first digits of the SHA-256 of the file, from its name.

    Raises:
        ValueError: its name holds none.
    """
    match = _HASH.search(file_name(weights))
    if match is None:
        raise ValueError(f"the name of the file at {weights.url} holds no hash")
    return match[1]


def params(name: str, weights: WeightsEnum) -> dict[str, Any]:
    """The parameters of `zoo_torchvision.build.build` that differ from its defaults for these weights."""
    changed: dict[str, Any] = {}
    if name in ("googlenet", "inception_v3"):
        changed["transform_input"] = True
    if name.startswith("vit_"):
        changed["img_size"] = weights.meta["min_size"][0]
    return changed


def preprocess(weights: WeightsEnum) -> Preprocess:
    """The preprocessing that torchvision evaluates these weights with.

    torchvision resizes the shorter side and crops the centre, with antialiasing, as zoo does.
    """
    preset = weights.transforms()
    side: int = preset.crop_size[0]
    return Preprocess(
        size=(side, side),
        mean=tuple(preset.mean),
        std=tuple(preset.std),
        shorter_side=preset.resize_size[0],
        interpolation=preset.interpolation.value,
    )


def metrics(weights: WeightsEnum) -> tuple[Metric, ...]:
    """Top-1 and top-5 accuracy as torchvision states them, as fractions."""
    return tuple(
        Metric(name=NAMES[key], value=round(value / 100, 6), dataset=dataset, split="val", n=IMAGES[dataset])
        for dataset, values in weights.meta["_metrics"].items()
        for key, value in values.items()
    )


def licence(weights: WeightsEnum) -> str:
    """The licence of the weights, or where torchvision writes about it."""
    return str(weights.meta.get("license", NO_LICENCE))


def size(weights: WeightsEnum) -> str:
    """The size of the file, such as `98 MiB`."""
    return f"{weights.meta['_file_size']:,.0f} MiB"
