"""The plugin of timm's models: names, preprocessing, parameters, and published weights."""

import json
import subprocess
import sys
import warnings
from importlib.metadata import EntryPoint, distribution, entry_points
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import zoo_runtime
from zoo import Architecture
from zoo.api.listing import list_models
from zoo.api.loading import create_model
from zoo.contract.errors import PluginError, UnknownName, UsageError, WeightsError
from zoo.contract.preprocess import Preprocess
from zoo.data.images import fit_image, normalise_array
from zoo.models.load import BuildArgs, open_model
from zoo.registry.discovery import discover
from zoo.registry.registry import Registry

timm = pytest.importorskip("timm")

from timm.data import create_transform, resolve_data_config  # noqa: E402
from timm.models import get_pretrained_cfg  # noqa: E402

from zoo_timm import build as building  # noqa: E402
from zoo_timm.catalogue import tags_of  # noqa: E402
from zoo_timm.fetch import LOCAL, fetch  # noqa: E402
from zoo_timm.index import SHIPPED, read_index  # noqa: E402
from zoo_timm.measure import measure  # noqa: E402
from zoo_timm.specs import architecture, names, preprocess_of  # noqa: E402

INDEX = json.loads(SHIPPED.read_bytes())
SPECS = {f"timm/{name}": architecture(name) for name in names()}
SMALL, TAG = "test_vit", "r160_in1k"
SHAPES = [(300, 400), (97, 213), (224, 224), (500, 31), (33, 33)]


@pytest.fixture(scope="module")
def registry() -> Registry:
    """Of the installed plugins, with timm's even where an older zoo-kit is installed."""
    point: Any = EntryPoint("timm", "zoo_timm.plugin", "zoo")
    known = [each for each in entry_points(group="zoo") if each.name != "timm"]
    return Registry(discover([*known, point._for(distribution("zoo-kit"))]))


@pytest.fixture
def local_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Weights of the smallest model, in a folder as `local-dir:` of timm takes it."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv(LOCAL, str(tmp_path / "local"))
    return _store(tmp_path / "local" / f"{SMALL}.{TAG}" / "model.safetensors")


def _store(path: Path) -> Path:
    torch.manual_seed(1)
    path.parent.mkdir(parents=True)
    save_file(timm.create_model(SMALL, pretrained=False).state_dict(), path)
    return path


def test_every_model_of_timm_is_listed() -> None:
    assert INDEX["timm"] == timm.__version__
    assert list(SPECS) == [f"timm/{name}" for name in sorted(timm.list_models())]
    assert {name: list(SPECS[f"timm/{name}"].pretrained) for name in INDEX["models"]} == {
        name: tags_of(name) for name in INDEX["models"]
    }


def test_listing_imports_neither_torch_nor_timm() -> None:
    code = (
        "import sys; from zoo_timm.specs import architecture, names; n = len(list(map(architecture, names()))); "
        "assert n > 1000; print({'torch', 'timm', 'numpy', 'huggingface_hub'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_every_default_is_of_timms_configuration() -> None:
    for name in timm.list_models():
        config = resolve_data_config(pretrained_cfg=get_pretrained_cfg(name).to_dict())
        square = config["input_size"][1] == config["input_size"][2]
        if square and config["crop_pct"] <= 1:
            assert SPECS[f"timm/{name}"].preprocess == preprocess_of(config), name


def _kinds() -> list[Any]:
    """A configuration of each crop mode, crop fraction and interpolation, with the smallest images there are."""
    kinds = {}
    for how in sorted(INDEX["preprocess"], key=lambda how: how["input_size"], reverse=True):
        kinds[how["crop_mode"], how["crop_pct"], how["interpolation"]] = how
    return [pytest.param(how, id="-".join(map(str, key))) for key, how in kinds.items()]


@pytest.mark.parametrize("how", _kinds())
def test_images_are_prepared_as_timm_does(how: dict[str, Any]) -> None:
    preprocess = preprocess_of(how)
    transform = create_transform(**{**how, "input_size": tuple(how["input_size"])}, is_training=False)
    draw = np.random.default_rng(0)
    for shape in SHAPES:
        image = Image.fromarray(draw.integers(0, 256, (*shape, 3)).astype(np.uint8))
        expected = transform(image).numpy()
        ours = normalise_array(fit_image(image, preprocess)[None], preprocess)[0]
        assert np.abs(ours - expected).max() < 1e-5
        np.testing.assert_array_equal(zoo_runtime.prepare_image(image, preprocess.to_dict()), ours)


@pytest.mark.parametrize(
    "change", [{"crop_pct": 1.15}, {"interpolation": "lanczos"}, {"crop_mode": "odd"}, {"input_size": (3, 32, 64)}]
)
def test_what_zoo_cannot_express_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        preprocess_of({**INDEX["preprocess"][0], "crop_mode": "center", "crop_pct": 0.9, **change})


def test_a_grey_border_has_the_mean_colour() -> None:
    how = Preprocess(size=(8, 8), mean=(0.5,), std=(0.25,), shorter_side=8, crop_mode="border")
    image = Image.fromarray(np.full((4, 16), 255, np.uint8))
    pixels = fit_image(image, how)
    assert (pixels[0, 0] == 128).all() and (pixels[0, 4] == 255).all()
    assert Preprocess.from_dict(how.to_dict()) == how
    plain = Preprocess(size=(8, 8), mean=(0.5,), std=(0.25,))
    assert "crop_mode" not in plain.to_dict() and Preprocess.from_dict(plain.to_dict()) == plain


@pytest.mark.parametrize("name", ["test_vit", "test_resnet", "test_convnext"])
def test_rows_of_the_index_are_measured(name: str) -> None:
    row = measure(name)
    spec = SPECS[f"timm/{name}"]
    assert (spec.parameters, spec.min_size, list(spec.sizes)) == (row["parameters"], row["min_size"], row["sizes"])
    assert row["rates"] == {key: spec.params[key].default for key in row["rates"]}
    assert sum(p.numel() for p in timm.create_model(name).parameters()) == spec.parameters


def test_models_are_built_with_their_parameters(registry: Registry) -> None:
    network = create_model(
        "timm/test_vit", num_classes=7, in_channels=1, drop_path_rate=0.3, global_pool="avg", registry=registry
    )
    assert network(torch.zeros(2, 1, 160, 160)).shape == (2, 7)
    assert network.global_pool == "avg"
    with pytest.raises(PluginError, match="drop_path_rate"):
        create_model("timm/test_vit", drop_path_rate=1.5, registry=registry)
    with pytest.raises(UsageError, match="global_pool"):
        create_model("timm/test_vit", global_pool="fast", registry=registry)


def test_img_size_builds_for_that_size(registry: Registry) -> None:
    model = open_model(registry, "timm/test_vit", BuildArgs(img_size=96))
    assert (model.preprocess.size, model.card.params) == ((96, 96), {"img_size": 96})
    assert model.module(torch.zeros(1, 3, 96, 96)).shape == (1, 1000)
    same = open_model(registry, "timm/test_vit", BuildArgs(params={"img_size": "96"}))
    assert (same.preprocess, same.card.params) == (model.preprocess, model.card.params)
    assert open_model(registry, "timm/test_vit").card.params == {}
    with pytest.raises(UsageError, match=r"96.*128"):
        open_model(registry, "timm/test_vit", BuildArgs(img_size=96, params={"img_size": 128}))


def test_another_version_of_timm_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timm, "__version__", "1.0.99")
    with pytest.warns(UserWarning, match=r"1\.0\.99"):
        building.build(name=SMALL, num_classes=2, in_channels=3)
    with pytest.raises(ValueError, match=r"resnet19.*python -m zoo_timm\.catalogue"):
        building.build(name="resnet19", num_classes=2, in_channels=3)


