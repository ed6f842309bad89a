"""All torchvision classifiers as specs, read from `catalogue.json`, without importing torchvision.

`python -m zoo_torchvision.catalogue` writes this table.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from zoo import Architecture, Param, Preprocess, hookimpl
from zoo.contract.specs import Spec

TABLE = Path(__file__).with_name("catalogue.json")

# The arguments of torchvision's model classes that users can set. Each is a probability from 0 to 1.
RATES = {
    "dropout": "probability of zeroing a feature while training",
    "attention_dropout": "probability of zeroing an attention weight while training",
    "mlp_dropout": "probability of zeroing a feature inside an MLP while training",
    "drop_rate": "probability of zeroing a feature of a dense layer's output while training",
    "stochastic_depth_prob": "probability of skipping the last block while training; less for earlier blocks",
}

# Other arguments that some of torchvision's weights need.
CHOICES = {
    "img_size": "height and width of the images that it is built for",
    "transform_input": "normalise images as Inception's authors do, instead of with ImageNet's mean and std",
}


@hookimpl
def zoo_specs() -> Iterable[Spec]:
    """One `Architecture` for each torchvision classifier."""
    for name, row in json.loads(TABLE.read_text(encoding="utf-8")).items():
        yield _spec(name, row)


def _spec(name: str, row: Mapping[str, Any]) -> Architecture:
    size: int = row["size"]
    return Architecture(
        name=name,
        summary=_summary(row),
        build="zoo_torchvision.build:build",
        build_args={"name": name, **row["build_args"]},
        input_shape=(3, size, size),
        sizes=tuple(row["sizes"]),
        min_size=row["min_size"],
        params={
            **{rate: Param(default=default, summary=RATES[rate]) for rate, default in row["rates"].items()},
            **{name: Param(default=default, summary=CHOICES[name]) for name, default in row["choices"].items()},
        },
        preprocess=Preprocess(
            size=(size, size),
            mean=tuple(row["mean"]),
            std=tuple(row["std"]),
            shorter_side=row["shorter_side"],
            interpolation=row["interpolation"],
        ),
        parameters=row["parameters"],
        paper=row["paper"],
        pretrained=tuple(row["tags"]),
        fetch="zoo_torchvision.fetch:fetch",
    )


def _summary(row: Mapping[str, Any]) -> str:
    text = f"{row['title']} (torchvision)"
    if row["parameters"] == row["published_parameters"]:
        return text
    return f"{text}; without the auxiliary head ({row['published_parameters']:,} parameters with it)"
