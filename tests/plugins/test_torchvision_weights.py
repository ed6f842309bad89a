"""torchvision's weights: what it publishes of them, files in its own cache, downloads, and what goes wrong.

Nothing is downloaded from torchvision here: fresh weights, saved as torchvision saves them under a name with their
hash, stand for the published ones, and a server on the loopback for torchvision's.
"""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision import models
from torchvision.models import WeightsEnum

import zoo
from zoo import Architecture
from zoo.contract.errors import OutputError, WeightsError, ZooError
from zoo.data.images import fit_image, normalise
from zoo.files.card import read_card
from zoo.models.importing import unpickle
from zoo.models.importing.read_file import SourceFile
from zoo.models.importing.state_dicts import choose_state_dict, find_state_dicts, tensors_of
from zoo.models.stored.pretrained import open_pretrained
from zoo.registry.registry import Registry
from zoo_torchvision import catalogue, download, published
from zoo_torchvision.build import build
from zoo_torchvision.fetch import checkpoints, fetch
from zoo_torchvision.plugin import zoo_specs

SPECS: Mapping[str, Architecture] = {spec.name: spec for spec in zoo_specs() if isinstance(spec, Architecture)}
SMALL, TAG = "shufflenet_v2_x0_5", "imagenet1k_v1"
# Those whose published files, or arguments, are not simply those of the model that is built here.
ODD = ["densenet121", "googlenet", "inception_v3", "mnasnet0_5", "squeezenet1_1"]