def test_an_index_of_the_installed_version_is_preferred(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "index.json"
    monkeypatch.setattr("zoo_timm.index.cached_index", lambda version: path)
    monkeypatch.setattr("zoo_timm.index.installed_version", lambda: "1.0.99")
    assert read_index() == INDEX
    path.write_text(json.dumps({**INDEX, "models": {}}))
    assert read_index()["models"] == {}
    path.write_text("{}")
    with pytest.raises(ValueError, match="damaged"):
        read_index()


def test_names_of_a_collection(registry: Registry) -> None:
    assert "timm/test_vit" in list_models("timm/*", registry=registry)
    assert not [name for name in list_models("resnet*", registry=registry) if name.startswith("timm/")]
    with pytest.raises(UnknownName, match="timm/resnet18"):
        registry.find(Architecture, "timm/resnet_18")
    assert registry.find(Architecture, "zoo-kit/timm:timm/test_vit").spec.name == "timm/test_vit"


def test_weights_come_from_a_local_folder(registry: Registry, local_weights: Path) -> None:
    model = open_model(registry, f"timm/{SMALL}.{TAG}")
    assert (model.name, model.fresh) == (f"timm/{SMALL}.{TAG}", False)
    assert model.card.source == f"local-dir:{local_weights.parent}"
    assert model.labels[0] == "tench, Tinca tinca" and len(model.labels) == 1000
    torch.manual_seed(1)
    original = timm.create_model(SMALL, pretrained=False).eval()
    images = torch.rand(2, 3, 160, 160)
    with torch.no_grad():
        torch.testing.assert_close(model.module(images), original(images), rtol=0, atol=0)


def test_weights_come_from_the_cache_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.delenv(LOCAL, raising=False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / f"models--timm--{SMALL}.{TAG}"
    commit = "0" * 40
    with pytest.raises(WeightsError, match=f"hf-hub:timm/{SMALL}.{TAG}") as caught:
        fetch(f"timm/{SMALL}", TAG, download=False)
    assert "--download" in caught.value.next_step
    path = _store(repository / "snapshots" / commit / "model.safetensors")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    weights = fetch(f"timm/{SMALL}", TAG, download=False)
    assert (weights.source, weights.licence) == (f"hf-hub:timm/{SMALL}.{TAG}", "apache-2.0")
    assert weights.preprocess == SPECS[f"timm/{SMALL}"].preprocess
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(WeightsError, match=r"model\.safetensors"):
        fetch(f"timm/{SMALL}", TAG, download=False)


def test_a_failed_download_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.delenv(LOCAL, raising=False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match="could not be downloaded"):
        fetch(f"timm/{SMALL}", TAG, download=True)


def test_weights_that_timm_has_not_are_refused(local_weights: Path) -> None:
    with pytest.raises(UnknownName, match=f"{SMALL}.other"):
        fetch(f"timm/{SMALL}", "other", download=False)
    with warnings.catch_warnings(), pytest.raises(WeightsError, match="classifier"):
        warnings.simplefilter("error")
        fetch("timm/vit_small_patch14_dinov2", "lvd142m", download=False)
