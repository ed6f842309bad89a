"""The EXIF orientation of photographs: applied where the preprocessing says so, and recorded with the weights."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

import zoo
import zoo_runtime
from zoo.contract.preprocess import Preprocess
from zoo.data.fingerprint import geometry
from zoo.data.images import fit_image, open_image, upright
from zoo.files.card import read_card

PREPROCESS = Preprocess(size=(8, 8), mean=(0.5,) * 3, std=(0.5,) * 3, exif_orientation=True)
ORIENTATION = 0x0112


def stored_turned(image: Image.Image, orientation: int) -> bytes:
    """A PNG whose pixels are turned so that `orientation` makes it upright again."""
    back = {2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}.get(orientation, 1)
    exif = Image.Exif()
    exif[ORIENTATION] = back
    turned = image.copy()
    turned.info["exif"] = exif.tobytes()
    pixels = ImageOps.exif_transpose(turned)
    exif[ORIENTATION] = orientation
    file = io.BytesIO()
    pixels.save(file, "PNG", exif=exif.tobytes())
    return file.getvalue()


@pytest.fixture
def photo() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_becomes_upright(photo: Image.Image, tmp_path: Path, orientation: int) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(stored_turned(photo, orientation))
    image = open_image(path)
    assert np.array_equal(np.asarray(upright(image)), np.asarray(photo))
    assert np.array_equal(fit_image(image, PREPROCESS), fit_image(photo, PREPROCESS))
    as_stored = fit_image(image, Preprocess(size=(8, 8), mean=(0.5,) * 3, std=(0.5,) * 3))
    assert np.array_equal(as_stored, fit_image(photo, PREPROCESS)) == (orientation == 1)
    assert np.array_equal(zoo_runtime.read_pixels(path, PREPROCESS.to_dict()), fit_image(photo, PREPROCESS))


@pytest.mark.parametrize("exif", [b"Exif\0\0not exif", b"Exif\0\0II*\0\xff\xff\xff\xff", b"\xff" * 40])
def test_damaged_exif_data_turn_nothing(photo: Image.Image, tmp_path: Path, exif: bytes) -> None:
    photo.save(tmp_path / "photo.jpg", exif=exif)
    image = open_image(tmp_path / "photo.jpg")
    assert upright(image).size == photo.size
    pixels = zoo_runtime.read_pixels(tmp_path / "photo.jpg", PREPROCESS.to_dict())
    assert np.array_equal(pixels, fit_image(image, PREPROCESS))


def test_the_preprocessing_records_it() -> None:
    data = PREPROCESS.to_dict()
    assert data["exif_orientation"] is True and Preprocess.from_dict(json.loads(json.dumps(data))) == PREPROCESS
    plain = Preprocess(size=(8, 8), mean=(0.5,) * 3, std=(0.5,) * 3)
    assert "exif_orientation" not in plain.to_dict() and Preprocess.from_dict(plain.to_dict()) == plain
    assert geometry(plain) != geometry(PREPROCESS)  # decoded images are cached apart
    with pytest.raises(ValueError, match="exif_orientation"):
        Preprocess.from_dict({**data, "exif_orientation": 1})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes that differ in which half of a picture is light; the second is stored turned by 90°."""
    generator = np.random.default_rng(0)
    for name, half in (("left", slice(0, 14)), ("top", slice(14, 28))):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(20):
            pixels = generator.integers(0, 60, (28, 28, 3), dtype=np.uint8)
            pixels[:, half] += 180
            content = stored_turned(Image.fromarray(pixels), 6 if number % 2 else 1)
            (tmp_path / "photos" / name / f"{number:02}.png").write_bytes(content)
    return tmp_path / "photos"


def test_runs_of_folders_turn_photographs(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    arguments: dict[str, Any] = {"data": folder, "epochs": 6, "lr": 0.003, "device": "cpu", "crop": 0}
    run = zoo.train("lenet5", **arguments)
    card, _ = read_card(run.weights)
    assert card.preprocess.exif_orientation and card.recipe["exif_orientation"] is True
    assert run.metrics["top1"] == 1.0
    model, turned = zoo.load(run.weights), folder / "left" / "01.png"
    assert model.predict(turned, top=1) == model.predict(upright(Image.open(turned)), top=1)
    assert model.predict(turned, top=1)[0].label == "left"
    off = zoo.train("lenet5", **arguments, exif_orientation=False, tag="off")
    assert not read_card(off.weights)[0].preprocess.exif_orientation
    assert "--no-exif-orientation" in read_card(off.weights)[0].command


def test_other_data_sets_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = zoo.train("lenet5", data="digits", epochs=1, batch_size=512, device="cpu")
    card, _ = read_card(run.weights)
    assert not card.preprocess.exif_orientation and "exif" not in card.command