class Served:
    """What the server of a test answers with."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.length: int | None = None
        self.address = ""
        self.requests: list[str] = []


@pytest.fixture
def server() -> Iterator[Served]:
    """A server on the loopback."""
    served = Served()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.requests.append(self.path)
            content = served.files.get(self.path)
            if content is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(served.length or len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    served.address = f"http://127.0.0.1:{listening.server_port}"
    yield served
    listening.shutdown()
    listening.server_close()


@pytest.fixture(autouse=True)
def torch_home(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """torchvision's cache in this test: empty, and not yours."""
    monkeypatch.setenv("TORCH_HOME", str(here / "torch"))
    return checkpoints()


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read files in this process by the code that reads them in a child, which takes seconds to start."""

    def read(path: Path) -> SourceFile:
        states = find_state_dicts(unpickle.read(path))
        key = choose_state_dict(states, "")
        return SourceFile(path, hashlib.sha256(path.read_bytes()).hexdigest(), tensors_of(states[key]))

    monkeypatch.setattr("zoo_torchvision.fetch.read_source", read)


def published_state(name: str) -> "OrderedDict[str, Tensor]":
    """Fresh weights in the form in which torchvision publishes those of `name`."""
    torch.manual_seed(1)
    auxiliary = {"aux_logits": True, "init_weights": False} if name in ("googlenet", "inception_v3") else {}
    network = models.get_model(name, weights=None, **auxiliary)
    with torch.no_grad():
        for value in network.state_dict().values():
            if value.dtype == torch.float32 and value.ndim == 1:
                value.uniform_(0.5, 1.5)
    state: OrderedDict[str, Tensor] = network.state_dict()
    if name.startswith("densenet"):  # published before BatchNorm counted its batches, with dots in names
        return OrderedDict(
            (re.sub(r"(denselayer\d+\.(?:norm|conv))(\d)", r"\1.\2", key), value)
            for key, value in state.items()
            if not key.endswith("num_batches_tracked")
        )
    return state


@pytest.fixture
def publish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Served
) -> Callable[..., tuple[Path, "OrderedDict[str, Tensor]"]]:
    """Save fresh weights as the file that torchvision publishes: the server has it, and torchvision names it."""

    def save(name: str = SMALL, tag: str = TAG, content: Any = None) -> tuple[Path, "OrderedDict[str, Tensor]"]:
        state = published_state(name) if content is None else content
        path = tmp_path / "new.pth"
        torch.save(state, path)
        digits = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
        path = path.rename(tmp_path / f"{name}-{digits}.pth")
        server.files[f"/models/{path.name}"] = path.read_bytes()
        monkeypatch.setattr(published.tags(name)[tag].value, "url", f"{server.address}/models/{path.name}")
        return path, state

    return save


def left(here: Path) -> list[Path]:
    """The files in and around the folder of a test that nobody of this test has put there."""
    cache = here.parent / "cache"
    return [path for path in (*here.rglob("*"), *(cache.rglob("*") if cache.exists() else ())) if path.is_file()]


# What torchvision publishes


def test_every_tag_of_every_model_is_described() -> None:
    names = [(name, tag) for name, spec in SPECS.items() for tag in spec.pretrained]
    assert len(names) == sum(len(published.tags(name)) for name in SPECS) == 114
    for name, tag in names:
        weights = published.tags(name)[tag]
        assert re.fullmatch(r"[0-9a-f]{8,10}", published.hash_digits(weights)), (name, tag)
        assert published.preprocess(weights).size[0] == weights.transforms().crop_size[0]
        assert published.params(name, weights).keys() <= SPECS[name].params.keys()
        assert [metric.name for metric in published.metrics(weights)] == ["top1", "top5"]
        assert all(0.5 < metric.value < 1 and metric.n == 50_000 for metric in published.metrics(weights))
        assert len(weights.meta["categories"]) == 1000
    assert SPECS["resnet50"].pretrained == ("imagenet1k_v1", "imagenet1k_v2")


def test_features_without_classes_are_no_classifier() -> None:
    assert models.VGG16_Weights.IMAGENET1K_FEATURES.meta["categories"] is None
    assert SPECS["vgg16"].pretrained == ("imagenet1k_v1",)


def test_the_licence_is_named_where_torchvision_names_one() -> None:
    swag = published.tags("regnet_y_16gf")["imagenet1k_swag_e2e_v1"]
    assert "SWAG" in published.licence(swag)
    assert published.licence(published.tags("resnet18")["imagenet1k_v1"]) == published.NO_LICENCE


@pytest.mark.parametrize(
    ("name", "tag"), [("vit_b_16", "imagenet1k_swag_e2e_v1"), ("vit_h_14", "imagenet1k_swag_linear_v1")]
)
def test_a_vit_is_built_for_the_size_of_its_weights(name: str, tag: str) -> None:
    weights = published.tags(name)[tag]
    with catalogue.without_storage():
        network = build(name=name, num_classes=1000, in_channels=3, **published.params(name, weights))
    assert network.image_size == published.preprocess(weights).size[0]
    assert network.image_size != SPECS[name].input_shape[1]


PHOTOS = sorted(Path(str(find_spec("foolbox").submodule_search_locations[0]), "data").glob("imagenet_*.jpg"))  # type: ignore[union-attr,index]


def test_there_are_photos() -> None:
    assert len(PHOTOS) == 20


PRESETS = {
    (
        weights.transforms().crop_size[0],
        weights.transforms().resize_size[0],
        weights.transforms().interpolation,
    ): weights
    for name in SPECS
    for weights in published.tags(name).values()
}


@pytest.mark.parametrize("weights", PRESETS.values(), ids=lambda weights: str(weights))
def test_preprocessing_is_that_of_torchvision_to_the_bit(weights: WeightsEnum) -> None:
    """Photos as they are, and cut to odd sizes, upright and across."""
    preset, preprocess = weights.transforms(), published.preprocess(weights)
    for photo, box in zip(
        PHOTOS[:4], [(0, 0, 224, 224), (3, 0, 224, 131), (0, 5, 97, 224), (1, 1, 222, 223)], strict=True
    ):
        image = Image.open(photo).convert("RGB").crop(box)
        mine = normalise(torch.from_numpy(fit_image(image, preprocess))[None], preprocess)[0]
        assert torch.equal(mine, preset(image))


# Files in torchvision's cache


@pytest.mark.parametrize("name", [SMALL, *ODD])
def test_tensors_are_those_that_torchvision_loads(
    in_process: None, name: str, publish: Any, torch_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, state = publish(name)
    torch_home.mkdir(parents=True)
    path.rename(torch_home / path.name)
    monkeypatch.setattr(WeightsEnum, "get_state_dict", lambda *_, **__: state)
    theirs = models.get_model(name, weights=published.tags(name)[TAG]).eval()
    mine = fetch(name, TAG, download=False)
    expected = {key: value for key, value in theirs.state_dict().items() if not key.startswith("AuxLogits.")}
    assert mine.tensors.keys() == expected.keys()
    assert all(torch.equal(mine.tensors[key], value) for key, value in expected.items())
    assert mine.params == ({"transform_input": True} if getattr(theirs, "transform_input", False) else {})
    assert mine.classes[:2] == ("tench", "goldfish")


def test_a_model_computes_what_torchvision_computes(
    publish: Any, torch_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, state = publish("googlenet")  # which transforms its input with these weights alone
    torch_home.mkdir(parents=True)
    path.rename(torch_home / path.name)
    monkeypatch.setattr(WeightsEnum, "get_state_dict", lambda *_, **__: state)
    theirs = models.get_model("googlenet", weights=published.tags("googlenet")[TAG]).eval()
    mine = zoo.load(f"googlenet.{TAG}")
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        expected, actual = theirs(images), mine.module(images)
    assert torch.equal(actual, expected) and expected.std() > 0


def test_the_card_holds_what_torchvision_publishes(
    in_process: None, publish: Any, torch_home: Path, registry: Registry
) -> None:
    path, _ = publish("mobilenet_v3_large", "imagenet1k_v2")
    torch_home.mkdir(parents=True)
    shutil.copy(path, torch_home)
    card, _ = read_card(open_pretrained(registry, "mobilenet_v3_large.imagenet1k_v2"))
    assert [(metric.name, metric.value) for metric in card.published] == [("top1", 0.75274), ("top5", 0.92566)]
    assert card.metrics == () and card.source.endswith(path.name)
    assert card.source_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert card.preprocess.shorter_side == 232 and card.architecture_name == "zoo-kit/torchvision:mobilenet_v3_large"
    assert len(card.classes) == 1000 and "torchvision" in card.versions


def test_the_second_use_reads_the_stored_file_alone(
    in_process: None, publish: Any, torch_home: Path, registry: Registry
) -> None:
    path, _ = publish()
    torch_home.mkdir(parents=True)
    path.rename(torch_home / path.name)
    first = open_pretrained(registry, f"{SMALL}.{TAG}")
    shutil.rmtree(torch_home)
    assert open_pretrained(registry, f"{SMALL}.{TAG}") == first
    assert open_pretrained(registry, f"zoo-kit:{SMALL}.{TAG}") == first


@pytest.mark.parametrize(
    "spoil", [lambda content: content[:-1000], lambda content: content + b"x", lambda content: b""]
)
def test_a_file_with_another_hash_is_not_read(
    publish: Any, torch_home: Path, here: Path, server: Served, spoil: Callable[[bytes], bytes]
) -> None:
    path, _ = publish()
    torch_home.mkdir(parents=True)
    (torch_home / path.name).write_bytes(spoil(path.read_bytes()))
    for allowed in (False, True):
        with pytest.raises(WeightsError) as refusal:
            zoo.load(f"{SMALL}.{TAG}", download=allowed)
        assert path.name in refusal.value.cause and path.stem[-8:] in refusal.value.cause
    assert left(here) == [torch_home / path.name] and not server.requests


class Code:
    """An object whose unpickling would run code."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("ran"),))


