"""Weights of timm from a hub on the loopback: what fails is one error, and leaves no weights behind."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

import zoo
from zoo.registry.registry import Registry

timm = pytest.importorskip("timm")

SMALL, TAG = "test_vit", "r160_in1k"
NAME, REPOSITORY = f"timm/{SMALL}.{TAG}", f"timm/{SMALL}.{TAG}"


@pytest.fixture
def published(hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """The files of the repository that timm names, with weights of seed 1."""
    from huggingface_hub import constants

    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, hub.endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ZOO_TIMM_WEIGHTS", raising=False)
    hub.repositories[REPOSITORY] = {"model.safetensors": safetensors.torch.save(state())}
    files: dict[str, bytes] = hub.repositories[REPOSITORY]
    return files


def state() -> dict[str, torch.Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        tensors: dict[str, torch.Tensor] = timm.create_model(SMALL, pretrained=False).state_dict()
        return tensors


def left(tmp_path: Path) -> list[Path]:
    """Weights that zoo or the hub library keep."""
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix in (".safetensors", ".bin")]
    return [*files, *(path for path in tmp_path.rglob("blobs/*") if path.suffix != ".incomplete")]


def test_weights_are_downloaded_and_stored(hub: Any, published: Any, with_hub: Registry) -> None:
    model = zoo.load(NAME, download=True, registry=with_hub)
    assert all(torch.equal(value, state()[key]) for key, value in model.module.state_dict().items())
    assert model.card.source == f"hf-hub:{REPOSITORY}"
    hub.repositories.clear()
    assert zoo.load(NAME, registry=with_hub).path == model.path  # no request is needed any more


def cut(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.cut.add("model.safetensors")


def wrong_hash(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.wrong_hash.add("model.safetensors")


def no_network(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    address = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(hub.endpoint, "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")


def full_disk(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("huggingface_hub.file_download.http_get", full)


def no_files(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.repositories[REPOSITORY] = {"README.md": b"nothing"}


@pytest.mark.parametrize(
    ("spoil", "error", "named"),
    [
        (cut, zoo.WeightsError, NAME),
        (wrong_hash, zoo.WeightsError, "SHA-256"),
        (no_network, zoo.WeightsError, NAME),
        (full_disk, zoo.OutputError, "No space left"),
        (no_files, zoo.WeightsError, "model.safetensors"),
    ],
)
def test_a_failed_download_leaves_nothing(
    hub: Any,
    published: Any,
    with_hub: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[Any, pytest.MonkeyPatch], None],
    error: type[zoo.ZooError],
    named: str,
) -> None:
    spoil(hub, monkeypatch)
    with pytest.raises(error, match=named) as caught:
        zoo.load(NAME, download=True, registry=with_hub)
    assert "\n" not in caught.value.cause + caught.value.next_step
    assert left(tmp_path) == []


def test_a_damaged_file_in_the_cache_is_named(
    hub: Any, published: Any, with_hub: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zoo.load(NAME, download=True, registry=with_hub)
    (blob,) = (tmp_path / "hub").rglob("blobs/*")
    blob.write_bytes(blob.read_bytes()[:-4] + b"\x00\x00\x80\x3f")
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "other"))
    with pytest.raises(zoo.WeightsError, match="SHA-256") as caught:
        zoo.load(NAME, registry=with_hub)
    assert str(blob) in caught.value.next_step and not (tmp_path / "other").exists()


class Touch:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("content", ["code", "more", "fewer"])
def test_a_state_dict_that_does_not_fit_is_refused(
    hub: Any, published: Any, with_hub: Registry, tmp_path: Path, content: str
) -> None:
    mark, path = tmp_path / "ran", tmp_path / "made"
    tensors = state()
    key = next(iter(tensors))
    changed = {"code": {**tensors, "hook": Touch(mark)}, "more": {**tensors, "one.more": torch.ones(1)}}
    changed["fewer"] = {name: value for name, value in tensors.items() if name != key}
    torch.save(changed[content], path)
    hub.repositories[REPOSITORY] = {"pytorch_model.bin": path.read_bytes()}
    with pytest.raises(zoo.WeightsError, match=r"pytorch_model\.bin") as caught:
        zoo.load(NAME, download=True, registry=with_hub)
    named = {"code": "posix.system", "more": "one.more", "fewer": key}
    assert named[content] in caught.value.cause and "weights_only=False" not in caught.value.cause
    assert not mark.exists() and not list((tmp_path / "cache").rglob("*.safetensors"))
    assert "\n" not in caught.value.cause
