"""The specs of timm's models, each made from a row of the index, without importing timm or torch."""

from collections.abc import Mapping
from functools import cache
from math import floor
from typing import Any

from zoo import Architecture, Param, Preprocess
from zoo_timm.index import read_index

COLLECTION = "timm"
BUILD = "zoo_timm.build:build"
FETCH = "zoo_timm.fetch:fetch"
REQUIRES = ("timm>=1.0",)
RATES = {
    "drop_rate": "dropout probability before the classifier",
    "drop_path_rate": "stochastic depth: probability of skipping the last block while training",
    "drop_block_rate": "DropBlock probability",
    "proj_drop_rate": "dropout probability after projections",
    "attn_drop_rate": "dropout probability of attention weights",
    "pos_drop_rate": "dropout probability after the position embedding",
    "patch_drop_rate": "probability of dropping a patch while training",
}


def names() -> list[str]:
    """The names of timm's models."""
    return list(_index()["models"])


def architecture(name: str) -> Architecture:
    """The spec `timm/NAME` of a model of timm."""
    index = _index()
    module, size, classes, parameters, how, declared, sizes, min_size, channels, tags = index["models"][name]
    return Architecture(
        name=f"{COLLECTION}/{name}",
        summary=f"{index['modules'][module]} (timm)",
        build=BUILD,
        build_args={"name": name},
        input_shape=(3, size, size),
        num_classes=classes,
        channels=tuple(channels),
        sizes=tuple(sizes),
        min_size=min_size,
        params=_params(index["params"][declared]),
        preprocess=preprocess_of(index["preprocess"][how]),
        parameters=parameters,
        requires=REQUIRES,
        pretrained=tuple(tags),
        fetch=FETCH if tags else "",
    )


def preprocess_of(config: Mapping[str, Any]) -> Preprocess:
    """The preprocessing that timm's data configuration means.

    Args:
        config: `input_size`, `mean`, `std`, `interpolation`, `crop_pct` and `crop_mode`, as
            `timm.data.resolve_model_data_config` returns them.

    Raises:
        ValueError: zoo cannot express it.
    """
    if config["crop_pct"] > 1:
        raise ValueError(f"a crop_pct of {config['crop_pct']}, above 1, puts black borders around images")
    height, width = config["input_size"][1:]
    mode = config["crop_mode"]
    side: int | None = floor(height / config["crop_pct"])
    if height != width and mode != "squash":
        raise ValueError(f"images of {height}×{width} pixels have the crop mode {mode}, which zoo has for squares only")
    if mode == "squash" and side == height == width:  # nothing is cropped
        side, mode = None, "center"
    return Preprocess(
        size=(height, width),
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        shorter_side=side,
        interpolation=config["interpolation"],
        crop_mode=mode,
    )


@cache
def _index() -> dict[str, Any]:
    return read_index()


def _params(declared: Mapping[str, Any]) -> dict[str, Param]:
    params = {rate: Param(default=default, summary=RATES[rate]) for rate, default in declared["rates"].items()}
    if pools := declared["pools"]:
        params["global_pool"] = Param(default=pools[0], choices=tuple(pools), summary="pooling before the classifier")
    if declared["img_size"]:
        params["img_size"] = Param(default=declared["img_size"], summary="image size that it is built for; --img-size")
    return params