@pytest.mark.parametrize(
    "content",
    [
        {"weight": Code()},
        {"state_dict": {"weight": torch.zeros(1)}},
        [torch.zeros(1)],
        {1: torch.zeros(1)},
        {"more": torch.zeros(1)},
    ],
    ids=["code", "wrapped", "list", "number", "other tensors"],
)
def test_a_file_that_is_no_state_dict_is_refused(
    in_process: None, publish: Any, torch_home: Path, here: Path, content: Any
) -> None:
    path, _ = publish(content=content)
    torch_home.mkdir(parents=True)
    path.rename(torch_home / path.name)
    with pytest.raises(WeightsError) as refusal:
        zoo.load(f"{SMALL}.{TAG}")
    assert path.name in refusal.value.cause or refusal.value.cause.startswith("The file ")  # the child's words
    assert left(here) == [torch_home / path.name]


def test_code_in_a_file_does_not_run(publish: Any, torch_home: Path, here: Path) -> None:
    path, _ = publish(content=Code())
    torch_home.mkdir(parents=True)
    path.rename(torch_home / path.name)
    with pytest.raises(WeightsError, match=path.name):
        zoo.load(f"{SMALL}.{TAG}")
    assert left(here) == [torch_home / path.name]


# Downloads


def test_a_download_is_checked_and_stored(publish: Any, server: Served, torch_home: Path, here: Path) -> None:
    path, state = publish()
    model = zoo.load(f"{SMALL}.{TAG}", download=True)
    assert torch.equal(model.module.state_dict()["fc.weight"], state["fc.weight"])
    assert server.requests == [f"/models/{path.name}"] and not torch_home.exists()
    assert [each.name for each in left(here)] == [f"{SMALL}.{TAG}.safetensors"]
    zoo.load(f"{SMALL}.{TAG}", download=True)
    assert len(server.requests) == 1


