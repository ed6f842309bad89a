"""The valid files that everything starts from: made once, by zoo's own commands, and kept in a folder."""

import gzip
import io
import json
import os
import struct
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fuzzing.process import call
from fuzzing.sandbox import Sandbox, Seeds

ROOT = Path(__file__).parents[2]
OLD = ROOT / "tests/fixtures/release_0_1_0/exports/lenet5.old"
MODEL = "lenet5.digits"  # comes with zoo
FORMATS = ("onnx", "torchscript", "pt2")
DONE = "modules.json"
RECIPE = {
    "architecture": "lenet5",
    "data": "folder",
    "epochs": 2,
    "batch_size": 4,
    "opt": "sgd",
    "lr": 0.05,
    "weight_decay": 0.001,
    "momentum": 0.9,
    "clip_grad": 1.0,
    "grad_accum_steps": 1,
    "sched": "step",
    "decay_milestones": [0.5, 0.75],
    "decay_rate": 0.1,
    "warmup_epochs": 0.5,
    "model_ema_decay": 0.9,
    "version": 3,
    "hold_out": 0.2,
    "patience": 1,
    "crop": 2,
    "hflip": False,
    "aa": "trivial",
    "reprob": 0.1,
    "mixup": 0.2,
    "cutmix": 1.0,
    "balance": "none",
    "skip_corrupt": False,
    "seed": 3,
    "img_size": 28,
    "channels": 1,
    "loss": "focal",
    "loss_params": {"gamma": 1.5},
    "layer_decay": 0.9,
    "initial_checkpoint": "",
    "freeze": False,
}


def make_seeds(sandbox: Sandbox, folder: Path, formats: tuple[str, ...] = FORMATS) -> None:
    """Make every seed folder below `folder`, and list the modules that this took. In a process of its own.

    Args:
        formats: to export to; fewer are quicker.
    """
    os.environ.update(sandbox.environment)
    os.environ["ZOO_ARTIFACT_TIME_LIMIT"] = "300"  # valid files finish, on a machine that is busy too
    for name in formats:
        _start(sandbox)
        _zoo("export", MODEL, "-o", "out", "-f", name)
        _zoo("verify", "out")
        _zoo("verify", f"out/model.{name}", "--against", MODEL)
        _picture("x.png")
        _zoo("predict", "out", "x.png")
        _keep(sandbox, folder / name)
    _sign("out")
    _keep(sandbox, folder / "signed")
    _start(sandbox)
    _copy(OLD, "out")
    _picture("x.png")
    _zoo("verify", "out")
    _keep(sandbox, folder / "old")
    _start(sandbox)
    _saved_again("weights/lenet5.made.safetensors")
    _picture("x.png")
    for command in (["show", "lenet5.made"], ["verify", "lenet5.made"], ["list"], ["page", "weights"]):
        _zoo("weights", *command)
    _zoo("evaluate", "lenet5.made")
    _zoo("summary", "lenet5.made")
    _keep(sandbox, folder / "weights")
    _start(sandbox)
    _pictures_of_classes()
    Path("recipe.toml").write_text("".join(f"{name} = {_toml(value)}\n" for name, value in RECIPE.items()))
    _train("--recipe", "recipe.toml")
    _remove_all("runs", "weights", "cache")
    _keep(sandbox, folder / "recipe")
    _start(sandbox)
    _pictures_of_classes()
    _train("lenet5", "--data", "folder", "-b", "2", "--epochs", "1", "--name", "r", "--checkpoint-every", "0")
    _keep(sandbox, folder / "run")
    _train("--resume", "runs/r")
    _start(sandbox)
    Path("config/zoo").mkdir(parents=True)
    Path("config/zoo/config.toml").write_text(
        'prefer = ["zoo-kit/classic:resnet18", "zoo-losses:focal"]\nplugins = ["zoo-tiny", "zoo-server/serve"]\n'
    )
    _zoo("list")
    _zoo("plugins")
    _zoo("doctor")
    _keep(sandbox, folder / "config")
    _start(sandbox)
    _pictures_of_classes()
    _weights("lenet5.small", ("a", "b"), "folder")
    _zoo("evaluate", "weights/lenet5.small.safetensors", "--data-root", "data")
    _keep(sandbox, folder / "cache")
    _remove_all("cache")
    _keep(sandbox, folder / "images")
    _start(sandbox)
    _idx_files()
    _weights("lenet5.idx", tuple("0123456789"), "mnist")
    _zoo("evaluate", "weights/lenet5.idx.safetensors", "--data-root", "data")
    _keep(sandbox, folder / "idx")
    _keep_pictures(folder / "pictures")
    (folder / DONE).write_text(json.dumps(sorted(sys.modules)))


