"""An export of a model that was trained on photographs turned as their EXIF orientation says."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import zoo
import zoo_runtime


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes that differ in which half is light. Half of the pictures are stored turned by 90°."""
    generator, exif = np.random.default_rng(0), Image.Exif()
    exif[0x0112] = 6
    for name, half in (("left", slice(0, 14)), ("top", slice(14, 28))):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(20):
            pixels = generator.integers(0, 60, (28, 28, 3), dtype=np.uint8)
            pixels[:, half] += 180
            path, image = tmp_path / "photos" / name / f"{number:02}.png", Image.fromarray(pixels)
            if number % 2:
                image.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)
            else:
                image.save(path)
    return tmp_path / "photos"


def test_an_export_predicts_as_its_weights(run_zoo, folder, here) -> None:
    run = zoo.train("lenet5", data=folder, epochs=6, lr=0.003, device="cpu", crop=0)
    exported = run_zoo("export", str(run.weights), "-f", "onnx", "-o", "out")
    assert exported.code == 0, exported.err
    turned = folder / "top" / "01.png"
    assert zoo_runtime.Model("out").predict(turned, top=1)[0].label == "top"
    assert json.loads(Path("out/manifest.json").read_text())["preprocess"]["exif_orientation"] is True
    assert "EXIF" in Path("out/README.md").read_text()
    for model in (str(run.weights), "out"):
        ran = run_zoo("predict", model, str(folder), "--top", "1", "--json")
        labels = [(Path(one["image"]).parent.name, one["predictions"][0]["label"]) for one in json.loads(ran.out)]
        assert len(labels) == 40 and all(true == predicted for true, predicted in labels)
    measured = zoo.evaluate("out", data=folder, split="all", device="cpu")
    assert measured.top1 == 1.0