def test_nothing_is_downloaded_without_permission(publish: Any, server: Served, here: Path) -> None:
    path, _ = publish()
    with pytest.raises(WeightsError) as refusal:
        zoo.load(f"{SMALL}.{TAG}")
    assert f"{SMALL}.{TAG}" in refusal.value.cause
    assert all(part in refusal.value.next_step for part in ("--download", server.address, path.name, "5 MiB"))
    assert not server.requests and left(here) == [] and not (here.parent / "cache").exists()


def spoiled(served: Served, change: Callable[[bytes], bytes]) -> None:
    served.files = {name: change(content) for name, content in served.files.items()}


def half(served: Served, _: pytest.MonkeyPatch) -> None:
    served.length = len(next(iter(served.files.values())))
    spoiled(served, lambda content: content[: len(content) // 2])


def other(served: Served, _: pytest.MonkeyPatch) -> None:
    spoiled(served, lambda content: content[:-1] + b"x")


def missing(served: Served, _: pytest.MonkeyPatch) -> None:
    served.files = {}


def no_network(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = published.tags(SMALL)[TAG]
    monkeypatch.setattr(weights.value, "url", weights.url.replace(served.address, "http://127.0.0.1:9"))


def full_disk(_: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.open

    def opened(path: Path, mode: str = "r", *more: Any, **others: Any) -> Any:
        file = real(path, mode, *more, **others)
        if mode == "xb" and path.name.endswith(".partial"):
            return Limited(file)
        return file

    monkeypatch.setattr(download, "CHUNK", 4096)
    monkeypatch.setattr(Path, "open", opened)


class Limited:
    """A file on a disk with room for 8 KiB."""

    def __init__(self, file: Any) -> None:
        self.file = file

    def __enter__(self) -> "Limited":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def write(self, content: bytes) -> int:
        if self.file.tell() + len(content) > 8192:
            raise OSError(28, "No space left on device")
        return int(self.file.write(content))


@pytest.mark.parametrize(
    ("spoil", "error", "words"),
    [
        (half, WeightsError, "bytes"),
        (other, WeightsError, "SHA-256"),
        (missing, WeightsError, "404"),
        (no_network, WeightsError, "refused"),
        (full_disk, OutputError, "No space left"),
    ],
)
def test_a_failed_download_leaves_nothing_behind(
    publish: Any,
    server: Served,
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[Served, pytest.MonkeyPatch], None],
    error: type[ZooError],
    words: str,
) -> None:
    publish()
    spoil(server, monkeypatch)
    with pytest.raises(error, match=words) as refusal:
        zoo.load(f"{SMALL}.{TAG}", download=True)
    assert "\n" not in refusal.value.cause + refusal.value.next_step
    assert left(here) == [] and not (here.parent / "cache").exists()
    if spoil is no_network:
        assert str(checkpoints()) in refusal.value.next_step


def test_a_full_disk_under_the_cache_leaves_nothing(
    in_process: None, publish: Any, torch_home: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = publish()
    torch_home.mkdir(parents=True)
    path.rename(torch_home / path.name)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("zoo.files.atomic.os.fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        zoo.load(f"{SMALL}.{TAG}")
    assert left(here) == [torch_home / path.name]


def test_listing_weights_imports_no_torchvision() -> None:
    code = (
        "import sys, zoo; assert 'resnet50.imagenet1k_v2' in zoo.list_models('resnet*', pretrained=True);"
        "print(sorted({'torch', 'torchvision', 'numpy'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# Commands


@pytest.mark.slow
def test_commands_take_their_names(
    in_process: None, publish: Any, server: Served, here: Path, run_zoo: Callable[..., Any], registry: Registry
) -> None:
    """Export, verify, predict, and train from weights that only the first command may download."""
    publish()
    name, photo = f"{SMALL}.{TAG}", str(PHOTOS[0])
    refused = run_zoo("predict", name, photo)
    assert refused.code == 1 and "--download" in refused.err and not server.requests
    unfetched = run_zoo("weights", "show", name)
    assert unfetched.code == 1 and f"zoo summary {name} --download" in unfetched.err
    exported = run_zoo("export", name, "-f", "torchscript", "-o", "out", "--download")
    assert exported.code == 0, exported.err
    manifest = json.loads((here / "out" / "manifest.json").read_text())
    assert manifest["name"] == name and manifest["labels"][1] == "goldfish"
    assert manifest["card"]["source"].startswith(server.address) and manifest["card"]["published"]
    verified = run_zoo("verify", "out", "--strict")
    assert verified.code == 0, verified.err
    mine, theirs = run_zoo("predict", name, photo, "--json"), run_zoo("predict", "out", photo, "--trust", "--json")
    labels = [[each["label"] for each in json.loads(ran.out)[0]["predictions"]] for ran in (mine, theirs)]
    assert labels[0] == labels[1] and len(labels[0]) == 5
    trained = run_zoo(
        *("train", SMALL, "--data", "digits", "--epochs", "1", "--img-size", "32"),
        *("--initial-checkpoint", name, "--freeze", "--json"),
    )
    assert trained.code == 0, trained.err
    card, _ = read_card(Path(json.loads(trained.out)["weights"]))
    assert card.recipe["initial_checkpoint"].startswith(f"{name}@") and card.published == () and card.source == ""
    shown = run_zoo("weights", "show", name)
    assert "top1, published" in shown.out and server.address in shown.out
    rows = json.loads(run_zoo("weights", "list", "--json", "-f", "shufflenet*").out)
    row = next(row for row in rows if row["name"] == name)
    assert row["measured_on"].startswith("published") and row["top1"] == 0.60552 and row["provided_by"] == "zoo-kit"
    assert next(row for row in rows if row["name"] == "shufflenet_v2_x1_0.imagenet1k_v1")["file"] is None
    assert len(server.requests) == 1


def test_listings_show_the_tags(run_zoo: Callable[..., Any]) -> None:
    listed = json.loads(run_zoo("list", "architectures", "-f", "resnet50", "--json").out)
    assert listed["architectures"][0]["weights"] == ["imagenet1k_v1", "imagenet1k_v2"]
    unknown = run_zoo("summary", "resnet50.imagenet1k_v3")
    assert unknown.code == 1 and "resnet50.imagenet1k_v2" in unknown.err
