"""Folders in timm's layout: what zoo writes timm loads, and what timm writes is a model for zoo."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import zoo
from zoo.cli import main
from zoo.contract.preprocess import CropMode, Preprocess
from zoo.contract.reading import Malformed
from zoo.files.card import Card, read_card
from zoo.files.weights import save_weights
from zoo.models.hub_layout.config import config_json, read_config
from zoo.models.load import open_model
from zoo.registry.discovery import Plugin
from zoo.registry.registry import Registry

timm = pytest.importorskip("timm")
SMALL = "mobilenetv3_small_050"
LABELS = ("ant", "bee", "cat")


def build(*, num_classes: int, in_channels: int, **params: Any) -> torch.nn.Module:
    module: torch.nn.Module = timm.create_model(SMALL, num_classes=num_classes, in_chans=in_channels, **params)
    return module


@pytest.fixture(scope="session")
def with_timm(with_hub: Registry) -> Registry:
    """The registry with timm's architectures, as zoo's own plugin declares it."""
    from zoo_timm.plugin import zoo_specs

    if any(plugin.name == "timm" for plugin in with_hub.plugins):
        return with_hub
    return Registry([*with_hub.plugins, Plugin("timm", "zoo-kit", "0", tuple(zoo_specs()))])


@pytest.fixture(autouse=True)
def plugins(in_a_folder: None, with_timm: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main, "discover", lambda: list(with_timm.plugins))


@pytest.fixture
def module() -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build(num_classes=3, in_channels=3).eval()


@pytest.fixture
def of_timm(module: torch.nn.Module, tmp_path: Path) -> Path:
    """A folder that timm itself wrote."""
    timm.models.save_for_hf(module, tmp_path / "theirs", {"label_names": list(LABELS)}, safe_serialization=True)
    return tmp_path / "theirs"


@pytest.fixture
def images() -> Iterator[torch.Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        yield torch.randn(2, 3, 224, 224)


def test_a_folder_of_timm_is_a_model(run_zoo, with_timm, of_timm, module, images) -> None:
    model = zoo.load(of_timm, registry=with_timm)
    assert (model.name, model.labels, model.preprocess.shorter_side) == ("timm/theirs", LABELS, 256)
    assert torch.equal(model.module(images), module(images))
    assert model.card.source == "theirs" and model.card.metrics == ()
    again = open_model(with_timm, str(of_timm))
    assert again.path == model.path  # converted once
    Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save("black.png")
    assert run_zoo("predict", str(of_timm), "black.png", "--json").code == 0


def test_a_folder_without_a_card_is_shown(run_zoo, of_timm: Path) -> None:
    (shown,) = json.loads(run_zoo("show", str(of_timm), "--json").out)
    assert (shown["architecture"], shown["classes"]) == (f"timm/{SMALL}", list(LABELS))
    for command in ("show", "verify"):
        ran = run_zoo("weights", command, f"local-dir:{of_timm}")
        assert ran.code == 1 and "zoo summary" in ran.err
    assert run_zoo("summary", f"local-dir:{of_timm}").code == 0
    for command in ("show", "verify"):
        assert run_zoo("weights", command, f"local-dir:{of_timm}").code == 0


def test_timm_loads_what_zoo_writes(run_zoo, with_timm, module, images, tmp_path: Path) -> None:
    fresh = open_model(with_timm, f"timm/{SMALL}").card
    how = Preprocess(
        size=(96, 96), mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.2), shorter_side=111, interpolation="bicubic"
    )
    card = Card(**{**vars(fresh), "classes": LABELS, "preprocess": how})
    stored = tmp_path / f"{SMALL}.mine.safetensors"
    save_weights(stored, module.state_dict(), card)
    place = tmp_path / "ours"
    assert run_zoo("push", str(stored), f"local-dir:{place}").code == 0
    theirs = timm.create_model(f"local-dir:{place}", pretrained=True).eval()
    assert torch.equal(theirs(images), module(images))
    config = timm.data.resolve_model_data_config(theirs)
    assert (tuple(config["input_size"]), config["interpolation"]) == ((3, 96, 96), "bicubic")
    transform = timm.data.create_transform(**config)
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (150, 130, 3), np.uint8))
    assert transform.transforms[0].size == 111
    model = zoo.load(place, registry=with_timm)
    assert (model.name, model.card.card_digest) == ("ours", read_card(stored)[0].card_digest)
    from zoo.data.images import fit_image, normalise

    ours = normalise(torch.from_numpy(fit_image(photo, model.preprocess)[None]), model.preprocess)[0]
    assert float((transform(photo) - ours).abs().max()) < 0.03  # one level of 255
    assert run_zoo("push", str(stored), f"local-dir:{place}").code == 1  # it exists
    assert run_zoo("push", str(stored), f"local-dir:{place}", "--force").code == 0


def test_a_repository_of_timm_is_pulled_with_a_card(run_zoo, hub, of_timm, module, images, with_timm) -> None:
    hub.repositories[f"them/{SMALL}.theirs"] = {path.name: path.read_bytes() for path in of_timm.iterdir()}
    ran = run_zoo("pull", f"hf-hub:them/{SMALL}.theirs", "--json")
    assert ran.code == 0, ran.err
    path = Path(json.loads(ran.out)["file"])
    assert path == Path("weights") / "timm" / f"{SMALL}.theirs.safetensors"
    card = read_card(path)[0]
    assert card.source.startswith("hf-hub:them/") and len(card.source_sha256) == 64
    assert torch.equal(open_model(with_timm, str(path)).module(images), module(images))


def test_arguments_of_a_folder_reach_the_model(with_timm, of_timm: Path, module, images) -> None:
    config = json.loads((of_timm / "config.json").read_text())
    config["model_args"]["global_pool"] = "max"
    (of_timm / "config.json").write_text(json.dumps(config))
    theirs = timm.create_model(f"local-dir:{of_timm}", pretrained=True).eval()
    assert torch.equal(open_model(with_timm, str(of_timm)).module(images), theirs(images))
    assert not torch.equal(theirs(images), module(images))


@pytest.mark.parametrize("change", ["tensor", "classes", "architecture", "argument", "cut"])
def test_a_folder_that_does_not_fit_is_refused(run_zoo, of_timm: Path, tmp_path: Path, change: str) -> None:
    folder = shutil.copytree(of_timm, tmp_path / "copy")
    config = json.loads((folder / "config.json").read_text())
    if change == "tensor":
        import safetensors.torch

        tensors = safetensors.torch.load_file(folder / "model.safetensors")
        safetensors.torch.save_file({**tensors, "more": torch.zeros(1)}, folder / "model.safetensors")
    elif change == "classes":
        config |= {"num_classes": 4, "label_names": [*LABELS, "dog"]}
        del config["model_args"]["num_classes"]
    elif change == "architecture":
        config["architecture"] = "no_such_net"
    elif change == "argument":
        config["model_args"]["pooling_of_mine"] = "max"
    else:
        (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-9])
    (folder / "config.json").write_text(json.dumps(config))
    ran = run_zoo("export", str(folder))
    assert ran.code == 1 and "\n  next: " in ran.err and not Path("exports").exists()
    named = {
        "tensor": "more",
        "classes": "4 classes",
        "architecture": "no_such_net",
        "cut": "model.safetensors",
        "argument": "pooling_of_mine",
    }
    assert named[change] in ran.err


@pytest.mark.parametrize("shorter_side", [None, 224, 225, 230, 235, 248, 256, 299, 333, 4096])
@pytest.mark.parametrize("crop_mode", ["center", "squash", "border"])
@pytest.mark.parametrize("turned", [False, True])
def test_preprocessing_survives_the_config(
    shorter_side: int | None, crop_mode: CropMode, turned: bool, card: Card
) -> None:
    mode: CropMode = "center" if shorter_side is None else crop_mode
    if (mode, shorter_side) == ("squash", 224):
        mode = "center"  # the same as no shorter side, which is how it comes back
    how = Preprocess(
        size=(224, 224),
        mean=(0.5,),
        std=(0.2,),
        shorter_side=shorter_side,
        crop_mode=mode,
        exif_orientation=turned,
    )
    config = read_config(config_json(Card(**{**vars(card), "preprocess": how})))
    assert (config.preprocess, config.labels, config.architecture) == (how, card.classes, card.architecture)


def test_a_push_records_that_photographs_are_turned(
    run_zoo, with_timm, module, images, tmp_path: Path, card: Card
) -> None:
    """By the card, by the config for weights without one, and by the README; timm loads the folder all the same."""
    how = Preprocess(size=(224, 224), mean=(0.5,) * 3, std=(0.2,) * 3, exif_orientation=True)
    fresh = open_model(with_timm, f"timm/{SMALL}").card
    stored = tmp_path / f"{SMALL}.mine.safetensors"
    save_weights(stored, module.state_dict(), Card(**{**vars(fresh), "classes": LABELS, "preprocess": how}))
    place = tmp_path / "ours"
    assert run_zoo("push", str(stored), f"local-dir:{place}").code == 0
    assert "exif_transpose" in (place / "README.md").read_text()
    assert torch.equal(timm.create_model(f"local-dir:{place}", pretrained=True).eval()(images), module(images))
    assert zoo.load(place, registry=with_timm).preprocess == how
    save_file({name: value.contiguous() for name, value in module.state_dict().items()}, place / "model.safetensors")
    assert zoo.load(place, registry=with_timm).preprocess == how
    photo = Image.fromarray(np.arange(224 * 224 * 3, dtype=np.uint8).reshape(224, 224, 3))
    exif = photo.getexif()
    exif[0x0112] = 6
    photo.save(tmp_path / "turned.png", exif=exif)
    photo.transpose(Image.Transpose.ROTATE_270).save(tmp_path / "upright.png")
    turned, upright = (
        json.loads(run_zoo("predict", str(place), str(tmp_path / f"{name}.png"), "--json").out)
        for name in ("turned", "upright")
    )
    assert [{**each, "image": ""} for each in turned] == [{**each, "image": ""} for each in upright]


BASE = {"architecture": "x", "num_classes": 2, "input_size": [3, 8, 8], "mean": [0.5] * 3, "std": [1, 1, 1]}
BASE |= {"interpolation": "bicubic", "crop_pct": 1.0}


def test_older_and_shorter_configs_are_read() -> None:
    for labels in ({}, {"labels": ["a", "b"]}, {"label_names": {"0": "a", "1": "b"}}):
        config = read_config(json.dumps({**BASE, **labels}).encode())
        assert config.labels == (("a", "b") if labels else ("0", "1"))
        assert config.preprocess.shorter_side == 8


@pytest.mark.parametrize(
    "change",
    [
        {"crop_pct": 0},
        {"crop_mode": "mosaic"},
        {"model_args": {"num_classes": 5}},
        {"interpolation": "lanczos"},
        {"mean": [0.5]},
        {"label_names": ["a"]},
        {"input_size": [3, 8]},
        {"input_size": [3, 8, 16], "crop_pct": 0.9},
        {"num_classes": "two"},
        {"architecture": 3},
        {"exif_orientation": "yes"},
    ],
)
def test_what_zoo_does_not_know_is_malformed(change: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        read_config(json.dumps({**BASE, **change}).encode())


def test_no_folder_downloads_anything(of_timm: Path, with_timm, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr("socket.socket.connect", refuse)
    call: Callable[..., Any] = zoo.load
    assert call(of_timm, registry=with_timm).labels == LABELS
