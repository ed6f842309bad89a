"""torchvision's weights: from torchvision's own cache, or downloaded where the user allows it."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torchvision.models import WeightsEnum
from zoo.models.importing.read_file import read_source

from zoo.contract.errors import WeightsError
from zoo.contract.pretrained import PretrainedWeights, download_needed
from zoo.files.folders import pretrained_folder
from zoo.files.regular import CHUNK, open_regular
from zoo_torchvision import published
from zoo_torchvision.build import build
from zoo_torchvision.download import downloaded
from zoo_torchvision.state_dict import load_state


def fetch(name: str, tag: str, *, download: bool) -> PretrainedWeights:
    """The weights that torchvision publishes for the model `name` as `tag`.

    They are read from torchvision's cache, `$TORCH_HOME/hub/checkpoints`, if they are there. The file's SHA-256 must
    start with the digits in its name before anything of it is read.

    Args:
        name: as in `torchvision.models.list_models(module=torchvision.models)`.
        tag: a member of its enum of weights in lower case, such as `imagenet1k_v2`.
        download: download the file if it is not there.

    Raises:
        WeightsError: it is not there and `download` is false, it cannot be downloaded, it has another hash, or holds
            anything else than a state dict of that model.
        OutputError: there is no room for the download.
    """
    weights = published.tags(name)[tag]
    params, preprocess = published.params(name, weights), published.preprocess(weights)
    classes = tuple(weights.meta["categories"])
    module = build(name=name, num_classes=len(classes), in_channels=preprocess.channels, **params)
    with _file(f"{name}.{tag}", weights, download=download) as path:
        sha256 = _checked(path, published.hash_digits(weights))
        content = read_source(path)
        if content.sha256 != sha256:
            raise WeightsError(f"{path} changed while it was read.", "Wait until it is complete, and try again.")
        load_state(name, module, content.tensors, str(path))
    return PretrainedWeights(
        tensors=module.state_dict(),
        classes=classes,
        preprocess=preprocess,
        params=params,
        published=published.metrics(weights),
        licence=published.licence(weights),
        source=weights.url,
        file_sha256=sha256,
    )


def checkpoints() -> Path:
    """Where torchvision keeps what it downloads: `$TORCH_HOME/hub/checkpoints`, else in the user's cache."""
    return Path(torch.hub.get_dir()) / "checkpoints"


@contextmanager
def _file(name: str, weights: WeightsEnum, *, download: bool) -> Iterator[Path]:
    """The file of `weights` in torchvision's cache; else a download of it, which is removed when the block ends."""
    path = checkpoints() / published.file_name(weights)
    if os.path.lexists(path):
        yield path
        return
    if not download:
        raise download_needed(name, weights.url, published.size(weights))
    otherwise = f"Check the network, or put the file into {path.parent}."
    place = pretrained_folder() / published.file_name(weights)
    with downloaded(weights.url, published.hash_digits(weights), place, otherwise) as content:
        yield content


def _checked(path: Path, digits: str) -> str:
    """The SHA-256 of a file, which must start with `digits`."""
    sha256 = hashlib.sha256()
    try:
        with open_regular(path) as file:
            while chunk := file.read(CHUNK):
                sha256.update(chunk)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}.", "Correct it, or delete it.") from None
    if not sha256.hexdigest().startswith(digits):
        raise WeightsError(
            f"{path} is damaged or incomplete: its SHA-256 starts with {sha256.hexdigest()[:8]}, and torchvision "
            f"publishes {digits}.",
            "Delete it, and add --download to get it again.",
        )
    return sha256.hexdigest()
