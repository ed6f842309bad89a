"""Weights that timm knows, from a local folder, the hub's cache, timm's download cache, or the network."""

import hashlib
import os
import re
from pathlib import Path
from typing import Any

import timm
from timm.data.config import resolve_data_config
from timm.data.imagenet_info import ImageNetInfo, infer_imagenet_subset
from timm.models import PretrainedCfg, get_pretrained_cfg

from zoo.contract.errors import OutputError, UnknownName, WeightsError, ZooError, refuse_out_of_memory
from zoo.contract.pretrained import PretrainedWeights, download_needed
from zoo.files.atomic import WRITE_ERRORS
from zoo_timm.build import check_version
from zoo_timm.specs import COLLECTION, preprocess_of

SHA256 = re.compile(r"[0-9a-f]{64}")
LOCAL = "ZOO_TIMM_WEIGHTS"  # a folder of folders NAME.TAG with a file of weights each, as `local-dir:` of timm has it
FILES = ("model.safetensors", "pytorch_model.bin")  # on the hub, as timm looks for them


def fetch(name: str, tag: str, *, download: bool) -> PretrainedWeights:
    """The weights `NAME.TAG` of timm, as timm's own loader reads them.

    They are looked for in `$ZOO_TIMM_WEIGHTS/NAME.TAG/`, in the cache of huggingface_hub, and in that of torch.hub, and
    downloaded only with `download`. Files other than safetensors are read by torch's weights-only unpickler.

    Args:
        name: `timm/NAME`.
        tag: of the weights.

    Raises:
        UnknownName: the installed timm has no such weights.
        WeightsError: they are not on this machine and `download` is false, the download fails, or they do not fit.
    """
    model = name.removeprefix(f"{COLLECTION}/")
    check_version(model)
    full = f"{model}.{tag}"
    cfg = get_pretrained_cfg(full) if full in timm.list_pretrained(f"{model}.*") else None
    if cfg is None:
        raise UnknownName(f"timm {timm.__version__} has no weights {full}.", f"Run `zoo show {name}` to see the tags.")
    if cfg.num_classes < 1:
        raise WeightsError(f"The weights {full} have no classifier.", "Use weights that classify images.")
    try:
        preprocess = preprocess_of(resolve_data_config(pretrained_cfg=cfg.to_dict()))
    except ValueError as error:
        raise WeightsError(f"zoo cannot prepare images as {full} needs them: {error}.", "Use other weights.") from None
    path, source = _file(name, tag, cfg, download=download)
    try:
        overlay = {"file": str(path), "hf_hub_id": None, "url": None, "custom_load": path.suffix == ".npz"}
        network = timm.create_model(full, pretrained=True, pretrained_cfg_overlay=overlay)
    except Exception as error:  # of torch's unpickler, of safetensors and of timm, of many types
        refuse_out_of_memory(error)
        reason = " ".join(str(error).split()).partition(" No automatic unsafe")[0][:600].rstrip(".")  # timm's advice
        raise WeightsError(
            f"{path} does not hold the weights {full}: {type(error).__name__}: {reason}.", "Download the file again."
        ) from error
    return PretrainedWeights(
        tensors={key: value.detach().cpu() for key, value in network.state_dict().items()},
        classes=_classes(cfg),
        preprocess=preprocess,
        source=source,
        file_sha256=_sha256(path),
        licence=cfg.license or "",
    )


def _file(name: str, tag: str, cfg: PretrainedCfg, *, download: bool) -> tuple[Path, str]:
    """The file of the weights on this machine, and where it came from."""
    local = os.environ.get(LOCAL)
    if local:
        folder = Path(local, f"{name.removeprefix(f'{COLLECTION}/')}.{tag}")
        path = next((folder / file for file in FILES if (folder / file).is_file()), None)
        if path is not None:
            return path, f"local-dir:{folder}"
    if cfg.hf_hub_id:
        return _from_hub(f"{name}.{tag}", cfg, download=download)
    if isinstance(cfg.url, str):
        return _from_url(f"{name}.{tag}", cfg.url, download=download)
    raise WeightsError(f"timm names no file of the weights {name}.{tag}.", f"Put them into a folder in {LOCAL}.")


