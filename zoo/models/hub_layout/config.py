"""`config.json` of timm's layout: the architecture, its labels, and how images are prepared.

Its keys are those of `timm.models._hub`: `architecture`, `num_classes`, `label_names`, `model_args` and
`pretrained_cfg`, which older files have at the top level. `exif_orientation` is zoo's own: timm ignores it at the top
level, and refuses keys that it does not know in `pretrained_cfg`.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast, get_args

from zoo.contract.preprocess import CropMode, Interpolation, Preprocess
from zoo.contract.reading import MAX_CLASSES, MAX_LABEL, Field, Malformed, fields, parse_json
from zoo.files.card import Card

PREFIX = "timm/"  # of the names of timm's architectures in zoo
ARCHITECTURE = "architecture"
EXIF_ORIENTATION = "exif_orientation"  # present where photographs are turned as their EXIF data says
DEFAULT_CROP = 0.875  # timm's own, where a file has none


@dataclass(frozen=True)
class HubConfig:
    """What zoo reads of a `config.json`.

    Args:
        architecture: as timm names it.
        labels: class names, in the order of the logits; numbers where the file has none.
        params: arguments of the architecture.
    """

    architecture: str
    labels: tuple[str, ...]
    preprocess: Preprocess
    params: Mapping[str, Any] = field(default_factory=dict)
    licence: str = ""


def read_config(content: bytes) -> HubConfig:
    """Read a `config.json`.

    Raises:
        Malformed: a `ValueError`: it is not such a file, or prepares images in a way that zoo does not know.
    """
    config = fields(parse_json(content), "")
    pretrained = config.get("pretrained_cfg") or config
    count = (config.get("num_classes") or pretrained["num_classes"]).integer(1, MAX_CLASSES)
    names = config.get("label_names") or pretrained.get("label_names") or pretrained.get("labels")
    params = _params(config.get("model_args"), count)
    licence, turned = pretrained.get("license"), config.get(EXIF_ORIENTATION)
    return HubConfig(
        config[ARCHITECTURE].text(200),
        _labels(names, count),
        replace(_preprocess(pretrained), exif_orientation=turned is not None and turned.boolean()),
        params,
        licence.text() if licence is not None and licence.value is not None else "",
    )


def config_json(card: Card) -> bytes:
    """The `config.json` of a model with this card, which timm loads where the architecture is its own."""
    how = card.preprocess
    config: dict[str, Any] = {
        ARCHITECTURE: card.architecture.removeprefix(PREFIX),
        "num_classes": len(card.classes),
        "label_names": list(card.classes),
        "pretrained_cfg": {
            "input_size": list(how.input_shape),
            "interpolation": how.interpolation,
            **_crop(how),
            "mean": list(how.mean),
            "std": list(how.std),
            "num_classes": len(card.classes),
            "custom_load": False,
            **({"license": card.licence} if card.licence else {}),
        },
    }
    if how.exif_orientation:
        config[EXIF_ORIENTATION] = True
    if card.params:
        config["model_args"] = dict(card.params)
    return (json.dumps(config, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _params(arguments: Field | None, count: int) -> dict[str, Any]:
    """The arguments of the model, without those that labels and preprocessing have already."""
    if arguments is None or arguments.value is None:
        return {}
    params = {key: each.plain() for key, each in arguments.entries().items()}
    if params.pop("num_classes", count) != count:
        raise Malformed(f"model_args has other num_classes than the {count} of the file")
    params.pop("in_chans", None)
    size = params.get("img_size")
    if isinstance(size, list) and len(set(size)) == 1:  # zoo's images are square
        params["img_size"] = size[0]
    return params


def _labels(names: Field | None, count: int) -> tuple[str, ...]:
    if names is None or names.value is None:
        return tuple(str(index) for index in range(count))
    if isinstance(names.value, Mapping):  # from index to name
        named = names.entries(0, MAX_CLASSES)
        return tuple(named[str(index)].text(MAX_LABEL) if str(index) in named else str(index) for index in range(count))
    return tuple(each.text(MAX_LABEL) for each in names.items(count, count))


def _preprocess(config: Field) -> Preprocess:
    channels, height, width = (side.integer(1) for side in config["input_size"].items(3, 3))
    mean, std = (tuple(value.number() for value in config[key].items(1, 3)) for key in ("mean", "std"))
    interpolation = config["interpolation"].choice(get_args(Interpolation))
    mode = config.get("crop_mode")
    crop_mode = "center" if mode is None else mode.choice(get_args(CropMode))
    crop = DEFAULT_CROP if config.get("crop_pct") is None else config["crop_pct"].number()
    if not 0 < crop <= 1:
        raise Malformed(f"crop_pct is {crop}, not a fraction above 0")
    if len(mean) != channels or len(std) != channels:
        raise Malformed(f"mean and std have {len(mean)} and {len(std)} numbers for {channels} channels")
    shorter_side: int | None = math.floor(height / crop)
    if crop_mode == "squash" and crop == 1:  # which is zoo's way without a shorter side, for any shape
        shorter_side, crop_mode = None, "center"
    elif height != width:
        raise Malformed(f"crop_mode {crop_mode} with crop_pct {crop} and size {height} × {width} is not one of zoo's")
    try:
        return Preprocess(
            size=(height, width),
            mean=mean,
            std=std,
            shorter_side=shorter_side,
            interpolation=cast(Interpolation, interpolation),
            crop_mode=cast(CropMode, crop_mode),
        )
    except ValueError as error:
        raise Malformed(str(error)) from None


def _crop(how: Preprocess) -> dict[str, Any]:
    """`crop_pct` and `crop_mode`, so that timm's `floor(size / crop_pct)` is the shorter side."""
    if how.shorter_side is None:
        return {"crop_pct": 1.0, "crop_mode": "squash"}
    side, crop = how.size[0], how.size[0] / how.shorter_side
    if math.floor(side / crop) != how.shorter_side:  # rounded down
        crop = side / (how.shorter_side + 0.5)
    return {"crop_pct": crop, "crop_mode": how.crop_mode}