def load_seeds(folder: Path) -> Seeds:
    """What `make_seeds` wrote."""
    return {
        each.name: {
            str(path.relative_to(each)): path.read_bytes() for path in sorted(each.rglob("*")) if path.is_file()
        }
        for each in sorted(folder.iterdir())
        if each.is_dir()
    }


def _zoo(*arguments: str) -> None:
    if code := call(list(arguments)):
        raise SystemExit(f"zoo {' '.join(arguments)}: exit code {code}")


def _train(*arguments: str) -> None:
    """Train until the fuzzer's own interrupt."""
    code = call(["train", *arguments, "--device", "cpu"])
    if code not in (0, 130):
        raise SystemExit(f"zoo train {' '.join(arguments)}: exit code {code}")


def _start(sandbox: Sandbox) -> None:
    sandbox.clear()
    os.chdir(sandbox.box)


def _keep(sandbox: Sandbox, folder: Path) -> None:
    for path in sorted(sandbox.box.rglob("*")):
        if path.is_file():
            target = folder / path.relative_to(sandbox.box)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())


def _remove_all(*names: str) -> None:
    from fuzzing.case import remove

    for name in names:
        remove(Path(name))


def _copy(source: Path, target: str, pattern: str = "*") -> None:
    Path(target).mkdir(parents=True, exist_ok=True)
    for path in source.glob(pattern):
        (Path(target) / path.name).write_bytes(path.read_bytes())


def _weights(name: str, classes: tuple[str, ...], dataset: str) -> None:
    """A LeNet-5 with fresh weights for these classes."""
    from zoo.files.weights import save_weights
    from zoo.models.load import BuildArgs, open_model
    from zoo.registry.discovery import discover
    from zoo.registry.registry import Registry

    model = open_model(Registry(discover()), "lenet5", BuildArgs(num_classes=len(classes)))
    card = replace(model.card, classes=classes, dataset=dataset)
    save_weights(Path(f"weights/{name}.safetensors"), model.module.state_dict(), card)


def _saved_again(target: str) -> None:
    """The weights that come with zoo, with a card of the newest format."""
    from zoo.files.weights import load_weights, save_weights

    weights = load_weights(ROOT / f"weights/{MODEL}.safetensors")
    save_weights(Path(target), weights.tensors, weights.card)


def _sign(folder: str) -> None:
    """Sign a folder with a new key, which stays beside it."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, pem = ec.generate_private_key(ec.SECP256R1()), serialization.Encoding.PEM
    private, public = serialization.PrivateFormat.PKCS8, serialization.PublicFormat.SubjectPublicKeyInfo
    Path("private.pem").write_bytes(key.private_bytes(pem, private, serialization.NoEncryption()))
    Path("public.pem").write_bytes(key.public_key().public_bytes(pem, public))
    _zoo("sign", folder, "--key", "private.pem")
    _zoo("verify", folder, "--key", "public.pem")


def _picture(name: str, mode: str = "L", size: tuple[int, int] = (28, 28), **options: Any) -> None:
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


def _pictures_of_classes() -> None:
    for split in ("train", "test"):
        for name in ("a", "b"):
            for index in range(5 if split == "train" else 2):
                _picture(f"data/{split}/{name}/{index}.png", size=(16 + index, 16))


def _keep_pictures(folder: Path) -> None:
    """Valid images in many formats, as the content that is damaged; no command runs in this folder."""
    folder.mkdir(parents=True)
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
        (folder / name).write_bytes(_encoded(mode, (20, 28), name.rpartition(".")[2], **options))


def _idx_files() -> None:
    folder = Path("data/MNIST/raw")
    folder.mkdir(parents=True)
    labels, pixels = bytes(range(10)) * 2, np.random.default_rng(0).integers(0, 256, 20 * 784, np.uint8).tobytes()
    for stem in ("train", "t10k"):
        images = struct.pack(">IIII", 2051, 20, 28, 28) + pixels
        (folder / f"{stem}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images, mtime=0))
        (folder / f"{stem}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 2049, 20) + labels)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {_toml(item)}" for name, item in value.items()) + "}"
    return json.dumps(value)
