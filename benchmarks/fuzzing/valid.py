"""Valid files, each made by one function in the current folder."""

import gzip
import io
import json
import struct
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def copy(source: Path, target: str) -> None:
    """The files of a folder."""
    Path(target).mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        (Path(target) / path.name).write_bytes(path.read_bytes())


def weights(name: str, classes: tuple[str, ...], dataset: str) -> None:
    """A LeNet-5 with fresh weights for these classes."""
    from zoo.files.weights import save_weights
    from zoo.models.load import BuildArgs, open_model
    from zoo.registry.discovery import discover
    from zoo.registry.registry import Registry

    model = open_model(Registry(discover()), "lenet5", BuildArgs(num_classes=len(classes)))
    card = replace(model.card, classes=classes, dataset=dataset)
    save_weights(Path(f"weights/{name}.safetensors"), model.module.state_dict(), card)


def saved_again(source: Path, target: str) -> None:
    """The weights that come with zoo, with a card of the newest format."""
    from zoo.files.weights import load_weights, save_weights

    stored = load_weights(source)
    save_weights(Path(target), stored.tensors, stored.card)


def keys() -> None:
    """A new pair of keys for signatures."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, pem = ec.generate_private_key(ec.SECP256R1()), serialization.Encoding.PEM
    private, public = serialization.PrivateFormat.PKCS8, serialization.PublicFormat.SubjectPublicKeyInfo
    Path("private.pem").write_bytes(key.private_bytes(pem, private, serialization.NoEncryption()))
    Path("public.pem").write_bytes(key.public_key().public_bytes(pem, public))


def picture(name: str, mode: str = "L", size: tuple[int, int] = (28, 28), **options: Any) -> None:
    """An image of noise."""
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_bytes(_encoded(mode, size, Path(name).suffix[1:], **options))


def _encoded(mode: str, size: tuple[int, int], form: str, **options: Any) -> bytes:
    draw = np.random.default_rng(len(mode) + size[0])
    shape = (size[1], size[0], 3) if mode not in ("L", "I;16") else (size[1], size[0])
    dtype = np.uint16 if mode == "I;16" else np.uint8
    image = Image.fromarray(draw.integers(0, 256, shape, dtype))
    buffer = io.BytesIO()
    image = image if mode in ("RGB", "L", "I;16") else image.convert(mode)
    image.save(buffer, {"jpg": "JPEG", "tif": "TIFF"}.get(form, form.upper()), **options)
    return buffer.getvalue()


def pictures_of_classes() -> None:
    """A data set of two classes."""
    for split in ("train", "test"):
        for name in ("a", "b"):
            for index in range(5 if split == "train" else 2):
                picture(f"data/{split}/{name}/{index}.png", size=(16 + index, 16))


def pictures_of_formats() -> None:
    """Images in many formats."""
    forms: Mapping[str, tuple[str, dict[str, Any]]] = {
        "grey.png": ("L", {}),
        "colour.png": ("RGB", {}),
        "palette.png": ("P", {"transparency": b"\0\x80\xff"}),
        "alpha.png": ("RGBA", {}),
        "deep.png": ("I;16", {}),
        "photo.jpg": ("RGB", {"quality": 80}),
        "a.bmp": ("RGB", {}),
        "print.jpg": ("CMYK", {}),
        "a.gif": ("P", {}),
        "a.webp": ("RGB", {}),
        "a.tif": ("RGB", {"compression": "tiff_lzw"}),
        "b.tif": ("L", {}),
        "a.ppm": ("RGB", {}),
        "a.tga": ("RGB", {}),
        "a.ico": ("RGBA", {}),
        "c.tif": ("CMYK", {}),
    }
    for name, (mode, options) in forms.items():
        Path(name).write_bytes(_encoded(mode, (20, 28), name.rpartition(".")[2], **options))


def idx_files() -> None:
    """MNIST, with 20 images."""
    folder = Path("data/MNIST/raw")
    folder.mkdir(parents=True)
    labels, pixels = bytes(range(10)) * 2, np.random.default_rng(0).integers(0, 256, 20 * 784, np.uint8).tobytes()
    for stem in ("train", "t10k"):
        images = struct.pack(">IIII", 2051, 20, 28, 28) + pixels
        (folder / f"{stem}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images, mtime=0))
        (folder / f"{stem}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 2049, 20) + labels)


def toml(value: Any) -> str:
    """A value as TOML has it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {toml(item)}" for name, item in value.items()) + "}"
    return json.dumps(value)