def _from_hub(full: str, cfg: PretrainedCfg, *, download: bool) -> tuple[Path, str]:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    repository, _, revision = str(cfg.hf_hub_id).partition("@")
    source = f"hf-hub:{cfg.hf_hub_id}"
    arguments: dict[str, Any] = {"repo_id": repository, "revision": revision or None}
    files = [cfg.hf_hub_filename] if cfg.hf_hub_filename else list(FILES)
    for file in files:
        try:
            path = Path(hf_hub_download(filename=file, local_files_only=True, **arguments))
        except LocalEntryNotFoundError:
            continue
        _check_blob(path, source)
        return path, source
    if not download:
        raise download_needed(full, source)
    for file in files:
        try:
            path = Path(hf_hub_download(filename=file, **arguments))
            _check_blob(path, source, fresh=True)
            return path, source
        except LocalEntryNotFoundError as error:  # which is what the network's absence is called, too
            raise _failed(full, source, error) from error
        except EntryNotFoundError:
            continue
        except ZooError:
            raise
        except Exception as error:  # of the network, of many types
            raise _failed(full, source, error) from error
    raise WeightsError(f"{source} has none of the files {', '.join(files)}.", "Use other weights.")


def _from_url(full: str, url: str, *, download: bool) -> tuple[Path, str]:
    from timm.models._hub import download_cached_file, get_cache_dir
    from torch.hub import HASH_REGEX

    path = Path(get_cache_dir(), Path(url).name)
    if not path.is_file():
        if not download:
            raise download_needed(full, url)
        try:
            path = Path(download_cached_file(url, check_hash=True))
        except Exception as error:  # of the network, of many types
            raise _failed(full, url, error) from error
    in_name = HASH_REGEX.search(path.name)
    if in_name and not _sha256(path).startswith(in_name[1]):
        raise WeightsError(
            f"{path} is damaged: its SHA-256 is not the one in its name.", "Delete it and download again."
        )
    return path, url


def _check_blob(path: Path, source: str, *, fresh: bool = False) -> None:
    """Check a file in the hub's cache, whose links lead to a file that is named by the SHA-256 that the hub states.

    Args:
        fresh: it was just downloaded, and is deleted if it is damaged.

    Raises:
        WeightsError: it has another SHA-256.
    """
    blob = path.resolve()
    if not SHA256.fullmatch(blob.name) or _sha256(path) == blob.name:
        return
    if fresh:
        for each in (path, blob):
            each.unlink(missing_ok=True)
    raise WeightsError(
        f"{path.name} of {source} is damaged: its SHA-256 is not {blob.name}, which the hub states.",
        "Download it again." if fresh else f"Delete {blob}, and download it again.",
    )


def _failed(full: str, source: str, error: Exception) -> ZooError:
    if isinstance(error, OSError) and error.errno in WRITE_ERRORS:
        return OutputError(
            f"The weights {full} could not be stored: {error.strerror}.",
            "Free disk space, or set HF_HOME to a folder on another disk.",
        )
    first = str(error).strip().partition("\n")[0][:300] or type(error).__name__
    return WeightsError(
        f"The weights {full} could not be downloaded from {source}: {first}", "Check the network connection."
    )


def _classes(cfg: PretrainedCfg) -> tuple[str, ...]:
    """The names of the classes: those in timm's configuration, those of its ImageNet subsets, else their numbers."""
    if cfg.label_names and len(cfg.label_names) == cfg.num_classes:
        descriptions = cfg.label_descriptions or {}
        return tuple(descriptions.get(name, name) for name in cfg.label_names)
    subset = infer_imagenet_subset(cfg)
    if subset:
        info = ImageNetInfo(subset)
        if info.num_classes() == cfg.num_classes:
            return tuple(info.index_to_description(index) for index in range(cfg.num_classes))
    return tuple(str(index) for index in range(cfg.num_classes))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
